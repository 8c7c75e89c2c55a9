"""The log-sum penalty."""

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
class LogSum(FoldedConcave):
    """LogSum(s, ε): s·Σ ε·log(1 + |w|/ε).

    Zeros as with L1(s); a weight of size ε is pulled half as hard, a large one hardly at all. Not
    convex. ``epsilon`` is a size of weights. Raises :class:`PenaltyError` for a negative, infinite
    or NaN strength and an epsilon that is not above 0.
    Source: Candès, Wakin & Boyd, Enhancing Sparsity by Reweighted ℓ1 Minimization (2008).

    >>> import torch
    >>> LogSum(1.0, epsilon=0.5).value(torch.tensor([0.5, -0.5]))
    tensor(0.6931)
    >>> LogSum(1.0, epsilon=0.5).prox(torch.tensor([0.2, -5.0]), 0.25)
    tensor([ 0.0000, -4.9772])
    """

    strength: float
    epsilon: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength("LogSum strength", self.strength))
        object.__setattr__(self, "epsilon", check_positive("LogSum epsilon", self.epsilon))

    def value(self, w: Tensor) -> Tensor:
        """s·ε·Σ log(1 + |w|/ε), a scalar tensor."""
        check_weights(w)
        return self.strength * self.epsilon * (w.abs() / self.epsilon).log1p().sum()

    def prox(self, w: Tensor, step: Step) -> Tensor:
        """The larger root of z² + (ε − |w|)·z + ε·(step·s − |w|), or 0 where that costs less.

        In units of ε, with z = ε·x, |w| = ε·a and u = step·s/ε: x − a + u/(1 + x) = 0. For
        a > u the objective falls at zero and x is its minimum; for a ≤ u ≤ 1 it is convex and 0
        is; for a ≤ u, u > 1 both may be minima, and x costs less than 0 if
        x/2 − a + u·log(1 + x)/x < 0.
        Source: Prater-Bennette, Shen & Tripp, The Proximity Operator of the Log-Sum Penalty (2022).
        """
        step = checked_step(w, step)
        size = w.abs()
        threshold = torch.as_tensor(
            bounded(step * self.strength, w.dtype), dtype=w.dtype, device=w.device
        )
        a, u = size / self.epsilon, threshold / self.epsilon
        # √((a − 1)² + 4·(a − u)) without squares that overflow
        b, d = a - 1, 2 * (a - u).abs().sqrt()
        below = (b - d).clamp(min=0).sqrt() * (b + d).clamp(min=0).sqrt()
        x = ((b + torch.where(a > u, b.hypot(d), below)) / 2).clamp(min=0)
        mean_pull = u * (x.log1p() / x.clamp(min=torch.finfo(w.dtype).tiny))
        gone = (a <= u) & ((u <= 1) | (x == 0) | (a - x / 2 <= mean_pull))
        return w - torch.where(gone, size, torch.minimum(threshold / (1 + x), size)).copysign(w)

    def _steepness(self, size: Tensor) -> Tensor:
        """s / (1 + |w|/ε)."""
        return self.strength / (1 + size / self.epsilon)

    def scaled(self, factor: float) -> Self:
        """LogSum(factor·s, ε)."""
        return type(self)(self.strength * check_factor(factor), self.epsilon)
