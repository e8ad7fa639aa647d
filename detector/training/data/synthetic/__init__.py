"""Fractures drawn onto normal bone, and their mimics: `draw.py` says why."""
