"""Choosing one point of a path: by rule, tolerance, size or scale; from validation data only."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite, isnan, nan
from typing import Literal, cast, get_args

import numpy as np

from shrinkage.analysis.features import Features, StableSet
from shrinkage.arguments import as_choice, as_int, as_number, settle
from shrinkage.errors import FitError, shown
from shrinkage.experiments.paths.choice import Choice, ChoiceRule, choose
from shrinkage.reports.paths.track import ReadPoint
from shrinkage.runs import (
    FailedStableRecord,
    Family,
    PathFitRecord,
    RunView,
    StableSetRecord,
    ValidationRecord,
)
from shrinkage.runs.chains import complete

SizeName = Literal["nonzeros", "features"]
_ALONG: tuple[Family, ...] = ("fit", "refit")
_SIZES: dict[SizeName, str] = {"nonzeros": "nonzero weights", "features": "features"}
_RULES = (*get_args(ChoiceRule), "stable")


@dataclass(frozen=True)
class Wanted:
    """What is asked of a choice; exactly one of these, ``rule`` where nothing is given.

    ``rule``: ``"1se"``, ``"best"`` or ``"paired"`` (:func:`shrinkage.experiments.paths.choose`), or
    ``"stable"``, the features that stability selection found. ``within``: the fewest nonzeros
    whose score is within this of the best (0.005: half a point of accuracy).
    ``nonzeros``, ``features``: the best validation loss among points with at most so many, on
    average over seeds; networks that predict a constant only where 0 is asked for.
    ``scale``: the point at this scale, in the three digits that tables show, or more.
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
                "a choice takes one wish",
                got=" and ".join(given),
                expected="one of rule, within, nonzeros, features, scale",
                remedy='choose("1se") is the default.',
            )
        if self.rule is not None:
            as_choice(
                "choose", self.rule, _RULES, remedy="1se is the default." + _number(self.rule)
            )
        remedy = "Leave it out for the one-standard-error rule."
        for name in ("within", "nonzeros", "features", "scale"):
            value, read = getattr(self, name), as_int if name in _SIZES else as_number
            if value is not None:
                settle(self, **{name: read(name, value, least=0, remedy=remedy)})

    @property
    def sizes(self) -> dict[SizeName, int]:
        """The size that is asked for, by name."""
        given: dict[SizeName, int | None] = {"nonzeros": self.nonzeros, "features": self.features}
        return {name: limit for name, limit in given.items() if limit is not None}


def _number(rule: object) -> str:
    """What a number in place of the rule may have meant."""
    is_number = isinstance(rule, int | float) and not isinstance(rule, bool)
    return f" A tolerance is named: within={shown(rule)}." if is_number else ""


@dataclass(frozen=True)
class Selected:
    """A chosen point: its scale, fit or refit (or the stable features), and why, in a sentence."""

    scale: float
    family: Family
    why: str


class Table:
    """The points of a path by scale, over seeds; scales at which a seed failed are left out.

    A seed whose network emptied at a weaker scale counts as that empty network.
    """

    def __init__(self, view: RunView) -> None:
        self.rows, self.known = complete(view), Features.of(view)
        self.score_name = next((row[0].score_name for row in self.rows.values()), "score")

    @property
    def scales(self) -> list[float]:
        """From the dense end on."""
        return list(self.rows)

    def has(self, family: Family) -> bool:
        """Is there anything of this family?"""
        return any(_is_of(row, family) for row in self.rows.values())

    def of(self, family: Family) -> dict[float, list[ValidationRecord]]:
        """The validation part of each seed, by scale; the dense network counts as its own refit."""
        return {
            scale: [fit.validation if family == "fit" else _refit(fit) for fit in row]
            for scale, row in self.rows.items()
            if family == "fit" or _is_of(row, "refit") or scale == 0
        }

    def mean(self, scale: float, read: ReadPoint) -> float:
        """The mean over seeds of what ``read`` finds in a fit; NaN where it is no number."""
        return _mean(map(read, self.rows[scale]))

    def nonzeros(self, scale: float) -> float:
        """Penalised weights that are not zero, mean over seeds."""
        return self.mean(scale, lambda fit: fit.weights.nonzeros)

    def features(self, scale: float) -> float:
        """Features that are used, mean over seeds; NaN where the wiring is not known.

        The one-hot columns of a table's column are one feature.
        """

        def count(fit: PathFitRecord) -> float:
            return nan if fit.features is None else sum(self.known.used(fit.features))

        return self.mean(scale, count)

    def counts(self, name: SizeName) -> Callable[[float], float]:
        """What counts the sizes of this name."""
        return {"nonzeros": self.nonzeros, "features": self.features}[name]

    def is_constant(self, scale: float) -> bool:
        """Has some seed's network no weight or no input left, so that it predicts a constant?"""
        return any(not fit.weights.nonzeros or fit.features == [] for fit in self.rows[scale])


