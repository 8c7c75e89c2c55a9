"""A number over seeds: its mean and spread, and differences paired by seed."""

from collections.abc import Mapping
from dataclasses import dataclass

from shrinkage.lesson import estimates


@dataclass(frozen=True)
class Figure:
    """Mean over seeds and standard deviation (None with one seed); the values and their seeds."""

    mean: float
    sd: float | None
    values: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def by_seed(self) -> dict[int, float]:
        """The value of each seed."""
        return dict(zip(self.seeds, self.values, strict=True))


def figure(values: Mapping[int, float | None]) -> Figure | None:
    """The figure of the values that exist; None where there are none."""
    known = estimates.by_seed(values)
    mean = estimates.mean(known)
    if mean is None:
        return None
    return Figure(mean, estimates.sd(known), tuple(known.values()), tuple(known))


def plus(a: float | None, b: float | None) -> float | None:
    """The sum; None where a part of it is not known."""
    return None if a is None or b is None else a + b


def minus(a: float | None, b: float | None) -> float | None:
    """The difference; None where a part of it is not known."""
    return None if a is None or b is None else a - b


@dataclass(frozen=True)
class Paired:
    """Mean of a difference over seeds, its standard error (None with one seed), the values."""

    mean: float
    se: float | None
    values: list[float]


def paired(these: Figure | None, those: Figure | None) -> Paired | None:
    """Mean of these − those over the seeds of both, and its standard error (None with one)."""
    if these is None or those is None:
        return None
    deltas = estimates.paired(these.by_seed, those.by_seed)
    found = estimates.Difference.of(deltas)
    return None if found is None else Paired(found.mean, found.se, list(deltas.values()))
