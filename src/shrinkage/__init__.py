"""L1 / L2 regularization for PyTorch networks that does what it says."""
