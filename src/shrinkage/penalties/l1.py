"""The lasso penalty."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from shrinkage.penalties.base import (
    Penalty,
    check_alike,
    check_factor,
    check_strength,
    check_weights,
    checked_step,
    soft_threshold,
)
from shrinkage.penalties.fused import clip
from shrinkage.penalties.steps import Step, Steps


@dataclass(frozen=True)
class L1(Penalty):
    """L1(s): s·Σ|w|.

    Takes every weight toward zero by the same amount per step, and unimportant ones all the way.
    Raises :class:`PenaltyError` for a negative, infinite or NaN strength.
    Source: Tibshirani, Regression Shrinkage and Selection via the Lasso (1996).

    >>> import torch
    >>> L1(0.5).value(torch.tensor([1.0, -2.0]))
    tensor(1.5000)
    >>> L1(0.5).prox(torch.tensor([1.0, -0.2]), 1.0)
    tensor([0.5000, 0.0000])
    """

    strength: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength("L1 strength", self.strength))

    def value(self, w: Tensor) -> Tensor:
        """s·Σ|w|, a scalar tensor."""
        check_weights(w)
        return self.strength * w.abs().sum()

    def prox(self, w: Tensor, step: Step) -> Tensor:
        """The soft threshold: sign(w)·max(|w| − step·s, 0)."""
        return soft_threshold(w, checked_step(w, step) * self.strength)

    def accumulate(self, w: Tensor, residual: Tensor, steps: Steps) -> None:
        """The residual is z clipped to ±s·Σ, Σ the sum of the steps."""
        clip(w, residual, self.strength, steps)

    @property
    def clips(self) -> float | None:
        """s, unless a subclass accumulates in its own way."""
        return self.strength if type(self).accumulate is L1.accumulate else None

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        """|grad + s·sign(w)| where w ≠ 0, max(|grad| − s, 0) where w = 0; w's shape."""
        check_alike(w, grad)
        at_zero = (grad.abs() - self.strength).clamp(min=0)
        sign = w / w.abs()  # w.sign() takes NaN for 0
        return torch.where(w == 0, at_zero, (grad + self.strength * sign).abs())

    @property
    def slope(self) -> float:
        """s."""
        return self.strength

    def scaled(self, factor: float) -> Self:
        """L1(factor·s)."""
        return type(self)(self.strength * check_factor(factor))
