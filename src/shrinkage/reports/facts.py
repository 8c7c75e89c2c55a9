"""A run folder's points, arranged for reading: by column, try and seed."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

from shrinkage.estimates import Difference, difference, mean
from shrinkage.reports.summary import has_failed, summary
from shrinkage.runs import RunView

Point = dict[str, Any]
Reader = Callable[[Point], float | None]
BASE = "none"


class Facts:
    """What a run has found so far. Nothing here fails on a folder that is only partly filled."""

    def __init__(self, view: RunView) -> None:
        self.view, self.config = view, view.config
        self.names: list[str] = [column["name"] for column in view.config["columns"]]
        self.columns: dict[str, Point] = {c["name"]: c for c in view.config["columns"]}
        self.seeds: int = view.config["seeds"]
        self.all_fits = view.of_kind("fit")
        self.fits = {key: fit for key, fit in self.all_fits.items() if "failed" not in fit}
        self.failed = [key for key, fit in self.all_fits.items() if has_failed(fit)]
        self.tests, self.traces = view.of_kind("test"), view.of_kind("trace")
        self.steps, self.certificates = view.of_kind("steps"), view.of_kind("certificate")
        self.rows = {row["name"]: row for row in summary(view)}

    @property
    def planned(self) -> int:
        """The number of fits of the whole run."""
        return self.seeds * sum(len(column["knobs"]) for column in self.columns.values())

    @cached_property
    def stage(self) -> Literal["fitting", "looking", "finished"]:
        """Fitting; choice made and test opened; finished."""
        if self.view.decisions.get("finished"):
            return "finished"
        return "looking" if self.view.decisions.get("choices") else "fitting"

    @cached_property
    def held_out(self) -> Literal["test", "validation"]:
        """``"test"`` once every network has been evaluated on it."""
        opened = self.stage != "fitting" and bool(self.fits)
        return "test" if opened and all(key in self.tests for key in self.fits) else "validation"

    @property
    def score(self) -> str:
        """The name of the score, ``"accuracy"`` or ``"R²"``."""
        return next((str(fit["score_name"]) for fit in self.fits.values()), "score")

    def held(self, fit: Point) -> Point:
        """Loss and score of a fit on the held-out part."""
        result: Point = self.tests[fit["key"]] if self.held_out == "test" else fit["validation"]
        return result

    def label(self, name: str) -> str:
        """The column's label."""
        return str(self.columns[name]["label"])

    def knob(self, name: str) -> float | None:
        """The knob of the chosen try, or of the best so far."""
        index = self.chosen(name)
        return None if index is None else float(self.columns[name]["knobs"][index])

    def chosen(self, name: str) -> int | None:
        """The index of the chosen try, or of the best so far; None where nothing has been fit."""
        row = self.rows.get(name)
        return row["index"] if row is not None and row["fits"] else None

    def with_penalty(self, *penalties: str, form: str | None = None) -> list[str]:
        """The columns with these penalties (``"L1"``, ``"L2"`` …) that have been fit."""
        return [
            name
            for name, column in self.columns.items()
            if column["penalty"] in penalties
            and form in (None, column["form"])
            and self.chosen(name) is not None
        ]

    @property
    def textbook(self) -> list[str]:
        """The columns under L1 or L2 alone, in either form."""
        return self.with_penalty("L1", "L2")

    @property
    def exact_l1(self) -> str | None:
        """The column under L1 in its exact form."""
        return next(iter(self.with_penalty("L1", form="exact")), None)

    @property
    def l2(self) -> str | None:
        """The column under L2."""
        return next(iter(self.with_penalty("L2")), None)

    @property
    def base(self) -> str | None:
        """The unregularized column."""
        return BASE if self.chosen(BASE) is not None else None

    def of_try(self, name: str, index: int) -> list[Point]:
        """The fits of one try that succeeded, by seed."""
        keys = (f"{name}/{index}/{seed}" for seed in range(self.seeds))
        return [self.fits[key] for key in keys if key in self.fits]

    def values(self, name: str, read: Reader, index: int | None = None) -> dict[int, float]:
        """What ``read`` finds in each seed's fit of a try (the chosen one)."""
        at = self.chosen(name) if index is None else index
        found = [] if at is None else self.of_try(name, at)
        pairs = ((fit["seed"], read(fit)) for fit in found)
        return {seed: float(value) for seed, value in pairs if value is not None}

    def mean(self, name: str, read: Reader, index: int | None = None) -> float | None:
        """The mean over seeds, of the chosen try."""
        return mean(self.values(name, read, index).values())

    def along(self, name: str, read: Reader) -> list[tuple[float, dict[int, float]]]:
        """(knob, values by seed) of every try that has some, in the order of the knobs."""
        found = [
            (float(knob), self.values(name, read, index))
            for index, knob in enumerate(self.columns[name]["knobs"])
        ]
        return [(knob, values) for knob, values in found if values]

    def against_base(self, name: str, read: Reader, index: int | None = None) -> Difference | None:
        """A column's try minus the unregularized network's chosen one, paired by seed."""
        if self.base is None:
            return None
        return difference(self.values(name, read, index), self.values(self.base, read))

    def trace(self, name: str) -> Point | None:
        """The closer look at the chosen network of the first seed."""
        return self.traces.get(f"{name}/{self.chosen(name)}/0")

    def step(self, name: str) -> Point | None:
        """The measured step under the chosen penalty."""
        return self.steps.get(f"{name}/{self.chosen(name)}/0")

    def certificate(self, name: str) -> Point | None:
        """The certificate of the chosen network of the first seed."""
        return self.certificates.get(f"{name}/{self.chosen(name)}/0")

    def held_loss(self, fit: Point) -> float | None:
        """Held-out loss."""
        loss: float | None = self.held(fit)["loss"]
        return loss

    def held_score(self, fit: Point) -> float | None:
        """Held-out score."""
        score: float | None = self.held(fit)["score"]
        return score

    def gap(self, fit: Point) -> float | None:
        """Held-out loss minus training loss."""
        held, train = self.held(fit)["loss"], fit["train"]["loss"]
        return None if held is None or train is None else held - train


def zero_share(fit: Point) -> float:
    """The share of exact zeros among the penalised weights."""
    return float(fit["weights"]["zeros"] / fit["weights"]["size"])


def weight(name: str) -> Reader:
    """Reads one measure of the penalised weights, such as ``"l1"``."""
    return lambda fit: fit["weights"][name]


def train_loss(fit: Point) -> float | None:
    """Training loss."""
    loss: float | None = fit["train"]["loss"]
    return loss
