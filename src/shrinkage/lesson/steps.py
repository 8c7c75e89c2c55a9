"""C7 and C8: L1 takes the same from every weight, L2 in proportion to its size."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shrinkage.lesson.verdicts import Finding

TOLERANCE = 0.05
"""How far a weight may be from what is expected of it: a proximal step of L2 divides by
1 + 2·lr·λ, which is a few per cent for the strongest λ in use; another formula is off by far more.
"""
NEARLY_ALL = 0.99
MOST = 0.9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moves:
    """A real step, weight by weight: |w|, and what one unit of step size took from it.

    ``shrink`` is negative where a weight grew; ``rounding``: how exactly it can be known;
    ``landed``: whether the step ended at zero.
    """

    size: Floats
    shrink: Floats
    rounding: Floats
    landed: NDArray[np.bool_]

    @classmethod
    def of(cls, w: ArrayLike, delta: ArrayLike, lr: float, eps: float) -> Self:
        """From weights before the step and Δw / lr; ``eps``: the precision they were stored in.

        Weights that are 0, and whatever is not a finite number, are left out.
        """
        before, moved = np.asarray(w, dtype=float), np.asarray(delta, dtype=float)
        known = np.isfinite(before) & np.isfinite(moved) & (before != 0)
        before, moved = before[known], moved[known]
        size = np.abs(before)
        landed = np.abs(before + lr * moved) <= eps * size
        return cls(size, -np.sign(before) * moved, eps * size / lr, landed)

    def __len__(self) -> int:
        return len(self.size)


@dataclass(frozen=True)
class StepFit:
    """How a step fits what a penalty should take from each weight.

    ``n``: weights whose move can be told from rounding and did not end at zero; ``share`` of them
    lose what is expected; ``low``, ``high``: what they lose, in units of it; ``smallest``,
    ``largest``: their |w|; ``stretch``: what the largest loses, in units of the median loss;
    ``landed``: how many ended at zero.
    """

    n: int
    landed: int
    share: float = 0.0
    low: float = 0.0
    high: float = 0.0
    smallest: float = 0.0
    largest: float = 0.0
    stretch: float | None = None

    @classmethod
    def _of(cls, moves: Moves, clear: NDArray[np.bool_], expected: Floats) -> Self:
        landed = int(moves.landed.sum())
        if not clear.any():
            return cls(0, landed)
        size, shrink, expected = moves.size[clear], moves.shrink[clear], expected[clear]
        near = np.abs(shrink - expected) <= TOLERANCE * expected + moves.rounding[clear]
        lost, middle = shrink / expected, float(np.median(shrink))
        return cls(
            n=len(size),
            landed=landed,
            share=float(near.mean()),
            low=float(lost.min()),
            high=float(lost.max()),
            smallest=float(size.min()),
            largest=float(size.max()),
            stretch=float(shrink[size.argmax()]) / middle if middle > 0 else None,
        )

    @classmethod
    def constant(cls, moves: Moves, strength: float) -> Self:
        """Against L1, which takes λ, and from weights nearer to zero than a step what they have."""
        clear = ~moves.landed & (moves.rounding < strength / 2)
        return cls._of(moves, clear, np.full(len(moves), strength))

    @classmethod
    def proportional(cls, moves: Moves, strength: float) -> Self:
        """Against L2, which takes 2λ·|w|."""
        clear = moves.rounding < strength * moves.size
        return cls._of(moves, clear, 2 * strength * moves.size)

    @property
    def finding(self) -> Finding:
        """Nearly all weights must lose what is expected; C7, and C8 as far as one step tells."""
        if not self.n:
            return Finding("undecided", "rounding")
        if self.share >= NEARLY_ALL:
            return Finding("seen")
        return Finding("undecided" if self.share >= MOST else "not seen")


@dataclass(frozen=True)
class ProportionalStep:
    """C8: L2 shrinks in proportion to the weight, large ones much and small ones hardly.

    ``zeros``: the share of exact zeros that training under L2 ended with; ``zeros_without``: that
    without a penalty, None where not known. In proportion no weight arrives at zero but by rounding
    at last, so zeros of an optimizer that divides by the size of the gradient speak against half of
    it: by its steps training did not shrink weights in proportion.
    """

    fit: StepFit
    zeros: float = 0.0
    zeros_without: float | None = None
    optimizer: str = "sgd"

    @property
    def has_own_zeros(self) -> bool:
        """Whether there are zeros that networks without a penalty do not have as often."""
        return self.zeros > 0 and not (
            self.zeros_without is not None and self.zeros_without >= self.zeros
        )

    @property
    def by_factors(self) -> bool:
        """Whether training is known to have multiplied weights, as plain gradients do."""
        return "sgd" in self.optimizer.lower()

    @property
    def finding(self) -> Finding:
        """As the step fits; in part where training divided weights down to zero."""
        found = self.fit.finding
        if found.verdict == "seen" and self.has_own_zeros and not self.by_factors:
            return Finding("partly", "zeros by division")
        return found
