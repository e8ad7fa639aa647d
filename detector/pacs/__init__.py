"""The hospital's side: DICOM in, DICOM back. Needs the extra ``dicom``."""
