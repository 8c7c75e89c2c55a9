"""Does rounding take what the prox does? In half precision a small threshold moves no weight."""

import torch
from torch import Tensor

from shrinkage.errors import warn
from shrinkage.penalties import Penalty
from shrinkage.penalties.steps import Step


class Rounding:
    """Looks at a few of the steps of all parameters of a handle; says so once."""

    def __init__(self) -> None:
        self._told = False

    def is_turn(self, step: int, w: Tensor) -> bool:
        """Whether to look in this step: not in the first, where learning rates warm up."""
        return w.dtype in (torch.bfloat16, torch.float16) and step in (10, 100, 1000)

    def look(self, penalty: Penalty, w: Tensor, shrunk: Tensor, length: Step) -> None:
        """Warn (:class:`ShrinkageWarning`) where most weights stay that the prox would move."""
        if self._told:
            return
        wide = w.float()
        moved = penalty.prox(wide, length) != wide
        lost, most = int((moved & (shrunk.to(w.dtype) == w)).sum()), int(moved.sum())
        if 2 * lost <= most:
            return
        self._told = True
        kind = str(w.dtype).removeprefix("torch.")
        otherwise = ", or use method='averaged', which adds up what rounding takes"
        warn(
            f"{kind} weights are too coarse for the steps of {penalty}: rounding takes those of "
            f"{lost} of {most} weights, which never shrink. Keep the weights in float32 and "
            f"compute in {kind} (torch.autocast){otherwise if penalty.slope else ''}"
        )
