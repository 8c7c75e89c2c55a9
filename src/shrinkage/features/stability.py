"""Stability selection: how often a feature is used over many half samples, and what that proves."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from shrinkage.errors import FitError
from shrinkage.features.naming import Features
from shrinkage.runs import RunView


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
    threshold: float = 0.75
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
                    remedy="50 subsamples, threshold 0.75 and 1 error are usual.",
                )


@dataclass(frozen=True)
class StableSet:
    """The stable features, and what they rest on.

    ``scale``: the weakest scale that counted. ``used``: features that a subsample used from there
    on, on average. ``expected``: a bound on how many of the stable ones are false.
    """

    names: tuple[str, ...]
    scale: float
    threshold: float
    used: float
    expected: float

    def __str__(self) -> str:
        return (
            f"{len(self.names)} features used by at least {self.threshold:.0%} of the half samples "
            f"at λ ≥ {self.scale:.3g} (at most {self.expected:.2g} of them expected to be false): "
            + (", ".join(self.names) or "none")
        )


@dataclass(frozen=True, eq=False)
class Frequencies:
    """Selection frequencies over subsamples.

    ``share[s, k]``: the share of subsamples that use feature ``names[k]`` at ``scales[s]`` or a
    stronger one; ``used[s]``: how many features a subsample uses there on average. Weakest first.
    """

    names: tuple[str, ...]
    scales: tuple[float, ...]
    share: NDArray[np.float64]
    subsamples: int

    @property
    def used(self) -> NDArray[np.float64]:
        """How many features a subsample uses at each scale or a stronger one, on average."""
        total: NDArray[np.float64] = self.share.sum(axis=1)
        return total

    def expected(self, threshold: float) -> list[float]:
        """At each scale, the bound on false features among the stable ones."""
        return [expected_false(q, len(self.names), threshold) for q in self.used.tolist()]

    def stable(self, threshold: float = 0.75, errors: float = 1.0) -> StableSet:
        """The features whose frequency reaches ``threshold`` where few errors are expected.

        From the weakest scale on at which :func:`expected_false` is at most ``errors``; the
        strongest one where that holds for none.
        """
        Stability(threshold=threshold, errors=errors)
        bounds = self.expected(threshold)
        at = next((s for s, bound in enumerate(bounds) if bound <= errors), len(bounds) - 1)
        enough = self.share[at] >= threshold - 1e-9
        return StableSet(
            tuple(name for name, is_stable in zip(self.names, enough, strict=True) if is_stable),
            self.scales[at],
            threshold,
            float(self.used[at]),
            bounds[at],
        )


def expected_false(used: float, features: int, threshold: float) -> float:
    """A bound on the expected number of false features among the stable ones: q²/((2π − 1)·p).

    q features of p are used by a half sample on average, π is the threshold. False is a feature
    that a half sample selects with a probability of at most q/p, no more than by chance. Holds for
    any selection procedure and any number of complementary pairs, without further assumptions.
    Source: Shah & Samworth (2013), theorem 1; Meinshausen & Bühlmann (2010), theorem 1.

    >>> expected_false(10, 200, 0.75)
    1.0
    """
    return used**2 / ((2 * threshold - 1) * features)


def frequencies(view: RunView) -> Frequencies | None:
    """Selection frequencies of a run; None where it has no subsamples, or none yet."""
    walks = [point for point in view.of_kind("subsample").values() if "failed" not in point]
    if not walks:
        return None
    features = Features.of(view)
    order = np.argsort(walks[0]["scales"])[::-1]
    share = np.zeros((len(order), len(features)))
    for walk in walks:
        used = np.array([features.used(inputs) for inputs in walk["inputs"]])[order]
        share += np.logical_or.accumulate(used, axis=0)
    scales: Sequence[float] = np.array(walks[0]["scales"])[order].tolist()
    return Frequencies(features.names, tuple(scales[::-1]), share[::-1] / len(walks), len(walks))
