"""From a file to a ``Radiograph``: pictures, DICOM, grey levels, codecs, limits."""
