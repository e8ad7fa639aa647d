"""The evidence network, its weights on disk, calibration, letterbox and OOD check."""
