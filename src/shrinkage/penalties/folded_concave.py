"""Penalties that start like the lasso and let go of large weights."""

from abc import abstractmethod

import torch
from torch import Tensor

from shrinkage.penalties.base import Penalty, bounded, check_alike, checked_step
from shrinkage.penalties.l1 import L1
from shrinkage.penalties.steps import Steps


class FoldedConcave(Penalty):
    """Σ p(|w|) with p(0) = 0, p'(0) = s and p' ≥ 0 falling: kinked at zero, concave beyond.

    Zeros as with L1(s), and less bias of what is left. Neither loss + P nor the prox's objective
    need be convex: the prox is the global minimiser for every step, and jumps over small weights
    where step is long. Stationary points are judged by the limiting subdifferential, which is
    [−s, s] at zero. Source: Fan & Li, Variable Selection via Nonconcave Penalized Likelihood
    (2001).
    """

    strength: float

    @abstractmethod
    def _steepness(self, size: Tensor) -> Tensor:
        """p'(|w|)."""

    def accumulate(self, w: Tensor, residual: Tensor, steps: Steps) -> None:
        """Dual averaging of the kink, L1(s), and a step of the concave rest P − L1(s).

        Averaging presumes a convex penalty: the prox of the sum of all steps would cut off weights
        that no single step moves, and would fix others for good. So weights that are zero stay
        while their average gradient is within ±s, and those that live are shrunk by the plain prox
        of the last step: s·step is given back before it.
        """
        L1(self.strength).accumulate(w, residual, steps)
        step = checked_step(w, steps.last)
        w.copy_(self.prox(w + w.sign() * bounded(self.strength * step, w.dtype), step))

    @property
    def convex(self) -> Penalty:
        """L1(s)."""
        return L1(self.strength)

    @property
    def averaged(self) -> Penalty:
        """L1(s)."""
        return L1(self.strength)

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        """|grad + p'(|w|)·sign(w)| where w ≠ 0, max(|grad| − s, 0) where w = 0; w's shape."""
        check_alike(w, grad)
        at_zero = (grad.abs() - self.strength).clamp(min=0)
        away = (grad + self._steepness(w.abs()) * w.sign()).abs()
        return torch.where(w == 0, at_zero, away)

    @property
    def slope(self) -> float:
        """s = p'(0)."""
        return self.strength
