"""Compiled passes over weights: Numba's loops on CPUs, Triton's kernels on CUDA, where installed.

Whoever asks for them has the same in PyTorch's operations, which specify what is computed.
"""

from shrinkage.penalties.kernels.bundles import Clips, Passes, Samples
from shrinkage.penalties.kernels.offered import loops_for, passes_for

__all__ = ["Clips", "Passes", "Samples", "loops_for", "passes_for"]
