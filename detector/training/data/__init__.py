"""Films for training: records, folder layouts, splits, samples and their augmentation."""
