"""Training: the loop, its batches, optimisers, regularisation and augmentation."""
