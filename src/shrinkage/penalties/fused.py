"""What dual averaging does to all weights at every step, in as few passes as may be.

PyTorch's operations are the specification, and what runs on other devices, in other dtypes, on
strided or small tensors and on many threads. For large ones on few threads Numba's loops take their
place where it is installed (extra ``fast``): one trip to memory instead of one per operation, with
the same roundings in the same order, so that the values are the same.
"""

from math import inf

import torch
from torch import Tensor

from shrinkage.penalties.base import bounded, checked_step
from shrinkage.penalties.kernels import loops_for
from shrinkage.penalties.steps import Steps


def clip(w: Tensor, residual: Tensor, strength: float, steps: Steps) -> None:
    """z = w + residual; residual ← z clipped to ±strength·Σ, 0 where that is NaN; w ← z − residual.

    In place; Σ is the sum of the steps.
    """
    total, step = steps.total, steps.step
    if isinstance(total, Tensor) and isinstance(step, Tensor):
        if loops := loops_for(w, residual, total, step):
            at = (w.data_ptr(), residual.data_ptr(), total.data_ptr(), step.data_ptr())
            loops.clip_each(*at, w.numel(), steps.elapsed, strength)
            return
    elif type(total) is type(step) is float and (loops := loops_for(w, residual)):
        threshold = checked_step(w, steps.sum) * strength
        loops.clip(w.data_ptr(), residual.data_ptr(), w.numel(), threshold)
        return
    threshold = bounded(checked_step(w, steps.sum) * strength, w.dtype)
    torch.clamp(w.add_(residual), -threshold, threshold, out=residual)  # type: ignore[arg-type]
    w.sub_(residual)
    residual.nan_to_num_(0.0, torch.inf, -torch.inf)


def lift(w: Tensor, residual: Tensor, strength: float, steps: Steps, ratio: float) -> None:
    """The residuals of weights that a strength clips which is now ``ratio`` times what it was.

    Where w lives, residual·ratio; where it is 0, the residual clipped to ±strength·Σ. In place.
    """
    rises, total, step = ratio > 1, steps.total, steps.step
    if not rises and isinstance(total, Tensor) and isinstance(step, Tensor):
        if loops := loops_for(w, residual, total, step):
            at = (w.data_ptr(), residual.data_ptr(), total.data_ptr(), step.data_ptr())
            loops.lift_each(*at, w.numel(), steps.elapsed, strength, ratio)
            return
    elif loops := loops_for(w, residual):
        threshold = inf if rises else checked_step(w, steps.sum) * strength
        loops.lift(w.data_ptr(), residual.data_ptr(), w.numel(), threshold, ratio)
        return
    kept = residual
    if not rises:
        threshold = bounded(checked_step(residual, steps.sum) * strength, residual.dtype)
        kept = residual.clamp(-threshold, threshold)  # type: ignore[arg-type]
    torch.where(w == 0, kept, residual * ratio, out=residual)


def shrink(
    rows: Tensor, residual: Tensor, held: Tensor, r: Tensor, kappa: float, steps: Steps
) -> None:
    """row ← row·r/(r + κ·last step); a group with ``held`` = 0 first adds its row to its residual.

    In place; a residual that is NaN becomes 0. ``rows`` and ``residual`` (..., m), ``held`` and
    ``r`` (..., 1).
    """
    least, step = least_norm(rows.dtype), steps.step
    if isinstance(step, Tensor) and r.shape == (*rows.shape[:-1], 1):
        loops = loops_for(rows, residual, step)
        if loops and loops_for(r, held):
            at = (tensor.data_ptr() for tensor in (rows, residual, step, held, r))
            numbers = loops.numbers(steps.since, kappa, least)
            loops.shrink_each(*at, r.numel(), rows.shape[-1], numbers)
            return
    gone = held == 0
    if not gone.is_cpu or bool(gone.any()):  # to ask a GPU takes longer than to add zeros
        residual.addcmul_(rows, gone).nan_to_num_(0.0, torch.inf, -torch.inf)
    rows.mul_(r / (checked_step(rows, steps.last) * kappa + r).clamp_(min=least))


def least_norm(dtype: torch.dtype) -> float:
    """A norm below which squares underflow."""
    return float(torch.finfo(dtype).tiny ** 0.5)
