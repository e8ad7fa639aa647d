"""Weights adapted to the films of one hospital: its own calibration and operating points."""
