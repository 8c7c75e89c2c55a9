"""Grids of strengths: pure functions, apart from what is done with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log10, sqrt
from sys import float_info
from typing import TypeGuard

import numpy as np
from torch import Tensor

from shrinkage.arguments import as_int, as_number, plain, settle
from shrinkage.errors import FitError, shown

WEAKEST, STRONGEST = 1e-4, 3e-2
_MANY = 2000  # examples
_FOUND = "Leave --from and --to out for ends found on the data."


def strengths(
    count: int, weakest: float = WEAKEST, strongest: float = STRONGEST
) -> tuple[float, ...]:
    """``count`` strengths, log-spaced from weakest to strongest, rounded to two digits.

    A grid too fine for two digits has as many as keep its strengths apart.
    The default range spans from hardly felt to emptying for losses that are means of order 1
    (cross-entropy, squared error of a standardised target).
    Raises :class:`FitError` for a count below 1 or an empty range.

    >>> strengths(3, 1e-4, 1e-2)
    (0.0001, 0.001, 0.01)
    """
    only = weakest == strongest and count > 1
    if count < 1 or only or not 0 < weakest <= strongest < inf:
        raise FitError(
            "the grid of strengths is empty",
            got=f"{count} tries from {weakest} to {strongest}",
            expected="at least one try and 0 < weakest < strongest",
            remedy="Leave them out for the default grid.",
        )
    if count == 1:
        return (float(f"{(weakest * strongest) ** 0.5:.1e}"),)
    return _spread(count, log10(weakest), log10(strongest))


def _spread(count: int, low: float, high: float) -> tuple[float, ...]:
    """Powers of ten between these exponents, in as few digits as tell them apart."""
    exact = [10 ** (low + (high - low) * k / (count - 1)) for k in range(count)]
    rounded = (tuple(float(f"{value:.{digits}e}") for value in exact) for digits in range(1, 17))
    return next((grid for grid in rounded if len(set(grid)) == count), tuple(exact))


def weakest_for(n: int) -> float:
    """Where the grid begins for ``n`` training examples: 1e-4, from 2,000 on falling as 1/√n.

    The strength at which noise alone passes for signal falls so: Bickel, Ritov & Tsybakov,
    Simultaneous Analysis of Lasso and Dantzig Selector (2009), theorem 7.2.

    >>> weakest_for(500), weakest_for(50_000)
    (0.0001, 2e-05)
    """
    return WEAKEST * min(1.0, sqrt(_MANY / n))


def checked_grid(values: Sequence[float]) -> tuple[float, ...]:
    """The user's own strengths, from weakest to strongest.

    Raises :class:`FitError` for an empty grid, a strength twice, and values not finite and > 0.
    """
    given = [plain(value) for value in values] if _are_many(values) else [values]
    grid = tuple(sorted(float(value) for value in given if _is_strength(value)))
    if not grid or len(set(grid)) < len(given):
        raise FitError(
            "the strengths are out of range",
            got=", ".join(map(_brief, given)) or "none",
            expected="different finite numbers > 0",
            remedy="For instance 1e-4,1e-3,1e-2.",
        )
    return grid


def _is_strength(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= float_info.max


def _brief(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else shown(value)


def _are_many(values: object) -> bool:
    if isinstance(values, np.ndarray | Tensor):
        return values.ndim == 1
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


@dataclass(frozen=True)
class Grid:
    """``points`` scales between ends that are given, or found on the data where None.

    Raises :class:`FitError` for fewer than two points and ends that are no range.
    """

    points: int
    weakest: float | None = None
    strongest: float | None = None

    def __post_init__(self) -> None:
        settle(
            self,
            points=as_int("points", self.points, least=2, remedy="Leave it out for 25."),
            weakest=self._end("weakest (--from)", self.weakest),
            strongest=self._end("strongest (--to)", self.strongest),
        )
        if self.weakest and self.strongest and not self.weakest < self.strongest:
            raise FitError(
                "the grid of a path is empty",
                got=f"from {self.weakest:g} to {self.strongest:g}",
                expected="finite numbers with 0 < from < to",
                remedy=_FOUND,
            )

    @staticmethod
    def _end(name: str, end: float | None) -> float | None:
        return None if end is None else as_number(name, end, above=0, remedy=_FOUND)

    def scales(self, find_ends: Callable[[], tuple[float, float]]) -> tuple[float, ...]:
        """The scales, weakest first; ``find_ends`` is asked for what is not given."""
        if self.weakest is not None and self.strongest is not None:
            return spaced(self.points, self.weakest, self.strongest)
        weakest, strongest = find_ends()
        return spaced(self.points, self.weakest or weakest, self.strongest or strongest)


def spaced(count: int, weakest: float, strongest: float) -> tuple[float, ...]:
    """``count`` scales, log-spaced; all but the last of three digits, the last one not below.

    >>> spaced(3, 1e-4, 0.0123456)
    (0.0001, 0.00111, 0.0123456)
    """
    if not isinstance(count, int) or count < 2 or not 0 < weakest < strongest < inf:
        raise FitError(
            "the grid of a path is empty",
            got=f"{count} points from {weakest:g} to {strongest:g}",
            expected="at least two points and 0 < from < to",
            remedy=_FOUND,
        )
    low, high = log10(weakest), log10(strongest)
    exact = [10 ** (low + (high - low) * k / (count - 1)) for k in range(count - 1)]
    rounded = [float(f"{value:.3g}") for value in exact]
    distinct = rounded if len({*rounded, strongest}) == count else exact
    return (*distinct, strongest)
