"""Choosing one point of a path: by rule, tolerance, size or scale; from validation data only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any, Literal, get_args

import numpy as np

from shrinkage.errors import FitError, did_you_mean
from shrinkage.paths.choice import Rule, choose
from shrinkage.runs import RunView
from shrinkage.studies import complete, is_usable

Family = Literal["fit", "refit", "stable"]
Point = dict[str, Any]
_ALONG: tuple[Family, ...] = ("fit", "refit")
_RULES = (*get_args(Rule), "stable")


@dataclass(frozen=True)
class Wanted:
    """What is asked of a choice; exactly one of these, ``rule`` where nothing is given.

    ``rule``: ``"1se"`` or ``"best"`` (:func:`shrinkage.paths.choose`), or ``"stable"``, the
    features that stability selection found. ``within``: the fewest
    nonzeros whose score is within this of the best (0.005: half a point of accuracy).
    ``nonzeros``, ``features``: the best validation loss among points with at most so many, on
    average over seeds. ``scale``: the point at this scale.
    """

    rule: str | None = None
    within: float | None = None
    nonzeros: int | None = None
    features: int | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) > 1:
            raise FitError(
                "a choice is over-determined",
                got=" and ".join(given),
                expected="one of rule, within, nonzeros, features, scale",
                remedy='choose("1se") is the default.',
            )
        if self.rule is not None and self.rule not in _RULES:
            raise FitError(
                "choose is unknown",
                got=repr(self.rule),
                expected=" or ".join(_RULES),
                remedy=did_you_mean(str(self.rule), _RULES) + "1se is the default.",
            )
        for name in ("within", "nonzeros", "features", "scale"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 <= value < inf):
                raise FitError(
                    f"{name} is out of range",
                    got=value,
                    expected="a finite number ≥ 0",
                    remedy="Leave it out for the one-standard-error rule.",
                )


@dataclass(frozen=True)
class Selected:
    """A chosen point: its scale, fit or refit (or the stable features), and why, in a sentence."""

    scale: float
    family: Family
    why: str


class Table:
    """The points of a path by scale, over seeds; scales at which a seed failed are left out."""

    def __init__(self, view: RunView) -> None:
        self.rows = complete(view)
        self.score_name = next((row[0]["score_name"] for row in self.rows.values()), "score")

    @property
    def scales(self) -> list[float]:
        """From the dense end on."""
        return list(self.rows)

    def has(self, family: Family) -> bool:
        """Is there anything of this family?"""
        return any(_is_of(row, family) for row in self.rows.values())

    def of(self, family: Family) -> dict[float, list[Point]]:
        """The validation part of each seed, by scale; the dense network counts as its own refit."""
        return {
            scale: [fit["validation"] if family == "fit" else _refit(fit) for fit in row]
            for scale, row in self.rows.items()
            if family == "fit" or _is_of(row, "refit") or scale == 0
        }

    def mean(self, scale: float, read: Any) -> float:
        """The mean over seeds of what ``read`` finds in a fit."""
        return float(np.mean([read(fit) for fit in self.rows[scale]]))

    def nonzeros(self, scale: float) -> float:
        """Penalised weights that are not zero, mean over seeds."""
        return self.mean(scale, lambda fit: fit["weights"]["nonzeros"])

    def features(self, scale: float) -> float:
        """Inputs that are used, mean over seeds; NaN where the wiring is not known."""
        return self.mean(
            scale, lambda fit: nan if fit["features"] is None else len(fit["features"])
        )


def select(view: RunView, wanted: Wanted) -> Selected:
    """Choose a point of a run; the fit or its refit, whichever has the lower validation loss.

    Raises :class:`FitError` where no point fits what is wanted.
    """
    if wanted.rule == "stable":
        return _stable(view)
    table = Table(view)
    if not table.rows:
        raise _nothing("no point with a finite validation loss in every seed", "a lower --lr")
    found = [
        selected
        for family in _ALONG
        if table.has(family) and (selected := _within(table, family, wanted)) is not None
    ]
    if not found:
        raise _nothing(
            f"{len(table.rows)} points, none of them with {_asked(wanted)}",
            "a larger number, or a path that goes on to sparser networks (--to)",
        )
    return min(found, key=lambda s: _loss(table.of(s.family)[s.scale]))


def _stable(view: RunView) -> Selected:
    """The networks of the stable features."""
    found = view.decisions.get("stable")
    if found is None:
        raise FitError(
            "stable features are not known",
            got="a path without half samples",
            expected="a path with stability=, for instance 50",
            remedy="Run it again with stability=50 (--stability 50), in another folder.",
        )
    failed = [fit["failed"] for fit in view.of_kind("stable").values() if "failed" in fit]
    if failed:
        raise _nothing(f"a network of the stable features that failed: {failed[0]}", "a lower --lr")
    return Selected(
        found["scale"],
        "stable",
        f"the {len(found['names'])} features that {found['threshold']:.0%} of half samples use",
    )


def _within(table: Table, family: Family, wanted: Wanted) -> Selected | None:
    """The choice among the points of one family."""
    points = table.of(family)
    losses = {scale: _loss(row) for scale, row in points.items()}
    if wanted.scale is not None:
        near = min(points, key=lambda s: abs(s - wanted.scale))  # type: ignore[operator]
        if abs(near - wanted.scale) > 1e-3 * wanted.scale:
            return None
        return Selected(near, family, "the scale asked for")
    if wanted.within is not None:
        scores = {s: float(np.mean([p["score"] for p in row])) for s, row in points.items()}
        least = max(scores.values()) - wanted.within
        scale = min((s for s in points if scores[s] >= least), key=table.nonzeros)
        return Selected(
            scale,
            family,
            f"the fewest weights within {wanted.within:g} of the best score",
        )
    for name, limit, count in (
        ("nonzero weights", wanted.nonzeros, table.nonzeros),
        ("features", wanted.features, table.features),
    ):
        if limit is not None:
            fitting = [s for s in points if count(s) <= limit]
            if not fitting:
                return None
            return Selected(
                min(fitting, key=losses.__getitem__),
                family,
                f"the lowest validation loss with at most {limit:,} {name}",
            )
    return _by_rule(points, family, wanted.rule or "1se")


def _by_rule(points: Mapping[float, list[Point]], family: Family, rule: str) -> Selected | None:
    scales = list(points)
    chosen = choose(
        [[point["chunks"] for point in row] for row in points.values()],
        "best" if rule == "best" else "1se",
        ordered=True,
    )
    if chosen is None:
        return None
    why = (
        "the lowest validation loss"
        if rule == "best"
        else "the sparsest whose validation loss is within one standard error of the lowest"
    )
    return Selected(scales[chosen.index], family, why)


def _is_of(row: Sequence[Point], family: Family) -> bool:
    return family == "fit" or all("refit" in fit and is_usable(fit["refit"]) for fit in row)


def _refit(fit: Point) -> Point:
    part: Point = fit.get("refit", fit)["validation"]
    return part


def _loss(row: Sequence[Point]) -> float:
    mean = float(np.mean([point["loss"] for point in row]))
    return mean if isfinite(mean) else inf


def _asked(wanted: Wanted) -> str:
    return ", ".join(f"{name} {value}" for name, value in vars(wanted).items() if value is not None)


def _nothing(got: str, remedy: str) -> FitError:
    return FitError(
        "no point of the path fits",
        got=got,
        expected="at least one",
        remedy=f"Ask for {remedy}.",
    )
