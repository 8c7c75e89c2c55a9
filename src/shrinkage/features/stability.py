"""Stability selection: how often a feature is used over many half samples, and what that proves."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from shrinkage.errors import FitError
from shrinkage.features.naming import Features
from shrinkage.runs import RunView

_ROUNDED = 1e-9
"""Shares are rounded numbers."""


@dataclass(frozen=True)
class Stability:
    """Stability selection: ``subsamples`` half samples, in complementary pairs.

    Features that at least the share ``threshold`` of them use are stable. They are looked for from
    the weakest scale on at which at most ``errors`` false ones are expected
    (:func:`expected_false`). Raises :class:`FitError` for an odd number of subsamples, a threshold
    outside ½ < π ≤ 1 and errors that are not positive.
    Source: Meinshausen & Bühlmann, Stability Selection (2010); Shah & Samworth, Variable Selection
    with Error Control (2013).
    """

    subsamples: int = 50
    threshold: float = 0.9
    errors: float = 1.0

    def __post_init__(self) -> None:
        count, threshold, errors = self.subsamples, self.threshold, self.errors
        for name, value, fits, expected in (
            (
                "stability",
                count,
                isinstance(count, int) and count >= 2 and count % 2 == 0,
                "an even number of subsamples ≥ 2: they come in pairs",
            ),
            ("threshold", threshold, 0.5 < threshold <= 1, "a share above 0.5, at most 1"),
            ("errors", errors, 0 < errors < inf, "a number of features > 0"),
        ):
            if not fits:
                raise FitError(
                    f"{name} is out of range",
                    got=value,
                    expected=expected,
                    remedy="50 subsamples, threshold 0.9 and 1 error are usual.",
                )

    def most_used(self, features: int) -> float:
        """The number of used features beyond which more than ``errors`` false ones are expected.

        Without assumptions: √(errors·(2π − 1)·p).
        """
        return sqrt(self.errors * (2 * self.threshold - 1) * features)


@dataclass(frozen=True)
class StableSet:
    """The stable features, and what they rest on.

    ``scale``: the weakest scale that counted. ``used``: features that a subsample used from there
    on, on average. ``expected``: a bound on how many of the stable ones are false. ``dropped``:
    pairs of half samples of which one diverged, so that neither counted.
    """

    names: tuple[str, ...]
    scale: float
    threshold: float
    used: float
    expected: float
    dropped: int = 0

    def __str__(self) -> str:
        return (
            f"{len(self.names)} features used by at least {self.threshold:.0%} of the half samples "
            f"at λ ≥ {self.scale:.3g} (at most {self.expected:.2g} of them expected to be false): "
            + (", ".join(self.names) or "none")
            + (f"; pairs dropped, because one diverged: {self.dropped}" if self.dropped else "")
        )


@dataclass(frozen=True, eq=False)
class Frequencies:
    """Selection frequencies over subsamples.

    ``share[s, k]``: the share of subsamples that use feature ``names[k]`` at ``scales[s]`` or a
    stronger one; ``used[s]``: how many features a subsample uses there on average. Weakest first.
    ``subsamples`` are in complementary pairs; ``dropped``: pairs left out, because one diverged.
    """

    names: tuple[str, ...]
    scales: tuple[float, ...]
    share: NDArray[np.float64]
    subsamples: int
    dropped: int = 0

    @property
    def used(self) -> NDArray[np.float64]:
        """How many features a subsample uses at each scale or a stronger one, on average."""
        total: NDArray[np.float64] = self.share.sum(axis=1)
        return total

    def expected(self, threshold: float) -> list[float]:
        """At each scale, the bound on false features among the stable ones."""
        p, pairs = len(self.names), self.subsamples // 2
        return [expected_false(q, p, threshold, pairs) for q in self.used.tolist()]

    def at(self, scale: float) -> dict[str, float]:
        """The frequencies at one of the scales, by feature."""
        row = self.share[self.scales.index(scale)]
        return dict(zip(self.names, row.tolist(), strict=True))

    def stable(self, threshold: float = 0.9, errors: float = 1.0) -> StableSet:
        """The features whose frequency reaches ``threshold`` where few errors are expected.

        From the weakest scale on at which :func:`expected_false` is at most ``errors``; the
        strongest one where that holds for none.
        """
        Stability(threshold=threshold, errors=errors)
        bounds = self.expected(threshold)
        at = next((s for s, bound in enumerate(bounds) if bound <= errors), len(bounds) - 1)
        enough = self.share[at] >= threshold - _ROUNDED
        return StableSet(
            tuple(name for name, is_stable in zip(self.names, enough, strict=True) if is_stable),
            self.scales[at],
            threshold,
            float(self.used[at]),
            bounds[at],
            self.dropped,
        )


def expected_false(used: float, features: int, threshold: float, pairs: int) -> float:
    """A bound on the expected number of false features among the stable ones.

    q features of p are used by a half sample on average, B is the number of complementary pairs,
    π the threshold. False is a feature that a half sample selects with a probability of at most
    q/p, no more than by chance. For any selection procedure the bound is q²/((2π − 1)·p). It is
    C(π, B)·q²/p, with C about 1/(4π − 2) up to π = ¾ and 4·(1 − π) beyond, where the frequencies
    of false features have a distribution with one peak. The smaller of both is returned.
    Source: Shah & Samworth (2013), theorems 1 and 2.

    >>> round(expected_false(10, 200, 0.75, 10), 2), round(expected_false(20, 200, 0.9, 25), 2)
    (0.56, 0.92)
    """
    chance = used / features
    any_way = 1 / (2 * threshold - 1)
    return used * chance * min(any_way, _one_peak(threshold, pairs, chance))


def _one_peak(threshold: float, pairs: int, chance: float) -> float:
    """C(π, B) of theorem 2, for q/p ≤ 1/√3; infinite where the theorem says nothing."""
    steps = 2 * pairs
    threshold = ceil(threshold * steps - _ROUNDED) / steps  # frequencies are multiples of 1/(2B)
    if chance > 1 / sqrt(3):
        return inf
    if threshold > 0.75:
        return 4 * (1 - threshold + 1 / steps) / (1 + 1 / pairs)
    least = min(0.5 + chance**2, 0.5 + 1 / steps + 0.75 * chance**2)
    return 0.5 / (2 * threshold - 1 - 1 / steps) if threshold > least else inf


def frequencies(view: RunView) -> Frequencies | None:
    """Selection frequencies of a run; None where it has no whole pair of subsamples (yet).

    A pair of which one diverged is left out: what the bound needs is complementary pairs.
    """
    known = {
        int(name.removeprefix("subsample/")): point
        for name, point in view.of_kind("subsample").items()
    }
    pairs = [
        (known[number], known[number + 1])
        for number in sorted(known)
        if number % 2 == 0 and number + 1 in known
    ]
    whole = [pair for pair in pairs if not any("failed" in walk for walk in pair)]
    walks = [walk for pair in whole for walk in pair]
    if not walks:
        return None
    features = Features.of(view)
    order = np.argsort(walks[0]["scales"])[::-1]
    share = np.zeros((len(order), len(features)))
    for walk in walks:
        used = np.array([features.used(inputs) for inputs in walk["inputs"]])[order]
        share += np.logical_or.accumulate(used, axis=0)
    scales: Sequence[float] = np.array(walks[0]["scales"])[order].tolist()
    return Frequencies(
        features.names,
        tuple(scales[::-1]),
        share[::-1] / len(walks),
        len(walks),
        dropped=len(pairs) - len(whole),
    )
