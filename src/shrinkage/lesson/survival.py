"""C11: a large weight survives only if it improves the loss enough."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from shrinkage.lesson.verdicts import Finding, Verdict

LARGE = 0.1
"""A weight is large from this share of the largest on."""
FEW = 3
"""Fewer large weights than this tell nothing."""
MOST = 0.9
HALF = 0.5
AT_REST = 0.1
"""How far the slope of the loss may be from the penalty's where training has come to rest, of it;
minibatches keep it moving."""


@dataclass(frozen=True)
class Slopes:
    """What the slope of the loss has to do with the penalty's.

    ``pull``: the median of |∂loss/∂w| over the penalty's slope, at ``large`` large survivors: 1 is
    balance, less means that they still shrink. ``within``: the share of ``zeros`` zeros at which
    |∂loss/∂w| is at most the penalty's slope, so that they stay. None where there are none.
    """

    pull: float | None
    large: int
    within: float | None
    zeros: int

    @classmethod
    def of(cls, rows: ArrayLike) -> Self:
        """From |w|, |∂loss/∂w| and the slope of the penalty: a row for each weight."""
        size, slope, demand = np.asarray(rows, dtype=float).reshape(-1, 3).T
        large = (size > 0) & (size >= LARGE * size.max(initial=0.0))
        zero, priced = size == 0, demand > 0
        ratios = slope[large & priced] / demand[large & priced]
        stays = slope[zero & priced] <= demand[zero & priced]
        return cls(
            pull=float(np.median(ratios)) if len(ratios) else None,
            large=int(large.sum()),
            within=float(stays.mean()) if len(stays) else None,
            zeros=len(stays),
        )

    @property
    def is_moving(self) -> bool:
        """Whether the loss holds large weights with less than the penalty's slope."""
        return self.pull is not None and self.pull < 1 - AT_REST

    @property
    def is_held(self) -> bool:
        """Whether it holds them with more, so that they still grow."""
        return self.pull is not None and self.pull > 1 + AT_REST

    @property
    def stays(self) -> Verdict:
        """Whether the zeros stay zero; nothing speaks against it where there are none."""
        return "seen" if self.within is None or self.within >= MOST else "not seen"


@dataclass(frozen=True)
class Removal:
    """One weight set to zero: its size, the rise in loss, the penalty saved."""

    size: float
    rise: float
    saved: float

    @property
    def pays(self) -> bool:
        """Whether the weight is worth its price."""
        return self.rise >= self.saved


@dataclass(frozen=True)
class Survival:
    """Large weights raise the loss by at least the penalty saved when set to zero, one at a time.

    ``large``: how many were tried, ``paying``: how many do. Where they are on their way to zero
    still, what they are worth as a whole is half of the evidence. The other side of the price are
    the zeros: most of them must not be worth leaving zero for.
    """

    paying: int
    large: int
    slopes: Slopes

    @classmethod
    def of(cls, removals: Iterable[Removal], slopes: Slopes) -> Self:
        """From removals, of which the large weights' count."""
        tried = list(removals)
        top = max((r.size for r in tried), default=0.0)
        large = [r for r in tried if r.size >= LARGE * top]
        return cls(sum(r.pays for r in large), len(large), slopes)

    @property
    def finding(self) -> Finding:
        """By the share of large weights that pay, in part where slopes speak against it."""
        if not self.large:
            return Finding("not seen", "no weight left")
        if self.large < FEW:
            return Finding("undecided", "too few")
        share = self.paying / self.large
        verdict: Verdict = "seen" if share >= MOST else "not seen" if share < HALF else "partly"
        if verdict == "seen" and self.slopes.is_moving:
            return Finding("partly", "still shrinking")
        if verdict == "seen" and self.slopes.stays != "seen":
            return Finding("partly", "zeros would leave")
        return Finding(verdict)
