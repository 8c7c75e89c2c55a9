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
    have in common. Each seed has validation examples of its own, so the spread of the seeds'
    means holds both the examples' and the training's noise; with few seeds it may be small by
    luck, and is never taken below the spread of all chunks.
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
    for t in np.flatnonzero(usable):
        difference = table[t] - table[best]
        excess[t] = difference.mean()
        error[t] = max(_standard_error(difference.mean(axis=1)), _standard_error(difference))
    index = best
    if rule == "1se" and ordered:
        index = int(max(t for t in np.flatnonzero(usable) if t >= best and excess[t] <= error[t]))
    return Choice(index, best, tuple(means), tuple(excess), tuple(error))


def _standard_error(values: np.ndarray) -> float:
    """Standard error of the mean; 0 of a single value, which shows no spread."""
    return float(values.std(ddof=1)) / sqrt(values.size) if values.size > 1 else 0.0