def select(view: RunView, wanted: Wanted) -> Selected:
    """Choose a point of a run; the fit or its refit, whichever has the lower validation loss.

    Raises :class:`FitError` where no point fits what is wanted.
    """
    if wanted.rule == "stable":
        decided = _stable_set(view)
        stable = _stable(view, decided)
        if decided.names:
            return stable
        instead = select(view, Wanted("1se"))
        return replace(instead, why=f"{instead.why}; no feature is stable")
    table = Table(view)
    if not table.rows:
        raise _nothing("no point with a finite validation loss in every seed", "a lower --lr")
    found = [
        selected
        for family in _ALONG
        if table.has(family) and (selected := _within(table, family, wanted)) is not None
    ]
    if not found:
        raise _too_few(table, wanted)
    return min(found, key=lambda s: _loss(table.of(s.family)[s.scale]))


def _stable_set(view: RunView) -> StableSetRecord:
    found = view.decided.stable
    if found is None:
        raise FitError(
            "stable features are not known",
            got="a path without half samples",
            expected="a path with stability=, for instance 50",
            remedy="Run it again with stability=50 (--stability 50), in another folder.",
        )
    return found


def _stable(view: RunView, found: StableSetRecord) -> Selected:
    """The networks of the stable features."""
    failed = [fit.failed for fit in view.records(FailedStableRecord).values()]
    if failed:
        raise _nothing(f"a network of the stable features that failed: {failed[0]}", "a lower --lr")
    share = f"{100 * found.threshold:g} %"
    count = len(found.names)
    why = f"the {count} features that" if count != 1 else "the one feature that"
    why += f" {share} of half samples use"
    doubt = StableSet.of(found).doubt
    why += f" ({doubt})" if doubt else ""
    return Selected(found.scale, "stable", why)


def _within(table: Table, family: Family, wanted: Wanted) -> Selected | None:
    """The choice among the points of one family."""
    points = table.of(family)
    if wanted.scale is not None:
        return _at_scale(points, family, wanted.scale)
    if wanted.within is not None:
        return _near_best(table, family, wanted.within)
    for name, limit in wanted.sizes.items():
        return _small(table, family, name, limit)
    return _by_rule(points, family, cast("ChoiceRule", wanted.rule or "1se"))


def _at_scale(points: Iterable[float], family: Family, scale: float) -> Selected | None:
    near = min(points, key=lambda s: abs(s - scale))
    is_shown = f"{near:.3g}" == f"{scale:.3g}"  # as tables and reports have it
    if not is_shown and abs(near - scale) > 1e-3 * scale:
        return None
    return Selected(near, family, "the scale asked for")


def _near_best(table: Table, family: Family, within: float) -> Selected | None:
    scores = {s: _mean(p.score for p in row) for s, row in table.of(family).items()}
    known = [score for score in scores.values() if isfinite(score)]
    if not known:
        return None
    least = max(known) - within
    scale = min((s for s, score in scores.items() if score >= least), key=table.nonzeros)
    return Selected(scale, family, f"the fewest weights within {within:g} of the best score")


