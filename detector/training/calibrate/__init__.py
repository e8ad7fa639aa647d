"""What is fitted after training, on films that training did not see, one module for each fit.

All take plain arrays and return the detector's own dataclasses.
"""
