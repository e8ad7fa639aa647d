"""A prediction as DICOM objects: SR, SC and SEG."""
