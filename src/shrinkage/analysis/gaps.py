"""How far a gradient is from what the penalty allows; on kinks, the nearest gradient around."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shrinkage.analysis.blocks import Block, Vector
from shrinkage.analysis.objectives import Objective

RADIUS = 1e-3
"""Of the root mean square of the nonzero weights: how far around the point gradients are taken."""
_ROUNDS = 100


def residuals(
    blocks: Sequence[Block], point: Vector, gradient: Vector
) -> tuple[list[Tensor], list[float]]:
    """Per block: distances of −gradient to ∂P at ``point``, the slope that they are divided by."""
    distances = [
        block.distance(w.double(), g) for block, w, g in zip(blocks, point, gradient, strict=True)
    ]
    kinked = [block.slope for block in blocks if block.slope]
    common = min(kinked) if kinked else max(most(g.abs()) for g in gradient) or 1.0
    return distances, [block.slope or common for block in blocks]


def largest_gap(blocks: Sequence[Block], point: Vector, gradient: Vector) -> float:
    """The gap of :class:`Certificate` for a gradient of the loss at ``point``."""
    distances, slopes = residuals(blocks, point, gradient)
    return max(most(d) / slope for d, slope in zip(distances, slopes, strict=True))


def most(values: Tensor) -> float:
    """The largest of values that are ≥ 0; 0 where there are none."""
    return float(values.max()) if values.numel() else 0.0


@dataclass(frozen=True, eq=False)
class Nearest:
    """Of the convex combinations of gradients around a point the shortest, and the least gap.

    ``gradient`` is least in the root mean square of the gaps of all weights and groups: along it
    the loss falls whichever side of a kink is met. ``gap`` is the smallest largest one.
    """

    gradient: Vector
    gap: float


def nearest(objective: Objective, gradient: Vector, samples: int, seed: int = 0) -> Nearest:
    """The combinations of ``samples`` gradients within :func:`radius` that are nearest to rest.

    ``gradient``, at the point itself, is the first of them. Every weight moves by at most the
    radius, but for the zeros that a kink of the penalty holds. Source: Goldstein, Optimization of
    Lipschitz Continuous Functions (1977); Burke, Lewis & Overton, A Robust Gradient Sampling
    Algorithm (2005).
    """
    blocks, start = objective.blocks, [w.clone() for w in objective.point]
    reach, generator = radius(start), torch.Generator().manual_seed(seed)
    rows = [gradient]
    try:
        for _ in range(samples - 1):
            objective.move(
                [
                    torch.where(block.alive(w), _shaken(w, reach, generator), w)
                    for block, w in zip(blocks, start, strict=True)
                ]
            )
            rows.append(objective.gradient()[1])
    finally:
        objective.move(start)
    stacked = [torch.stack(parts) for parts in zip(*rows, strict=True)]
    slopes = residuals(blocks, start, gradient)[1]

    def mean(mix: Tensor) -> Vector:
        return [torch.tensordot(mix.to(g.device), g, dims=1) for g in stacked]

    def gaps(mix: Tensor) -> Tensor:
        parts = zip(blocks, start, mean(mix), slopes, strict=True)
        found = [(b.distance(w.double(), g) / slope).flatten().cpu() for b, w, g, slope in parts]
        return torch.cat(found)

    itself, *mixes = torch.eye(samples, dtype=torch.float64)[0], *_mixes(gaps, samples)
    return Nearest(mean(mixes[0]), min(most(gaps(mix)) for mix in (itself, *mixes)))


def radius(point: Vector) -> float:
    """1e-3 of the root mean square of the weights that are not 0."""
    alive = [w[w != 0].double() for w in point]
    count = sum(w.numel() for w in alive)
    squares = sum(float(w.square().sum()) for w in alive)
    return RADIUS * math.sqrt(squares / count) if count else 0.0


def _shaken(w: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    noise = torch.rand(w.shape, generator=generator, dtype=torch.float64) * 2 - 1
    return w + (radius * noise).to(w)


def _mixes(gaps: Callable[[Tensor], Tensor], samples: int) -> Iterator[Tensor]:
    """argmin ‖gaps(mix)‖_p over the simplex, for p = 2, 8, 32, each from the last.

    The last is nearly that of the maximum. The gaps are convex in the mix.
    """
    mix, step = torch.full((samples,), 1 / samples, dtype=torch.float64), 1.0
    for p in (2.0, 8.0, 32.0):
        for _ in range(_ROUNDS):
            mix = mix.detach().requires_grad_()
            with torch.enable_grad():
                value = _norm(gaps(mix), p)
                (slope,) = torch.autograd.grad(value, mix)
            if not value:
                break
            moved, step = _descend(gaps, p, mix.detach(), float(value.detach()), slope, step)
            if moved is None:
                break
            mix = moved
        yield mix.detach()


def _descend(
    gaps: Callable[[Tensor], Tensor],
    p: float,
    mix: Tensor,
    value: float,
    slope: Tensor,
    step: float,
) -> tuple[Tensor | None, float]:
    """One projected step with backtracking from twice the last step; None where none descends."""
    step *= 2
    for _ in range(40):
        trial = _onto_simplex(mix - step * slope)
        enough = 1e-4 / step * float((trial - mix).square().sum())
        if float(_norm(gaps(trial), p)) < value - enough:
            return trial, step
        step /= 2
    return None, 1.0


def _norm(gaps: Tensor, p: float) -> Tensor:
    """‖gaps‖_p; powers of tiny gaps would underflow, so the largest is taken out."""
    top = gaps.detach().max()
    norm: Tensor = torch.linalg.vector_norm(gaps / torch.where(top == 0, 1.0, top), ord=p)
    return top * norm


def _onto_simplex(v: Tensor) -> Tensor:
    """The nearest point of the simplex. Source: Held, Wolfe & Crowder (1974).

    It does not depend on a shift, and beside a large one the 1 would be lost in rounding.
    """
    v = v - v.max()
    ordered = v.sort(descending=True).values
    excess = (ordered.cumsum(0) - 1) / torch.arange(1, len(v) + 1, dtype=v.dtype)
    threshold = excess[(ordered > excess).nonzero().max()]
    return (v - threshold).clamp(min=0)
