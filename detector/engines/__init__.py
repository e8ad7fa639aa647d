"""What runs the network: PyTorch or OpenVINO, behind one face."""
