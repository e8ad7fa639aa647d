"""Figures of merit: discrimination, localisation, robustness, saliency."""
