"""The PyTorch side: architectures, fit_one_cycle, checkpoints. The package itself imports no torch."""
