"""A prediction as PDF, text, CSV or JSON."""
