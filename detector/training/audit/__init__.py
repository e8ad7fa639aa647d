"""What is wrong with a data set: copies, leakage, shortcuts."""
