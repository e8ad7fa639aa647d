"""The console script ``fracture-detector``."""
