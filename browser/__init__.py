"""The page without a server: the model in the visitor's own browser."""
