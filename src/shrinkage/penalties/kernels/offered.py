"""Which compiled passes this machine has for given tensors."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shrinkage.errors import told, warn

if TYPE_CHECKING:
    from shrinkage.penalties.kernels.bundles import Passes
    from shrinkage.penalties.kernels.on_cpu import Loops

_LARGE = 2**14
"""So many weights are worth importing Numba for; from then on all may go its way."""
_THREADS = 3
"""On more of them PyTorch's passes are as fast as the one thread of a loop."""
_BITS = {torch.float32: 32, torch.float64: 64}


def loops_for(*tensors: Tensor) -> "Loops | None":
    """Numba's loops, where they can take these tensors, which must be alike, and are faster."""
    first = tensors[0]
    if not _worthwhile(first.numel()):
        return None
    dtype, shape = first.dtype, first.shape
    for tensor in tensors:
        plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.is_cpu
        alike = tensor.dtype == dtype and tensor.shape == shape
        if not (plain and alike and tensor.is_contiguous()):
            return None
    return compiled(_BITS[dtype]) if dtype in _BITS else None


def passes_for(weights: Sequence[Tensor]) -> "Passes | None":
    """Passes over all of these, which must be of one device and dtype, in one call."""
    device, dtype = weights[0].device, weights[0].dtype
    if dtype not in _BITS:
        return None
    if device.type == "cuda":
        return on_cuda(device, dtype)
    if device.type == "cpu" and _worthwhile(sum(w.numel() for w in weights)):
        found = compiled(_BITS[dtype])
        return None if found is None else found.passes
    return None


def _worthwhile(size: int) -> bool:
    waiting = size < _LARGE and not compiled.cache_info().currsize
    return not waiting and torch.get_num_threads() <= _THREADS


@cache
def compiled(bits: int) -> "Loops | None":
    """None without Numba, with one too old for this NumPy, or where its cache cannot be used."""
    try:
        from shrinkage.penalties.kernels.on_cpu import loops

        return loops(bits)
    except Exception as error:  # whatever it is: training goes on without
        _say("Numba", error)
        return None


@cache
def on_cuda(device: torch.device, dtype: torch.dtype) -> "Passes | None":
    """None where Triton is not installed, or cannot compile for this device."""
    try:
        from shrinkage.penalties.kernels.on_cuda import passes

        return passes(device, dtype)
    except Exception as error:  # whatever it is: training goes on without
        _say("Triton", error)
        return None


_SAID: set[str] = set()


def _say(compiler: str, error: Exception) -> None:
    """Warn once of a compiler that is there and of no use; one that is not there is no fault."""
    is_absent = isinstance(error, ModuleNotFoundError) and error.name == compiler.lower()
    if is_absent or compiler in _SAID:
        return
    _SAID.add(compiler)
    warn(
        f"training steps are slower than they could be, with the same results: what {compiler} "
        f"compiles cannot be used here ({told(error)}). Mend or uninstall {compiler}",
    )
