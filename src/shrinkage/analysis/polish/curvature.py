"""The curvature of the loss as a product v ↦ B·v, and the scale on which to precondition it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shrinkage.analysis.polish.layout import dot

Product = Callable[[Tensor], Tensor]
TensorPair = tuple[Tensor, Tensor]
"""A step s of the weights and the change y of the gradient that came of it."""

_LEAST = 1e-2
"""Of the mean scale: a weight without curvature (a dead unit's) is not moved without bound."""
_LEAST_CURVATURE = 1e-4
"""Of |s|·|y|, that a pair must have: less comes from rounding, or is no valley."""


def corrected(product: Product, pairs: Sequence[TensorPair]) -> Product:
    """B with B·s = y for the latest pairs: what all data have shown corrects what a sample says.

    BFGS updates of B, one after the other; pairs without positive curvature are left out.
    Source: Nocedal & Wright, Numerical Optimization (2006), equation 6.19.
    """
    terms: list[tuple[Tensor, Tensor]] = []

    def bent(v: Tensor) -> Tensor:
        found = product(v)
        for gained, lost in terms:
            found = found + dot(gained, v) * gained - dot(lost, v) * lost
        return found

    for s, y in pairs:
        curve, known = dot(s, y), bent(s)
        if curve > _LEAST_CURVATURE * float(s.norm() * y.norm()) and dot(s, known) > 0:
            terms.append((y / curve**0.5, known / dot(s, known) ** 0.5))
    return bent


@dataclass(frozen=True)
class Scale:
    """D, a positive number per weight, the largest eigenvalue of D^-½·B·D^-½, its direction.

    D is the norm of each row of B, √E[(Bv)²] over random signs v: unlike Hutchinson's estimate of
    the diagonal it is as certain where weights act alike, and B may be indefinite. Source: Dauphin,
    de Vries & Bengio, Equilibrated Adaptive Learning Rates for Non-Convex Optimization (2015).
    """

    diagonal: Tensor
    largest: float
    pulse: Tensor


def measured(product: Product, w: Tensor, before: Scale | None, seed: torch.Generator) -> Scale:
    """The scale of B; with the one ``before``, which it replaces by a third, a few products do."""
    probes, powers = (4, 4) if before else (16, 10)
    squares = torch.zeros_like(w)
    for _ in range(probes):
        signs = torch.randint(0, 2, w.shape, generator=seed).to(w) * 2 - 1
        squares += product(signs).square() / probes
    rows = squares.sqrt()
    rows = rows.clamp(min=_LEAST * float(rows.mean()) or 1.0)
    diagonal = 0.7 * before.diagonal + 0.3 * rows if before else rows
    root, pulse = diagonal.sqrt(), before.pulse if before else torch.ones_like(w)
    largest = before.largest if before else 0.0
    for _ in range(powers):
        pushed = product(pulse / root) / root
        size = float(pushed.norm())
        if not size:
            break
        largest, pulse = size / float(pulse.norm()), pushed / size
    return Scale(diagonal, largest or 1.0, pulse)
