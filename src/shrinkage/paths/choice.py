"""Choosing a strength on validation data."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Rule = Literal["1se", "best"]


@dataclass(frozen=True)
class Choice:
    """The index chosen, the index with the lowest mean loss, and the figures behind it.

    ``excess[t]``: mean of loss(t) − loss(best), paired over seeds and examples; ``error[t]``: the
    standard error of that difference. Both are NaN for tries that failed. ``best_error``: the
    standard error of the best try's own loss, beyond which no excess is tolerated.
    """

    index: int
    best: int
    means: tuple[float, ...]
    excess: tuple[float, ...]
    error: tuple[float, ...]
    best_error: float


def choose(losses: ArrayLike, rule: Rule, *, ordered: bool) -> Choice | None:
    """Choose among tries by their validation losses, (tries, seeds, chunks of examples).

    ``"best"``: the lowest mean. ``"1se"``: from the best on towards more regularization, as far
    as every try's excess over the best is at most the smaller of two standard errors: that of the
    paired difference, and that of the best try's own loss. The first try outside, or failed, ends
    the walk. Tries must be ``ordered`` from least to most regularized, otherwise the best is taken.

    Pairing removes what seeds and examples have in common. The best try's own standard error
    bounds it, because a try that collapses in one seed of S and ties in the others has the excess
    d/S *and* the paired standard error d/S, however large d is. Each seed has validation examples
    of its own, so the spread of the seeds' means holds both the examples' and the training's
    noise; with few seeds it may be small by luck, and is never taken below the spread of all
    chunks.

    A chunk that is NaN for all tries of a seed has no weight in the loss (examples of an ignored
    class, say) and is left out; seeds count equally, whatever they have left. A try that failed
    (any other loss that is not finite) is never chosen; None where in some seed all failed.
    Source: Breiman et al., CART (1984), §3.4.3: one standard error of the best; here also paired.
    """
    table = np.asarray(losses, dtype=float)
    held = ~np.isnan(table).all(axis=0)
    usable = np.isfinite(table[:, held]).all(axis=1) & held.any(axis=1).all()
    if not usable.any():
        return None
    means = [_seed_means(row, held).mean() for row in table]
    best = int(np.nanargmin(np.where(usable, means, np.nan)))
    excess, error = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for t in np.flatnonzero(usable):
        excess[t], error[t] = _mean_and_error(table[t] - table[best], held)
    _, best_error = _mean_and_error(table[best], held)
    index = best
    if rule == "1se" and ordered:
        index = _walked(best, excess <= np.minimum(error, best_error))
    return Choice(index, best, tuple(means), tuple(excess), tuple(error), best_error)


def _walked(best: int, tolerated: np.ndarray) -> int:
    """The last try of the unbroken row of tolerated ones that begins at the best."""
    outside = np.flatnonzero(~tolerated[best + 1 :])
    return best + int(outside[0]) if outside.size else len(tolerated) - 1


def _mean_and_error(values: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Mean over seeds and its standard error, by seeds or by chunks, whichever is larger."""
    seeds = _seed_means(values, held)
    return float(seeds.mean()), max(_standard_error(seeds), _standard_error(values[held]))


def _seed_means(values: np.ndarray, held: np.ndarray) -> np.ndarray:
    """The mean of each seed over the chunks it holds."""
    return np.array([row[there].mean() for row, there in zip(values, held, strict=True)])


def _standard_error(values: np.ndarray) -> float:
    """Standard error of the mean; 0 of a single value, which shows no spread."""
    return float(values.std(ddof=1)) / sqrt(values.size) if values.size > 1 else 0.0
