"""The DICOM node: listener, spool, worker and sender."""
