"""The ridge penalty, without the ½."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from shrinkage.penalties.base import (
    Penalty,
    check_alike,
    check_factor,
    check_strength,
    check_weights,
    checked_step,
)
from shrinkage.penalties.steps import Step


@dataclass(frozen=True)
class L2(Penalty):
    """L2(s): s·Σw². No ½, as in Keras; an optimizer's ``weight_decay=d`` is L2(d/2).

    Shrinks in proportion to the weight: hard on large weights, hardly at all on small ones,
    never to zero. Raises :class:`PenaltyError` for a negative, infinite or NaN strength.
    Source: Hoerl & Kennard, Ridge Regression (1970).

    >>> import torch
    >>> L2(0.5).value(torch.tensor([1.0, -2.0]))
    tensor(2.5000)
    """

    strength: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength("L2 strength", self.strength))

    def value(self, w: Tensor) -> Tensor:
        """s·Σw², a scalar tensor."""
        check_weights(w)
        squares = w.square() if self.strength else w  # 0·w² is no number where w² overflows
        return self.strength * squares.sum()

    def prox(self, w: Tensor, step: Step) -> Tensor:
        """w / (1 + 2·step·s)."""
        return w / (1 + 2 * self.strength * checked_step(w, step))

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        """|grad + 2·s·w|, w's shape."""
        check_alike(w, grad)
        return (grad + 2 * self.strength * w).abs()

    @property
    def slope(self) -> float:
        """0: smooth at zero."""
        return 0.0

    def scaled(self, factor: float) -> Self:
        """L2(factor·s)."""
        return type(self)(self.strength * check_factor(factor))
