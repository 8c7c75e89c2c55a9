"""Mean, spread and paired differences over seeds: one arithmetic for all that is reported.

What is not known counts nowhere: ``None``, which is what a run folder has for a number that is not
finite, and NaN and the infinities themselves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Values = Iterable[float | None] | Mapping[int, float | None]
"""Values, or values by seed."""


def known(values: Values) -> list[float]:
    """The values that are known; of a mapping by seed its values, not its seeds.

    >>> known([1, None, float("nan"), float("inf")]), known({7: 2.5})
    ([1.0], [2.5])
    """
    if isinstance(values, Mapping):
        return list(by_seed(values).values())
    return [float(value) for value in values if value is not None and isfinite(value)]


def mean(values: Values) -> float | None:
    """The mean of what is known; None of nothing."""
    found = known(values)
    return fmean(found) if found else None


def sd(values: Values) -> float | None:
    """The standard deviation of a sample; None of fewer than two."""
    found = known(values)
    return stdev(found) if len(found) > 1 else None


def standard_error(values: Values) -> float | None:
    """The standard error of the mean; None of fewer than two."""
    found = known(values)
    return stdev(found) / sqrt(len(found)) if len(found) > 1 else None


def array_standard_error(values: NDArray[np.float64]) -> float:
    """The standard error of the mean of an array without unknown values; 0 of a single value.

    It is :func:`standard_error` in NumPy's sums, for tables of losses: choices were made by these,
    and ties are decided by the last digit. A single value shows no spread, so that nothing beyond
    it is tolerated.
    """
    return float(values.std(ddof=1)) / sqrt(values.size) if values.size > 1 else 0.0


@dataclass(frozen=True)
class Difference:
    """Mean of a − b over the seeds of both, its standard error (None with one seed)."""

    mean: float
    se: float | None
    n: int

    @classmethod
    def of(cls, deltas: Values) -> Self | None:
        """The difference whose values by seed are these; None of nothing."""
        found = known(deltas)
        return cls(fmean(found), standard_error(found), len(found)) if found else None

    def __neg__(self) -> Self:
        """b − a."""
        return type(self)(-self.mean, self.se, self.n)

    @property
    def half_width(self) -> float | None:
        """Half the 95 % interval of the mean: Student's t with n − 1 degrees of freedom."""
        return None if self.se is None else float(stdtrit(self.n - 1, 0.975)) * self.se

    @property
    def sign(self) -> int | None:
        """+1 or −1 where the 95 % interval leaves out 0, 0 where not, None with one seed."""
        if self.half_width is None:
            return None
        if abs(self.mean) <= self.half_width:
            return 0
        return 1 if self.mean > 0 else -1

    @property
    def direction(self) -> int:
        """+1, −1 or 0: where the mean goes, whatever the seeds say of it."""
        return (self.mean > 0) - (self.mean < 0)


def by_seed(values: Mapping[int, float | None]) -> dict[int, float]:
    """The values that are known, with their seeds."""
    return {
        seed: float(value)
        for seed, value in values.items()
        if value is not None and isfinite(value)
    }


def paired(
    these: Mapping[int, float | None], those: Mapping[int, float | None]
) -> dict[int, float]:
    """These − those, for every seed in which both are known."""
    ours, theirs = by_seed(these), by_seed(those)
    return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}


def difference(
    these: Mapping[int, float | None], those: Mapping[int, float | None]
) -> Difference | None:
    """These − those, paired by seed; None where no seed has both.

    >>> difference({0: 3.0, 1: 4.0}, {0: 1.0, 1: 2.0, 2: 9.0})
    Difference(mean=2.0, se=0.0, n=2)
    """
    return Difference.of(paired(these, those))
