"""Pure functions of `[B, T]` tensors: the mathematics, and nothing else."""
