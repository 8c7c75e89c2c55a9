"""A path's run folder, arranged for reading: by scale λ, over seeds; finished or not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from shrinkage.estimates import mean
from shrinkage.runs import RunView
from shrinkage.studies import by_scale, complete, is_usable, refit_key

Point = dict[str, Any]
Part = Literal["train", "validation", "test"]
Reader = Callable[[Point], float | None]


@dataclass(frozen=True)
class Chosen:
    """The point that was chosen, or that has the lowest mean validation loss so far."""

    scale: float
    family: str
    why: str
    final: bool


@dataclass(frozen=True)
class Stop:
    """What the slider and the tables stop at: the networks at a scale, one per seed.

    ``family``: ``"fit"`` for a point of the path, ``"stable"`` for the networks of the stable
    features, which stand beside it.
    """

    scale: float
    family: str
    fits: list[Point]

    @property
    def apart(self) -> bool:
        """Is it no point of the path?"""
        return self.family != "fit"


class Track:
    """What a path has found so far. Nothing here fails on a folder that is only partly filled."""

    def __init__(self, view: RunView) -> None:
        self.view, self.config, self.decisions = view, view.config, view.decisions
        self.seeds: int = view.config["seeds"]
        self.tests = view.of_kind("test")
        self.all_fits = view.of_kind("fit")
        pruned = view.of_kind("magnitude").values()
        self.cut = {(p["seed"], p["scale"]): p for p in pruned if is_usable(p)}
        # While chains still grow, every seed that is there counts; at the end all of them or none.
        whole = complete(view)
        self.rows = whole if self.stage != "fitting" and whole else by_scale(view)

    @cached_property
    def stage(self) -> Literal["fitting", "testing", "finished"]:
        """Fitting; choice made and test set being opened; finished."""
        if self.decisions.get("finished"):
            return "finished"
        return "testing" if self.decisions.get("choice") else "fitting"

    @property
    def chains(self) -> str:
        """How many chains, and of what: ``"3 seeds"``, ``"5 folds"``."""
        unit = "fold" if self.config["cut"].get("folds") else "seed"
        return f"{self.seeds} {unit}{'s' if self.seeds > 1 else ''}"

    @property
    def planned(self) -> int:
        """The fits of the whole path at most; chains may end early."""
        dense = 1 if self.config["solver"] == "train" else 0
        scales = self.decisions.get("scales")
        points = self.config["grid"]["points"] if scales is None else len(scales)
        return self.seeds * (dense + points + len(self.decisions.get("bends") or ()))

    @property
    def scales(self) -> list[float]:
        """The scales of the path's points, from the weakest on; the dense network is apart."""
        return [scale for scale in self.rows if scale > 0]

    @property
    def dense(self) -> list[Point]:
        """The networks without a penalty; none where the path began at the sparse end."""
        return self.rows.get(0.0, [])

    @cached_property
    def stops(self) -> list[Stop]:
        """The points of the path, from the dense end on; last the stable features' networks."""
        path = [Stop(scale, "fit", row) for scale, row in self.rows.items()]
        stable = [fit for fit in self.view.of_kind("stable").values() if is_usable(fit)]
        if len(stable) < self.seeds or stable[0]["scale"] not in self.rows:
            return path
        return [*path, Stop(stable[0]["scale"], "stable", stable)]

    @cached_property
    def chosen_stop(self) -> int | None:
        """The stop of the choice, or of the lowest validation loss so far."""
        chosen = self.chosen
        if chosen is None:
            return None
        family = "stable" if chosen.family == "stable" else "fit"
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
        return {key: fit["failed"] for key, fit in self.all_fits.items() if "failed" in fit}

    @property
    def score(self) -> str:
        """The name of the score, ``"accuracy"`` or ``"R²"``."""
        return next((str(row[0]["score_name"]) for row in self.rows.values()), "score")

    @property
    def size(self) -> int:
        """The number of penalised weights; 0 where nothing has been fit."""
        return next((int(row[0]["weights"]["size"]) for row in self.rows.values()), 0)

    @cached_property
    def families(self) -> tuple[str, ...]:
        """``"fit"``, and ``"refit"`` where there are any."""
        refits = any("refit" in fit for row in self.rows.values() for fit in row)
        return ("fit", "refit") if refits else ("fit",)

    @cached_property
    def held_out(self) -> Literal["test", "validation"]:
        """``"test"`` once every network has been evaluated on it, pruned ones among them."""
        names = [self.name(fit, f) for s in self.scales for fit in self.rows[s]
                 for f in self.families if self.of(fit, f) is not None]  # fmt: skip
        names += [point["key"] for point in self.cut.values()]
        opened = self.stage != "fitting" and names and all(name in self.tests for name in names)
        return "test" if opened else "validation"

    @cached_property
    def chosen(self) -> Chosen | None:
        """The choice; before it the lowest mean validation loss; None where nothing has been fit.

        A choice that is not among the rows (a damaged folder) counts as none.
        """
        choice = self.decisions.get("choice")
        if choice is not None and choice["scale"] in self.rows:
            return Chosen(choice["scale"], choice["family"], choice["why"], final=True)
        losses = {
            (scale, family): loss
            for scale in self.rows
            for family in self.families
            if (loss := mean(self.results(scale, family, "validation", "loss"))) is not None
        }
        if not losses:
            return None
        scale, family = min(losses, key=losses.__getitem__)
        return Chosen(scale, family, "the lowest validation loss so far", final=False)

    def of(self, fit: Point, family: str) -> Point | None:
        """What was measured of a fit, of its refit, or of a network made from its point."""
        if family == "fit":
            return fit
        if family == "refit":
            part: Point | None = fit.get("refit", fit if not fit["scale"] else None)
            return part if part is not None and is_usable(part) else None
        others = self.view.of_kind(family).values()
        return next((p for p in others if p["seed"] == fit["seed"] and is_usable(p)), None)

    def name(self, fit: Point, family: str) -> str:
        """The key of a network in the run folder."""
        if family == "fit" or not fit["scale"]:
            return str(fit["key"])
        if family == "refit":
            return refit_key(fit["key"])
        return str((self.of(fit, family) or fit)["key"])

    def figure(self, fit: Point, family: str, part: Part, measure: str) -> float | None:
        """Loss or score of one network on one part of the data.

        Stable features are validated on the first seed's rows alone: they were selected on its
        training rows, among which are other seeds' validation rows.
        """
        found = self.of(fit, family)
        if found is None or (family == "stable" and part == "validation" and fit["seed"]):
            return None
        held = self.tests.get(self.name(fit, family)) if part == "test" else found.get(part)
        return None if held is None else held[measure]

    def values(self, scale: float, read: Reader) -> dict[int, float]:
        """What ``read`` finds at a scale, by seed."""
        pairs = ((fit["seed"], read(fit)) for fit in self.rows.get(scale, []))
        return {seed: float(value) for seed, value in pairs if value is not None}

    def results(self, scale: float, family: str, part: Part, measure: str) -> dict[int, float]:
        """Losses or scores at a scale, by seed."""
        return self.values(scale, lambda fit: self.figure(fit, family, part, measure))

    def mean(self, scale: float, read: Reader) -> float | None:
        """The mean over seeds of what ``read`` finds."""
        return mean(self.values(scale, read))

    def kept(self, fit: Point) -> float | None:
        """The weights of the pruned network beside a fit; None where there is none."""
        cut = self.cut.get((fit["seed"], fit["scale"]))
        return None if cut is None else float(cut["nonzeros"])

    def pruned(self, scale: float, measure: str) -> dict[int, float]:
        """Held-out losses or scores of the pruned networks beside a scale, by seed."""

        def read(fit: Point) -> float | None:
            cut = self.cut.get((fit["seed"], scale))
            if cut is None:
                return None
            held = self.tests.get(cut["key"]) if self.held_out == "test" else cut["validation"]
            return None if held is None else held[measure]

        return self.values(scale, read)

    def nonzeros(self, scale: float, family: str = "fit") -> float | None:
        """Penalised weights that are not zero, mean over seeds."""

        def count(fit: Point) -> float:
            own = self.of(fit, family)
            weights: Point = fit["weights"]
            if own is not None:
                weights = own.get("weights", weights)
            return float(weights["nonzeros"])

        return self.mean(scale, count)

    def features(self, scale: float, family: str = "fit") -> float | None:
        """Inputs on a path to an output, mean over seeds; None where not known."""

        def count(fit: Point) -> float | None:
            own = self.of(fit, family) or fit
            used = own.get("features", fit.get("features"))
            return None if used is None else len(used)

        return self.mean(scale, count)


def share_left(fit: Point) -> float:
    """The share of penalised weights that are not zero."""
    return float(fit["weights"]["nonzeros"] / fit["weights"]["size"])
