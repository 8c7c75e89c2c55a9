"""A path's run folder, arranged for reading: by scale λ, over seeds; finished or not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from shrinkage.lesson.estimates import mean
from shrinkage.runs import (
    EvaluatedRecord,
    FailedPointRecord,
    Family,
    MagnitudeRecord,
    NetworkRecord,
    PartRecord,
    PathFitRecord,
    PointRecord,
    RunView,
    StableRecord,
    TestRecord,
)
from shrinkage.runs.chains import by_scale, complete, refit_key

PartName = Literal["train", "validation", "test"]
Measure = Literal["loss", "score"]
Network = PathFitRecord | StableRecord
"""A network that a stop has, with all that was measured of it."""
ReadPoint = Callable[[PathFitRecord], float | None]


@dataclass(frozen=True)
class ChosenPoint:
    """The point that was chosen, or that has the lowest mean validation loss so far."""

    scale: float
    family: Family
    why: str
    final: bool


@dataclass(frozen=True)
class Stop:
    """What the slider and the tables stop at: the networks at a scale, one per seed.

    ``family``: ``"fit"`` for a point of the path, ``"stable"`` for the networks of the stable
    features, which stand beside it.
    """

    scale: float
    family: Family
    fits: Sequence[Network]

    @property
    def apart(self) -> bool:
        """Is it no point of the path?"""
        return self.family != "fit"


class Track:
    """What a path has found so far. Nothing here fails on a folder that is only partly filled."""

    def __init__(self, view: RunView) -> None:
        self.view, self.config, self.decisions = view, view.path, view.decided
        self.seeds = self.config.seeds
        self.tests = view.records(TestRecord)
        self.all_fits = view.records(PointRecord)
        pruned = view.records(MagnitudeRecord).values()
        self.cut = {(p.seed, p.scale): p for p in pruned if p.is_usable}
        # While chains still grow, every seed that is there counts; at the end all of them or none.
        whole = complete(view)
        self.rows = whole if self.stage != "fitting" and whole else by_scale(view)

    @cached_property
    def stage(self) -> Literal["fitting", "testing", "finished"]:
        """Fitting; choice made and test set being opened; finished."""
        if self.decisions.finished:
            return "finished"
        return "testing" if self.decisions.choice else "fitting"

    @property
    def chains(self) -> str:
        """How many chains, and of what: ``"3 seeds"``, ``"5 folds"``."""
        unit = "fold" if self.config.cut.folds else "seed"
        return f"{self.seeds} {unit}{'s' if self.seeds > 1 else ''}"

    @property
    def planned(self) -> int:
        """The fits of the whole path at most; chains may end early."""
        dense = 1 if self.config.solver == "train" else 0
        scales = self.decisions.scales
        points = self.config.grid.points if scales is None else len(scales)
        return self.seeds * (dense + points + len(self.decisions.bends or ()))

    @property
    def scales(self) -> list[float]:
        """The scales of the path's points, from the weakest on; the dense network is apart."""
        return [scale for scale in self.rows if scale > 0]

    @property
    def dense(self) -> list[PathFitRecord]:
        """The networks without a penalty; none where the path began at the sparse end."""
        return self.rows.get(0.0, [])

    @cached_property
    def costs(self) -> list[tuple[float, float, float]]:
        """(scale, training loss, penalty) of the path's points where both are known."""
        found = [
            (s, mean(self.results(s, "fit", "train", "loss")), self.mean(s, lambda f: f.penalty))
            for s in self.scales
        ]
        return [(s, loss, p) for s, loss, p in found if loss is not None and p is not None]

    @cached_property
    def stops(self) -> list[Stop]:
        """The points of the path, from the dense end on; last the stable features' networks."""
        path = [Stop(scale, "fit", row) for scale, row in self.rows.items()]
        stable = [fit for fit in self.view.records(StableRecord).values() if fit.is_usable]
        if len(stable) < self.seeds or stable[0].scale not in self.rows:
            return path
        return [*path, Stop(stable[0].scale, "stable", stable)]

    @cached_property
    def chosen_stop(self) -> int | None:
        """The stop of the choice, or of the lowest validation loss so far."""
        chosen = self.chosen
        if chosen is None:
            return None
        family: Family = "stable" if chosen.family == "stable" else "fit"
        known = [(stop.scale, stop.family) for stop in self.stops]
        return known.index((chosen.scale, family)) if (chosen.scale, family) in known else None

    @property
    def marked(self) -> float | None:
        """The scale of the point that was chosen; None before, and where it is no point."""
        chosen = self.chosen
        on_path = chosen is not None and chosen.final and chosen.family != "stable"
        return chosen.scale if on_path and chosen is not None else None

    @cached_property
    def failed(self) -> dict[str, str]:
        """What became of the fits that failed, by key."""
        return {key: fit.failed for key, fit in self.view.records(FailedPointRecord).items()}

    @property
    def score(self) -> str:
        """The name of the score, ``"accuracy"`` or ``"R²"``."""
        return next((row[0].score_name for row in self.rows.values()), "score")

    @property
    def size(self) -> int:
        """The number of penalised weights; 0 where nothing has been fit."""
        return next((row[0].weights.size for row in self.rows.values()), 0)

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """``"fit"``, and ``"refit"`` where there are any."""
        refits = any(fit.refit is not None for row in self.rows.values() for fit in row)
        return ("fit", "refit") if refits else ("fit",)

    @cached_property
    def held_out(self) -> Literal["test", "validation"]:
        """``"test"`` once every network has been evaluated on it, pruned ones among them."""
        names = [self.name(fit, f) for s in self.scales for fit in self.rows[s]
                 for f in self.families if self.of(fit, f) is not None]  # fmt: skip
        names += [point.key for point in self.cut.values()]
        opened = self.stage != "fitting" and names and all(name in self.tests for name in names)
        return "test" if opened else "validation"

    @cached_property
    def chosen(self) -> ChosenPoint | None:
        """The choice; before it the lowest mean validation loss; None where nothing has been fit.

        A choice that is not among the rows (a damaged folder) counts as none.
        """
        choice = self.decisions.choice
        if choice is not None and choice.scale in self.rows:
            return ChosenPoint(choice.scale, choice.family, choice.why, final=True)
        losses: dict[tuple[float, Family], float] = {
            (scale, family): loss
            for scale in self.rows
            for family in self.families
            if (loss := mean(self.results(scale, family, "validation", "loss"))) is not None
        }
        if not losses:
            return None
        scale, family = min(losses, key=losses.__getitem__)
        return ChosenPoint(scale, family, "the lowest validation loss so far", final=False)

    def of(self, fit: Network, family: Family) -> EvaluatedRecord | None:
        """What was measured of a fit, of its refit, or of the stable features' network."""
        if family == "fit":
            return fit
        if family == "stable":
            return self.stable(fit)
        refit = fit.refit if isinstance(fit, PathFitRecord) else None
        part = fit if refit is None and not fit.scale else refit
        return part if part is not None and part.is_usable else None

    def stable(self, fit: Network) -> StableRecord | None:
        """The network of the stable features of a fit's seed."""
        others = self.view.records(StableRecord).values()
        return next((p for p in others if p.seed == fit.seed and p.is_usable), None)

    def name(self, fit: Network, family: Family) -> str:
        """The key of a network in the run folder."""
        if family == "fit" or not fit.scale:
            return fit.key
        return refit_key(fit.key) if family == "refit" else (self.stable(fit) or fit).key

    def figure(
        self, fit: Network, family: Family, part: PartName, measure: Measure
    ) -> float | None:
        """Loss or score of one network on one part of the data.

        Stable features are validated on the first seed's rows alone: they were selected on its
        training rows, among which are other seeds' validation rows.
        """
        found = self.of(fit, family)
        if found is None or (family == "stable" and part == "validation" and fit.seed):
            return None
        if part == "test":
            return read_part(self.tests.get(self.name(fit, family)), measure)
        return read_part(found.train if part == "train" else found.validation, measure)

    def values(self, scale: float, read: ReadPoint) -> dict[int, float]:
        """What ``read`` finds at a scale, by seed."""
        pairs = ((fit.seed, read(fit)) for fit in self.rows.get(scale, []))
        return {seed: float(value) for seed, value in pairs if value is not None}

    def results(
        self, scale: float, family: Family, part: PartName, measure: Measure
    ) -> dict[int, float]:
        """Losses or scores at a scale, by seed."""
        return self.values(scale, lambda fit: self.figure(fit, family, part, measure))

    def mean(self, scale: float, read: ReadPoint) -> float | None:
        """The mean over seeds of what ``read`` finds."""
        return mean(self.values(scale, read))

    def kept(self, fit: PathFitRecord) -> float | None:
        """The weights of the pruned network beside a fit; None where there is none."""
        cut = self.cut.get((fit.seed, fit.scale))
        return None if cut is None else float(cut.nonzeros)

    def pruned(self, scale: float, measure: Measure) -> dict[int, float]:
        """Held-out losses or scores of the pruned networks beside a scale, by seed."""

        def read(fit: PathFitRecord) -> float | None:
            cut = self.cut.get((fit.seed, scale))
            if cut is None:
                return None
            is_test = self.held_out == "test"
            return read_part(self.tests.get(cut.key) if is_test else cut.validation, measure)

        return self.values(scale, read)

    def nonzeros(self, scale: float, family: Family = "fit") -> float | None:
        """Penalised weights that are not zero, mean over seeds."""
        return self.mean(scale, lambda fit: self._whole(fit, family).weights.nonzeros)

    def features(self, scale: float, family: Family = "fit") -> float | None:
        """Inputs on a path to an output, mean over seeds; None where not known."""

        def count(fit: PathFitRecord) -> float | None:
            used = self._whole(fit, family).features
            return None if used is None else len(used)

        return self.mean(scale, count)

    def _whole(self, fit: PathFitRecord, family: Family) -> Network:
        """The network that was measured as a whole: of a refit the fit, whose support it has."""
        return (self.stable(fit) or fit) if family == "stable" else fit


def read_part(part: PartRecord | TestRecord | None, measure: Measure) -> float | None:
    """Loss or score on a part of the data; None where it was not evaluated."""
    if part is None:
        return None
    return part.loss if measure == "loss" else part.score


def share_left(fit: NetworkRecord) -> float:
    """The share of penalised weights that are not zero."""
    return fit.weights.nonzeros / fit.weights.size
