"""The minimax concave penalty."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from shrinkage.penalties.base import (
    bounded,
    check_factor,
    check_positive,
    check_strength,
    check_weights,
    checked_step,
)
from shrinkage.penalties.folded_concave import FoldedConcave
from shrinkage.penalties.steps import Step


@dataclass(frozen=True)
class MCP(FoldedConcave):
    """MCP(s, knee): Σ p(|w|), p(v) = s·v − s·v²/(2·knee) up to v = knee, s·knee/2 beyond.

    Zeros as with L1(s); weights beyond the knee are not shrunk at all. Not convex. ``knee`` is a
    size of weights; in the literature it is written γ·s. Raises :class:`PenaltyError` for a
    negative, infinite or NaN strength and a knee that is not above 0.
    Source: Zhang, Nearly Unbiased Variable Selection under Minimax Concave Penalty (2010).

    >>> import torch
    >>> MCP(1.0, knee=2.0).value(torch.tensor([1.0, -5.0]))
    tensor(1.7500)
    >>> MCP(1.0, knee=2.0).prox(torch.tensor([0.4, 1.0, -5.0]), 0.5)
    tensor([ 0.0000,  0.6667, -5.0000])
    """

    strength: float
    knee: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength("MCP strength", self.strength))
        object.__setattr__(self, "knee", check_positive("MCP knee", self.knee))

    def value(self, w: Tensor) -> Tensor:
        """Σ s·v·(1 − v/(2·knee)) with v = min(|w|, knee), a scalar tensor."""
        check_weights(w)
        v = w.abs().clamp(max=self.knee)
        return self.strength * (v * (1 - v / (2 * self.knee))).sum()

    def prox(self, w: Tensor, step: Step) -> Tensor:
        """The firm threshold; with u = step·s ≥ knee, where no shrunk weight is a minimum, hard.

        u < knee: 0 up to |w| = u, then |w| − u·(knee − |w|)/(knee − u), from the knee on w itself.
        u ≥ knee: 0 up to |w| = √(u·knee), where both cost the same, then w itself.
        Source: Gao & Bruce, WaveShrink with Firm Shrinkage (1997).
        """
        step = checked_step(w, step)
        size = w.abs()
        u = torch.as_tensor(bounded(step * self.strength, w.dtype), dtype=w.dtype, device=w.device)
        gone = size <= torch.minimum(u, (u * self.knee).sqrt())
        least = torch.finfo(w.dtype).tiny
        shift = u * ((self.knee - size).clamp(min=0) / (self.knee - u).clamp(min=least))
        return w - torch.where(gone, size, shift).copysign(w)

    def _steepness(self, size: Tensor) -> Tensor:
        """s·(1 − |w|/knee) up to the knee, then 0."""
        return self.strength * (1 - size / self.knee).clamp(min=0)

    def scaled(self, factor: float) -> Self:
        """MCP(factor·s, knee)."""
        return type(self)(self.strength * check_factor(factor), self.knee)
