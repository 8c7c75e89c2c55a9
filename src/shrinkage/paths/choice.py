"""Choosing a strength on validation data."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Rule = Literal["1se", "best"]


@dataclass(frozen=True)
class Choice:
    """The index chosen, the index with the lowest mean loss, and the paired figures behind it.

    ``excess[t]``: mean of loss(t) − loss(best), paired over seeds and examples;
    ``error[t]``: its standard error. Both are NaN for tries that failed.
    """

    index: int
    best: int
    means: tuple[float, ...]
    excess: tuple[float, ...]
    error: tuple[float, ...]


def choose(losses: ArrayLike, rule: Rule, *, ordered: bool) -> Choice | None:
    """Choose among tries by their validation losses, (tries, seeds, chunks of examples).

    ``"best"``: the lowest mean. ``"1se"``: the most regularized try whose loss exceeds the best
    by at most one standard error of the paired difference; tries must be ``ordered`` from least
    to most regularized, otherwise the best is taken. Pairing removes what seeds and examples
    have in common; the error adds the variance of the mean over examples and over seeds.
    A try that failed (a loss that is not finite) is never chosen; None where all failed.
    Source: Breiman et al., CART (1984), §3.4.3, with the standard error of paired differences.
    """
    table = np.asarray(losses, dtype=float)
    means = table.mean(axis=(1, 2))
    usable = np.isfinite(means)
    if not usable.any():
        return None
    best = int(np.nanargmin(np.where(usable, means, np.nan)))
    excess, error = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for index in np.flatnonzero(usable):
        difference = table[index] - table[best]
        excess[index] = difference.mean()
        error[index] = sqrt(_squared_error(difference, 0) + _squared_error(difference, 1))
    index = best
    if rule == "1se" and ordered:
        index = max(t for t in np.flatnonzero(usable) if t >= best and excess[t] <= error[t])
    return Choice(int(index), best, tuple(means), tuple(excess), tuple(error))


def _squared_error(difference: np.ndarray, axis: int) -> float:
    """Squared standard error of the mean, from the spread along one axis of the others' mean."""
    along = difference.mean(axis=1 - axis)
    return float(along.var(ddof=1) / len(along)) if len(along) > 1 else 0.0
