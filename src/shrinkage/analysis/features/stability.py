"""Stability selection: how often a feature is used over many half samples, and what that proves."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shrinkage.analysis.features.bound import ROUNDED, expected_false
from shrinkage.analysis.features.names import Features
from shrinkage.arguments import as_int, as_number, settle
from shrinkage.errors import FitError
from shrinkage.runs import (
    FailedHalfSampleRecord,
    HalfSampleRecord,
    LineRecord,
    RunView,
    StableSetRecord,
)

ASSUMED = "used no more often than by chance, with frequencies of one peak and falling tails"
"""What a false feature is, and what the bound assumes, in short: :func:`expected_false`."""
_FINER = "more points (--points) or more half samples (--stability) let weaker λ count"


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
        remedy = "50 subsamples, threshold 0.9 and 1 error are usual."
        pairs = "an even number of subsamples ≥ 2: they come in pairs"
        count = as_int("stability", self.subsamples, least=2, expected=pairs, remedy=remedy)
        if count % 2:
            raise FitError("stability is out of range", got=count, expected=pairs, remedy=remedy)
        share, few = "a share above 0.5, at most 1", "a number of features > 0"
        settle(
            self,
            subsamples=count,
            threshold=as_number(
                "threshold", self.threshold, above=0.5, most=1, expected=share, remedy=remedy
            ),
            errors=as_number("errors", self.errors, above=0, expected=few, remedy=remedy),
        )

    def most_used(self, features: int) -> float:
        """The number of used features, to half of one, beyond which more false ones are expected.

        More than ``errors``, by :func:`expected_false`, which rises with the number used.
        """
        low, high, pairs = 0.0, float(features), self.subsamples // 2
        while high - low > 0.5:
            middle = (low + high) / 2
            fits = expected_false(middle, features, self.threshold, pairs) <= self.errors
            low, high = (middle, high) if fits else (low, middle)
        return low


@dataclass(frozen=True)
class StableSet:
    """The stable features, and what they rest on.

    ``scale``: the weakest scale that counted. ``used``: features that a subsample used from there
    on, on average. ``expected``: a bound on how many of the stable ones are false, in the sense and
    under the assumptions of :func:`expected_false`; ``errors``: how many were allowed, which even
    the strongest scale may exceed. ``dropped``: pairs of half samples of which one
    diverged, so that neither counted.
    """

    names: tuple[str, ...]
    scale: float
    threshold: float
    used: float
    expected: float
    dropped: int = 0
    errors: float = inf

    @classmethod
    def of(cls, decided: StableSetRecord) -> Self:
        """The one that a run folder keeps."""
        infinite = {"expected": decided.expected, "errors": decided.errors}
        known = {name: inf if value is None else value for name, value in infinite.items()}
        return cls(
            tuple(decided.names),
            decided.scale,
            decided.threshold,
            decided.used,
            dropped=decided.dropped,
            **known,
        )

    @property
    def doubt(self) -> str:
        """Why there may be too few of them, or too many that are false; empty where neither is."""
        if self.expected > self.errors:
            return (
                f"at most {self.errors:g} false were allowed, and no λ of the path has so few: "
                f"{_FINER}, or 1se chooses the point without half samples"
            )
        return "" if self.names else f"no λ with few enough features has any: {_FINER}"

    def __str__(self) -> str:
        return (
            f"{len(self.names)} feature{'s' * (len(self.names) != 1)} used by at least "
            f"{self.threshold:.0%} of the half samples at λ ≥ {self.scale:.3g}, at most "
            f"{self.expected:.2g} of them expected to be false ({ASSUMED}): "
            + (", ".join(self.names) or "none")
            + (f"; {self.doubt}" if self.doubt else "")
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
        enough = self.share[at] >= threshold - ROUNDED
        return StableSet(
            tuple(name for name, is_stable in zip(self.names, enough, strict=True) if is_stable),
            self.scales[at],
            threshold,
            float(self.used[at]),
            bounds[at],
            self.dropped,
            errors,
        )


def frequencies(view: RunView) -> Frequencies | None:
    """Selection frequencies of a run; None where it has no whole pair of subsamples (yet).

    A pair of which one diverged is left out: what the bound needs is complementary pairs.
    """
    pairs = _pairs(view)
    whole = [pair for pair in pairs if all(isinstance(walk, HalfSampleRecord) for walk in pair)]
    walks = [walk for pair in whole for walk in pair if isinstance(walk, HalfSampleRecord)]
    if not walks:
        return None
    features = Features.of(view)
    order = np.argsort(walks[0].scales)[::-1]
    share = np.zeros((len(order), len(features)))
    for walk in walks:
        used = np.array([features.used(inputs) for inputs in walk.inputs])[order]
        share += np.logical_or.accumulate(used, axis=0)
    scales: Sequence[float] = np.array(walks[0].scales)[order].tolist()
    return Frequencies(
        features.names,
        tuple(scales[::-1]),
        share[::-1] / len(walks),
        len(walks),
        dropped=len(pairs) - len(whole),
    )


def _pairs(
    view: RunView,
) -> list[tuple[LineRecord, ...]]:
    """Both halves of a sample, where both are known."""
    lines = {**view.records(HalfSampleRecord), **view.records(FailedHalfSampleRecord)}
    known = {int(name.removeprefix("subsample/")): lines[name] for name in lines}
    first = (number for number in sorted(known) if number % 2 == 0 and number + 1 in known)
    return [(known[number], known[number + 1]) for number in first]
