"""A run folder's points, arranged for reading: by column, try and seed."""

from collections.abc import Callable
from functools import cached_property
from typing import Literal

from shrinkage.lesson.estimates import Difference, difference, mean
from shrinkage.reports.seed_figures import minus
from shrinkage.reports.summary import column_summaries, fits_of, has_failed
from shrinkage.runs import (
    CertificateRecord,
    FailedCertificateRecord,
    FitRecord,
    PartRecord,
    RunView,
    StepsRecord,
    TestRecord,
    TraceRecord,
    TrialRecord,
)

ReadFit = Callable[[FitRecord], float | None]
WeightMeasure = Literal["size", "zeros", "nonzeros", "l1", "l2", "max_abs", "top1", "top10", "gini"]
BASE = "none"


class Facts:
    """What a run has found so far. Nothing here fails on a folder that is only partly filled."""

    def __init__(self, view: RunView) -> None:
        self.view, self.config = view, view.contrast
        self.columns = {column.name: column for column in self.config.columns}
        self.names = list(self.columns)
        self.seeds = self.config.seeds
        self.all_fits, self.fits = view.records(TrialRecord), view.records(FitRecord)
        self.failed = [key for key, fit in self.all_fits.items() if has_failed(fit)]
        self.tests, self.traces = view.records(TestRecord), view.records(TraceRecord)
        self.steps, self.certificates = view.records(StepsRecord), view.records(CertificateRecord)
        self.rows = {row.name: row for row in column_summaries(view)}

    @property
    def planned(self) -> int:
        """The number of fits of the whole run."""
        return self.seeds * sum(len(column.knobs) for column in self.columns.values())

    @cached_property
    def stage(self) -> Literal["fitting", "looking", "finished"]:
        """Fitting; choice made and test opened; finished."""
        if self.view.decided.finished:
            return "finished"
        return "looking" if self.view.decided.choices else "fitting"

    @cached_property
    def held_out(self) -> Literal["test", "validation"]:
        """``"test"`` once every network has been evaluated on it."""
        opened = self.stage != "fitting" and bool(self.fits)
        return "test" if opened and all(key in self.tests for key in self.fits) else "validation"

    @property
    def score(self) -> str:
        """The name of the score, ``"accuracy"`` or ``"R²"``."""
        return next((fit.score_name for fit in self.fits.values()), "score")

    def held(self, fit: FitRecord) -> PartRecord | TestRecord:
        """Loss and score of a fit on the held-out part."""
        return self.tests[fit.key] if self.held_out == "test" else fit.validation

    def label(self, name: str) -> str:
        """The column's label."""
        return self.columns[name].label

    def knob(self, name: str) -> float | None:
        """The knob of the chosen try, or of the best so far."""
        index = self.chosen(name)
        return None if index is None else self.columns[name].knobs[index]

    def chosen(self, name: str) -> int | None:
        """The index of the chosen try, or of the best so far; None where nothing has been fit."""
        row = self.rows.get(name)
        return row.index if row is not None and row.fits else None

    def with_penalty(self, *penalties: str, form: str | None = None) -> list[str]:
        """The columns with these penalties (``"L1"``, ``"L2"`` …) that have been fit."""
        return [
            name
            for name, column in self.columns.items()
            if column.penalty in penalties
            and form in (None, column.form)
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

    def values(self, name: str, read: ReadFit, index: int | None = None) -> dict[int, float]:
        """What ``read`` finds in each seed's fit of a try (the chosen one)."""
        at = self.chosen(name) if index is None else index
        found = [] if at is None else fits_of(self.view, name, at)
        pairs = ((fit.seed, read(fit)) for fit in found)
        return {seed: float(value) for seed, value in pairs if value is not None}

    def mean(self, name: str, read: ReadFit, index: int | None = None) -> float | None:
        """The mean over seeds, of the chosen try."""
        return mean(self.values(name, read, index).values())

    def along(self, name: str, read: ReadFit) -> list[tuple[float, dict[int, float]]]:
        """(knob, values by seed) of every try that has some, in the order of the knobs."""
        found = [
            (knob, self.values(name, read, index))
            for index, knob in enumerate(self.columns[name].knobs)
        ]
        return [(knob, values) for knob, values in found if values]

    def against_base(self, name: str, read: ReadFit, index: int | None = None) -> Difference | None:
        """A column's try minus the unregularized network's chosen one, paired by seed."""
        if self.base is None:
            return None
        return difference(self.values(name, read, index), self.values(self.base, read))

    def trace(self, name: str) -> TraceRecord | None:
        """The closer look at the chosen network of the first seed."""
        return self.traces.get(f"{name}/{self.chosen(name)}/0")

    def step(self, name: str) -> StepsRecord | None:
        """The measured step under the chosen penalty."""
        return self.steps.get(f"{name}/{self.chosen(name)}/0")

    def certificate(self, name: str) -> CertificateRecord | None:
        """The certificate of the chosen network of the first seed."""
        return self.certificates.get(f"{name}/{self.chosen(name)}/0")

    def uncertified(self, name: str) -> str | None:
        """Why the chosen network of the first seed has no certificate, where that was tried."""
        failures = self.view.records(FailedCertificateRecord)
        failure = failures.get(f"{name}/{self.chosen(name)}/0")
        return None if failure is None else failure.failed

    def held_loss(self, fit: FitRecord) -> float | None:
        """Held-out loss."""
        return self.held(fit).loss

    def held_score(self, fit: FitRecord) -> float | None:
        """Held-out score."""
        return self.held(fit).score

    def gap(self, fit: FitRecord) -> float | None:
        """Held-out loss minus training loss."""
        return minus(self.held(fit).loss, fit.train.loss)


def zero_share(fit: FitRecord) -> float:
    """The share of exact zeros among the penalised weights."""
    return fit.weights.zeros / fit.weights.size


def weight(measure: WeightMeasure) -> ReadFit:
    """Reads one measure of the penalised weights, such as ``"l1"``."""
    return lambda fit: getattr(fit.weights, measure)


def train_loss(fit: FitRecord) -> float | None:
    """Training loss."""
    return fit.train.loss
