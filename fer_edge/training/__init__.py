"""The PyTorch side: architectures, augmentation, fit_one_cycle and checkpoints. Importing this package alone pulls no torch."""
