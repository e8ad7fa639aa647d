"""Heads that read the embedding of a trained network: fitted on it, the network stays."""
