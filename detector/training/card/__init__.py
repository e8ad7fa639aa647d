"""The model card, written from ``config.json``."""
