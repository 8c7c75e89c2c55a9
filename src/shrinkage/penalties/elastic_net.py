"""L1 and L2 together."""

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
from shrinkage.penalties.l1 import L1
from shrinkage.penalties.l2 import L2
from shrinkage.penalties.steps import Step


@dataclass(frozen=True)
class ElasticNet(Penalty):
    """ElasticNet(l1, l2): l1·Σ|w| + l2·Σw².

    Exact zeros as with L1; correlated weights share instead of one taking all.
    Raises :class:`PenaltyError` for a negative, infinite or NaN strength.
    Source: Zou & Hastie, Regularization and Variable Selection via the Elastic Net (2005).

    >>> import torch
    >>> ElasticNet(l1=1.0, l2=0.5).value(torch.tensor([1.0, -2.0]))
    tensor(5.5000)
    """

    l1: float
    l2: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", check_strength("ElasticNet l1", self.l1))
        object.__setattr__(self, "l2", check_strength("ElasticNet l2", self.l2))

    def value(self, w: Tensor) -> Tensor:
        """l1·Σ|w| + l2·Σw², a scalar tensor."""
        check_weights(w)
        squares = w.square() if self.l2 else w  # 0·w² is no number where w² overflows
        return self.l1 * w.abs().sum() + self.l2 * squares.sum()

    def prox(self, w: Tensor, step: Step) -> Tensor:
        """soft(w, step·l1) / (1 + 2·step·l2)."""
        step = checked_step(w, step)
        return soft_threshold(w, step * self.l1) / (1 + 2 * self.l2 * step)

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        """|grad + l1·sign(w) + 2·l2·w| where w ≠ 0, max(|grad| − l1, 0) where w = 0."""
        check_alike(w, grad)
        at_zero = (grad.abs() - self.l1).clamp(min=0)
        away = (grad + self.l1 * w.sign() + 2 * self.l2 * w).abs()
        return torch.where(w == 0, at_zero, away)

    @property
    def slope(self) -> float:
        """l1."""
        return self.l1

    @property
    def parts(self) -> tuple[Penalty, ...]:
        """L1(l1) and L2(l2)."""
        return L1(self.l1), L2(self.l2)

    def scaled(self, factor: float) -> Self:
        """ElasticNet(factor·l1, factor·l2)."""
        factor = check_factor(factor)
        return type(self)(l1=self.l1 * factor, l2=self.l2 * factor)