def _small(table: Table, family: Family, name: SizeName, limit: int) -> Selected | None:
    points = table.of(family)
    losses = {s: _loss(row) for s, row in points.items() if _fits(table, s, name, limit)}
    if not losses:
        return None
    why = f"the lowest validation loss with at most {limit:,} {_SIZES[name]}"
    return Selected(min(losses, key=losses.__getitem__), family, why)


def _fits(table: Table, scale: float, name: SizeName, limit: int) -> bool:
    """Is a point small enough? One that predicts a constant is no answer, unless 0 is asked."""
    return table.counts(name)(scale) <= limit and not (limit and table.is_constant(scale))


def _by_rule(
    points: Mapping[float, list[ValidationRecord]], family: Family, rule: ChoiceRule
) -> Selected | None:
    chosen = choose(
        [[point.chunk_losses for point in row] for row in points.values()],
        rule,
        ordered=True,
        losses=[[_number_of(point.loss) for point in row] for row in points.values()],
    )
    if chosen is None:
        return None
    return Selected(list(points)[chosen.index], family, _why(chosen, rule, points))


def _why(chosen: Choice, rule: ChoiceRule, points: Mapping[float, list[ValidationRecord]]) -> str:
    """The rule in words, with its figures."""
    if rule == "best":
        return "the lowest validation loss"
    if rule == "paired":
        return (
            "the strongest penalty up to which validation losses, paired by seeds and examples, "
            "are within one standard error of the lowest"
        )
    seeds = len(next(iter(points.values())))
    if seeds == 1 and all(len(row[0].chunks) == 1 for row in points.values()):
        return (
            "the lowest validation loss, because one seed and a loss that is no mean over examples "
            "show no standard error: take more seeds, or folds"
        )
    over = f"{seeds} seeds or folds" if seeds > 1 else "the examples"
    return (
        f"the strongest penalty whose validation loss is within one standard error of the lowest: "
        f"{chosen.means[chosen.index]:.4g} ≤ {chosen.means[chosen.best]:.4g} + "
        f"{chosen.best_error:.2g}, the error over {over}"
    )


def _is_of(row: Sequence[PathFitRecord], family: Family) -> bool:
    return family == "fit" or all(fit.refit is not None and fit.refit.is_usable for fit in row)


def _refit(fit: PathFitRecord) -> ValidationRecord:
    return fit.validation if fit.refit is None else fit.refit.validation


def _loss(row: Sequence[ValidationRecord]) -> float:
    mean = _mean(point.loss for point in row)
    return mean if isfinite(mean) else inf


def _mean(values: Iterable[float | None]) -> float:
    """The mean; NaN where one of them is no number."""
    return float(np.mean([_number_of(value) for value in values]))


def _number_of(value: float | None) -> float:
    return nan if value is None else value


def _too_few(table: Table, wanted: Wanted) -> FitError:
    """No point fits a scale or a size: what the nearest one is, and how to come nearer."""
    for name, limit in wanted.sizes.items():
        least = {s: table.counts(name)(s) for s in table.rows if not table.is_constant(s)}
        if any(map(isnan, least.values())):
            return _nothing("networks whose wiring is not known", "a number of nonzeros")
        if least:
            last = min(least, key=least.__getitem__)
            return _nothing(
                f"at λ = {last:.3g} {ceil(least[last]):,} {_SIZES[name]} at the fewest, and beyond "
                f"it networks that predict a constant",
                f"{name}={ceil(least[last])} or more, or for a path with more points behind "
                f"λ = {last:.3g} (--from)",
                f"one with at most {limit:,} that uses an input",
            )
    asked = "no such" if wanted.scale is None else f"scale {wanted.scale:g}"
    near = ", ".join(f"{scale:.3g}" for scale in table.rows)
    return _nothing(
        f"{asked}; the points are at {near}", "one of these scales", "the scale of a point"
    )


def _nothing(got: str, remedy: str, expected: str = "at least one") -> FitError:
    return FitError(
        "no point of the path fits",
        got=got,
        expected=expected,
        remedy=f"Ask for {remedy}.",
    )
