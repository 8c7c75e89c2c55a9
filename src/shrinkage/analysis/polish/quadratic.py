"""The quadratic model of the loss plus the penalty, and its minimum."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from shrinkage.analysis.polish.curvature import Product, Scale
from shrinkage.analysis.polish.layout import FlatLayout, dot

_PROX_STEPS = 20
_CG_STEPS = 20
_CG_ACCURACY = 0.1


@dataclass(frozen=True, eq=False)
class Quadratic:
    """m(z) = gᵀ(z−w) + ½(z−w)ᵀ(B + μD)(z−w) + P(z) around w."""

    layout: FlatLayout
    w: Tensor
    gradient: Tensor
    product: Product
    scale: Scale
    damping: float

    def minimum(self) -> tuple[Tensor, bool]:
        """argmin m, roughly, and whether m was convex as far as was seen.

        Proximal gradient steps find the support, conjugate gradients solve on it; a better solution
        of what is only a model costs more than the next round. Source: Chen, Curtis & Robinson, A
        Reduced-Space Algorithm for Minimizing ℓ1-Regularized Convex Functions (2017).
        """
        return self._solve_on_support(self._shrink())

    def _shrink(self) -> Tensor:
        """Accelerated proximal gradient steps with restarts.

        Source: Beck & Teboulle, FISTA (2009); O'Donoghue & Candès, Adaptive Restart (2015).
        """
        step = 1 / ((1.2 * self.scale.largest + self.damping) * self.scale.diagonal)
        z = y = self.w
        pace = 1.0
        for _ in range(_PROX_STEPS):
            slope = self.gradient + self._bend(y - self.w)
            moved = self.layout.prox(y - step * slope, step)
            if dot((y - moved) / step, moved - z) > 0:
                pace = 1.0
            faster = (1 + sqrt(1 + 4 * pace**2)) / 2
            y = moved + (pace - 1) / faster * (moved - z)
            z, pace = moved, faster
        return z

    def _solve_on_support(self, z: Tensor) -> tuple[Tensor, bool]:
        """The minimum where P is smooth, a weight that would turn set to 0; ``z`` if no better."""
        mask = self.layout.support(z)
        bent = self._bend(z - self.w)
        slope, curved = self.layout.linearised(z)
        best = self._value(z, bent)
        solution, convex = _conjugate_gradients(
            lambda v: torch.where(mask, self._bend(v) + curved(v), 0.0),
            torch.where(mask, -(self.gradient + bent + slope), 0.0),
            self.scale.diagonal,
        )
        for step in (1.0, 0.5, 0.2, 0.05, 0.01):
            trial = self.layout.unturned(z, z + step * solution)
            if self._value(trial, self._bend(trial - self.w)) < best:
                return trial, convex
        return z, convex

    def _value(self, z: Tensor, bent: Tensor) -> float:
        move = z - self.w
        return dot(self.gradient, move) + dot(bent, move) / 2 + self.layout.value(z)

    def _bend(self, v: Tensor) -> Tensor:
        """(B + μD)·v."""
        return self.product(v) + self.damping * self.scale.diagonal * v


def _conjugate_gradients(product: Product, b: Tensor, diagonal: Tensor) -> tuple[Tensor, bool]:
    """x with A·x ≈ b for positive definite A, preconditioned; False where A turns out not to be."""
    x, residual = torch.zeros_like(b), b
    scaled = residual / diagonal
    direction, square = scaled, dot(residual, scaled)
    enough = _CG_ACCURACY**2 * square
    for _ in range(_CG_STEPS):
        if square <= enough:
            break
        bent = product(direction)
        curvature = dot(direction, bent)
        if curvature <= 0:
            return x, False
        x = x + square / curvature * direction
        residual = residual - square / curvature * bent
        scaled = residual / diagonal
        before, square = square, dot(residual, scaled)
        direction = scaled + square / before * direction
    return x, True
