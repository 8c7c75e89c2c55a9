"""Choosing a strength on validation data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from shrinkage.lesson.estimates import array_standard_error

ChoiceRule = Literal["1se", "best", "paired"]


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


def choose(
    chunks: Sequence[Sequence[Sequence[float]]] | np.ndarray,
    rule: ChoiceRule,
    *,
    ordered: bool,
    losses: ArrayLike | None = None,
) -> Choice | None:
    """Choose among tries by their validation losses, (tries, seeds, chunks of examples).

    ``losses`` (tries, seeds) are the mean losses over each seed's examples; where they are not
    given they are the means of the chunks. Seeds, or folds, count equally and may differ in size.

    ``"best"``: the lowest mean over seeds. ``"1se"``: the most regularized try whose mean is at
    most the lowest plus its standard error, over the seeds; with one seed over the examples, by
    their chunks; 0 where there is a single chunk. ``"paired"``: from the best on towards more
    regularization, as far as every try's excess over the best is at most the smaller of two
    standard errors: that of the paired difference, and that of the best try's own loss. The first
    try outside, or failed, ends that walk. Tries must be ``ordered`` from least to most
    regularized, otherwise the best is taken; of equally good ones it is the most regularized.

    Pairing removes what seeds and examples have in common. The best try's own standard error
    bounds it, because a try that collapses in one seed of S and ties in the others has the excess
    d/S *and* the paired standard error d/S, however large d is. With few seeds their spread may be
    small by luck: where tries are paired, it is never taken below the spread of all chunks.

    A chunk that is NaN for all tries of a seed has no weight in the loss (examples of an ignored
    class, say) and is left out. A try that failed (any other loss that is not finite) is never
    chosen; None where in some seed all failed.
    Source: Breiman et al., CART (1984), §3.4.3, and Friedman, Hastie & Tibshirani, glmnet's
    ``lambda.1se``, for the rule of one standard error.
    """
    table = _aligned(chunks)
    held = ~np.isnan(table).all(axis=0)
    if not held.any(axis=1).all():
        return None
    means = _means(table, held) if losses is None else np.asarray(losses, dtype=float)
    usable = np.isfinite(table[:, held]).all(axis=1) & np.isfinite(means).all(axis=1)
    if not usable.any():
        return None
    level = np.where(usable, means.mean(axis=1), np.inf)
    lowest = np.flatnonzero(level == level.min())
    best = int(lowest[-1 if ordered else 0])
    excess, error = _paired(table, best, usable, held)
    best_error = _own_error(rule, means[best], table[best], held)
    index = best
    if rule == "1se" and ordered:
        index = int(np.flatnonzero(level <= level[best] + best_error)[-1])
    elif rule == "paired" and ordered:
        index = _walked(best, excess <= np.minimum(error, best_error))
    return Choice(index, best, tuple(means.mean(axis=1)), tuple(excess), tuple(error), best_error)


def _aligned(chunks: Sequence[Sequence[Sequence[float]]] | np.ndarray) -> np.ndarray:
    """The losses as an array; NaN fills up seeds with fewer chunks than others."""
    most = max((len(row) for tries in chunks for row in tries), default=0)
    return np.array(
        [[[*row, *[np.nan] * (most - len(row))] for row in tries] for tries in chunks], dtype=float
    )


def _means(table: np.ndarray, held: np.ndarray) -> np.ndarray:
    """(tries, seeds)."""
    return np.array([_seed_means(row, held) for row in table], dtype=float)


def _own_error(rule: ChoiceRule, seeds: np.ndarray, chunks: np.ndarray, held: np.ndarray) -> float:
    """The standard error of one try's loss: by seeds, or chunks; paired, the larger of both."""
    if rule == "paired":
        return _mean_and_error(chunks, held)[1]
    return array_standard_error(seeds if seeds.size > 1 else chunks[held])


def _paired(
    table: np.ndarray, best: int, usable: np.ndarray, held: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean excess over the best try and its standard error; NaN for tries that failed."""
    excess, error = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for t in np.flatnonzero(usable):
        excess[t], error[t] = _mean_and_error(table[t] - table[best], held)
    return excess, error


def _walked(best: int, tolerated: np.ndarray) -> int:
    """The last try of the unbroken row of tolerated ones that begins at the best."""
    outside = np.flatnonzero(~tolerated[best + 1 :])
    return best + int(outside[0]) if outside.size else len(tolerated) - 1


def _mean_and_error(values: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Mean over seeds and its standard error, by seeds or by chunks, whichever is larger."""
    seeds = _seed_means(values, held)
    return float(seeds.mean()), max(array_standard_error(seeds), array_standard_error(values[held]))


def _seed_means(values: np.ndarray, held: np.ndarray) -> np.ndarray:
    """The mean of each seed over the chunks it holds."""
    return np.array([row[there].mean() for row, there in zip(values, held, strict=True)])
