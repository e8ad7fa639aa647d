"""Data sets, audit, splits, augmentation, losses, evaluation and the model card."""
