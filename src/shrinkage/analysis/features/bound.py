"""How many of the features that stability selection finds may be false."""

from collections.abc import Callable
from functools import cache
from math import ceil, exp, log

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar

ROUNDED = 1e-9
"""Shares are rounded numbers."""
_PAIRS, _HALVES = -0.5, -0.25
"""r of the concave distributions: of pairs that both use a feature, and of half samples."""
_FLAT = 1e12
"""(a + i)^(1/r) is constant in i for so large an a."""


@cache
def expected_false(used: float, features: int, threshold: float, pairs: int) -> float:
    """A bound on the expected number of false features among the stable ones.

    q features of p are used by a half sample on average, B is the number of complementary pairs,
    π the threshold. False is a feature that a half sample selects with a probability of at most
    q/p, no more than by chance. For any selection procedure the bound is q²/((2π − 1)·p). Where
    the frequencies of false features are r-concave distributions, r = −½ over pairs of which both
    halves use the feature and −¼ over half samples (one peak, and tails no heavier than those of
    i^(1/r)), it is p·min(D(q²/p², 2π − 1, B, −½), D(q/p, π, 2B, −¼)) with D of :func:`_tail`. The
    smaller one is returned.
    Source: Shah & Samworth, Variable Selection with Error Control (2013), the bounds without
    assumptions and under r-concavity.

    >>> round(expected_false(10, 200, 0.75, 10), 2), round(expected_false(20, 200, 0.9, 25), 2)
    (0.23, 0.19)
    """
    chance, at = used / features, ceil(2 * pairs * threshold - ROUNDED)  # of 2B frequencies
    any_way = used * chance / (2 * threshold - 1)
    concave = min(
        _tail(chance**2, at - pairs, pairs, _PAIRS), _tail(chance, at, 2 * pairs, _HALVES)
    )
    return min(any_way, features * concave)


def _tail(mean: float, at: int, steps: int, r: float) -> float:
    """D: the largest P(X ≥ ``at``) of an r-concave X on 0, 1 … ``steps`` with E X = mean·steps.

    f is r-concave where f^r is convex on its support (r < 0). The largest tails have
    f(i) ∝ (a + i)^(1/r) up to some k, and what is left of the mean at k + 1. 1 for tails that begin
    before twice the mean. Source: Shah & Samworth (2013), r-concavity; their r_concave_tail.R.
    """
    if not mean:
        return 0.0
    m = mean * steps
    shortest = ceil(2 * m) + 1  # uniform on 0 … k has mean k/2
    if at < shortest or shortest > steps:
        return 1.0
    ends = range(max(shortest, at - 1), steps + 1)
    a = {k: _with_mean(m, k, r) for k in ends}  # log a at which all of the mean is in 0 … k
    whole = _weights(a[steps], steps, r)
    largest = float(whole[at:].sum() / whole.sum())
    for k in ends[:-1]:
        tail = _and_a_rest(m, at, k, r)
        low, high = a[k + 1], a[k]
        largest = max(largest, tail(low), tail(high))
        if high - low > ROUNDED:
            found = minimize_scalar(lambda x, t=tail: -t(x), bounds=(low, high), method="bounded")
            largest = max(largest, -float(found.fun))
    return min(largest, 1.0)


def _weights(log_a: float, k: int, r: float) -> NDArray[np.float64]:
    """(1 + i/a)^(1/r) for i = 0 … k."""
    return (1 + np.arange(k + 1) / exp(log_a)) ** (1 / r)


def _with_mean(m: float, k: int, r: float) -> float:
    """log a at which the weights on 0 … k have mean m, which is below k/2."""

    def excess(log_a: float) -> float:
        weights = _weights(log_a, k, r)
        return float(np.arange(k + 1) @ weights / weights.sum()) - m

    return float(brentq(excess, -log(_FLAT), log(_FLAT)))


def _and_a_rest(m: float, at: int, k: int, r: float) -> Callable[[float], float]:
    """P(X ≥ at) as a function of log a, where k + 1 takes so much that the mean is m."""
    reach = k + 1 - np.arange(k + 1)

    def tail(log_a: float) -> float:
        weights = _weights(log_a, k, r)
        return 1 - (k + 1 - m) * float(weights[:at].sum() / (reach @ weights))

    return tail
