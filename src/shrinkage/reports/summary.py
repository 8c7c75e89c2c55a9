"""What a contrast found, one row per column: pure arithmetic on a run folder's points."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any, Literal

from shrinkage.analysis.certificates import no_better
from shrinkage.reports.seed_figures import Figure, Paired, figure, minus, paired
from shrinkage.runs import (
    CertificateRecord,
    ColumnConfig,
    FailedFitRecord,
    FitRecord,
    PartRecord,
    Record,
    RunView,
    TestRecord,
    TrialRecord,
)


@dataclass(frozen=True)
class VersusNone:
    """Differences to the unregularized network, paired by seed."""

    gap: Paired | None
    held_out_loss: Paired | None


@dataclass(frozen=True, kw_only=True)
class ColumnSummary(Record):
    """A row of :func:`summary`."""

    name: str
    label: str
    knob: str
    value: float | None
    index: int
    chosen: bool
    fits: int
    failed: str | None
    failures: int
    held_out: Literal["test", "validation"]
    score_name: str | None
    train_loss: Figure | None
    train_score: Figure | None
    held_out_loss: Figure | None
    held_out_score: Figure | None
    gap: Figure | None
    penalty: Figure | None
    penalty_share: Figure | None
    zeros: Figure | None
    nonzeros: Figure | None
    l1: Figure | None
    l2: Figure | None
    max_abs: Figure | None
    top1: Figure | None
    top10: Figure | None
    gini: Figure | None
    units_dead: Figure | None
    inputs_used: Figure | None
    units: int | None
    inputs: int | None
    weights: int | None
    stationary_gap: Figure | None
    kink_gap: Figure | None
    residual: Figure | None
    objective: Figure | None
    null_objective: Figure | None
    versus_none: VersusNone | None = None


def summary(view: RunView) -> list[dict[str, Any]]:
    """One row per column at its chosen knob, all figures mean and sd over seeds.

    ``gap``: held-out log-loss (or squared error) minus training's. Held out is the test part
    once it is open, the validation part before (``held_out`` says which). Before the choice the
    try with the lowest mean validation loss so far stands in (``chosen`` False). Differences
    ``versus_none`` are paired by seed. ``stationary_gap``, ``kink_gap``, ``residual``,
    ``objective``, ``null_objective``: the certificate on the training data (None in runs without).
    """
    return [asdict(row) for row in column_summaries(view)]


def column_summaries(view: RunView) -> list[ColumnSummary]:
    """The rows of :func:`summary`."""
    rows = [_row(view, column) for column in view.contrast.columns]
    base = next((row for row in rows if row.name == "none" and row.fits), None)
    return [row if base is None or row is base else _versus(row, base) for row in rows]


def _versus(row: ColumnSummary, base: ColumnSummary) -> ColumnSummary:
    if not row.fits:
        return row
    gap, loss = paired(row.gap, base.gap), paired(row.held_out_loss, base.held_out_loss)
    return replace(row, versus_none=VersusNone(gap, loss))


def _row(view: RunView, column: ColumnConfig) -> ColumnSummary:
    fits, tests = view.records(FitRecord), view.records(TestRecord)
    index, chosen = _chosen(view, column, fits)
    found = fits_of(view, column.name, index)
    opened = chosen and bool(found) and tests.keys() >= {fit.key for fit in found}
    held = [(fit, tests[fit.key] if opened else fit.validation) for fit in found]
    without = _failures(view, column)
    return ColumnSummary(
        name=column.name,
        label=column.label,
        knob=column.knob,
        value=column.knobs[index] if found else None,
        index=index,
        chosen=chosen,
        fits=len(found),
        failed=without[0].failed if without and not found else None,
        failures=sum(map(has_failed, without)),
        held_out="test" if opened else "validation",
        versus_none=None,
        **_constants(found),
        **_measured(held),
        **_certified(view, found),
    )


def fits_of(view: RunView, name: str, index: int) -> list[FitRecord]:
    """The fits of one try that succeeded, by seed."""
    fits = view.records(FitRecord)
    keys = (f"{name}/{index}/{seed}" for seed in range(view.study.seeds))
    return [fits[key] for key in keys if key in fits]


def _constants(found: Sequence[FitRecord]) -> dict[str, Any]:
    """What all fits of a column have in common; None where nothing has been fit."""
    first = found[0] if found else None
    reach = None if first is None else first.reach
    return {
        "score_name": None if first is None else first.score_name,
        "units": None if reach is None else reach.units,
        "inputs": None if reach is None else reach.inputs,
        "weights": None if first is None else first.weights.size,
    }


def _failures(view: RunView, column: ColumnConfig) -> list[FailedFitRecord]:
    failures = view.records(FailedFitRecord).values()
    return [fit for fit in failures if fit.column == column.name]


def _measured(held: Sequence[tuple[FitRecord, PartRecord | TestRecord]]) -> dict[str, Any]:
    return {
        name: figure({fit.seed: read(fit, part) for fit, part in held})
        for name, read in _OF_FITS.items()
    } | {
        name: figure({fit.seed: getattr(fit.weights, name) for fit, _ in held})
        for name in _OF_WEIGHTS
    }


def _certified(view: RunView, found: Sequence[FitRecord]) -> dict[str, Any]:
    certificates = view.records(CertificateRecord)
    known = [(fit.seed, certificates[fit.key]) for fit in found if fit.key in certificates]
    return {
        name: figure({seed: getattr(certificate, field) for seed, certificate in known})
        for name, field in _OF_CERTIFICATES.items()
    }


_OF_FITS: Mapping[str, Callable[[FitRecord, PartRecord | TestRecord], float | None]] = {
    "train_loss": lambda fit, _: fit.train.loss,
    "train_score": lambda fit, _: fit.train.score,
    "held_out_loss": lambda _, held: held.loss,
    "held_out_score": lambda _, held: held.score,
    "gap": lambda fit, held: minus(held.loss, fit.train.loss),
    "penalty": lambda fit, _: fit.penalty,
    "penalty_share": lambda fit, _: fit.penalty_share,
    "zeros": lambda fit, _: fit.weights.zeros / fit.weights.size,
    "units_dead": lambda fit, _: None if fit.reach is None else fit.reach.units_dead,
    "inputs_used": lambda fit, _: inputs_used(fit),
}
_OF_WEIGHTS = ("nonzeros", "l1", "l2", "max_abs", "top1", "top10", "gini")
_OF_CERTIFICATES = {"stationary_gap": "gap"} | {
    name: name for name in ("kink_gap", "residual", "objective", "null_objective")
}


def inputs_used(fit: FitRecord) -> float | None:
    """The number of inputs on a path to an output; None where it is not known."""
    reach = fit.reach
    return None if reach is None else float(reach.inputs - reach.inputs_unused)


def has_failed(fit: TrialRecord) -> bool:
    """Whether a fit was tried and failed; a column that does not apply has not been tried."""
    return isinstance(fit, FailedFitRecord) and fit.applies


def _chosen(view: RunView, column: ColumnConfig, fits: Mapping[str, FitRecord]) -> tuple[int, bool]:
    choice = (view.decided.choices or {}).get(column.name)
    if choice is not None:
        return choice.index, True
    losses: dict[int, list[float]] = {}
    for fit in fits.values():
        if fit.column == column.name:
            loss = fit.validation.loss
            losses.setdefault(fit.index, []).append(float("inf") if loss is None else loss)
    means = {index: fmean(values) for index, values in losses.items()}
    return (min(means, key=means.__getitem__) if means else 0), False


def idle(rows: Sequence[ColumnSummary]) -> list[ColumnSummary]:
    """The rows whose objective is not below that of the best constant prediction in some seed."""
    return [row for row in rows if row.fits and _idle_seeds(row)]


def idle_text(row: ColumnSummary) -> str:
    """What is to be said of such a row."""
    seeds = _idle_seeds(row)
    some = "" if row.fits == 1 else f" in {seeds} of {row.fits} seeds"
    return (
        f"{row.label}: the objective on the training data is not below that of the best "
        f"constant prediction{some}: a network without weights would cost no more. Try a smaller "
        "λ, or one that rises: train=sh.Training(warmup=0.3)."
    )


def _idle_seeds(row: ColumnSummary) -> int:
    if row.objective is None or row.null_objective is None:
        return 0
    known = row.null_objective.by_seed  # of the seeds in which it is known
    pairs = row.objective.by_seed.items()
    return sum(no_better(cost, known[seed]) for seed, cost in pairs if seed in known)


def edges(view: RunView) -> dict[str, list[str]]:
    """Labels of the columns whose chosen λ is the ``"smallest"`` or the ``"largest"`` tried."""
    found: dict[str, list[str]] = {}
    for column in view.contrast.columns:
        choice = (view.decided.choices or {}).get(column.name)
        last = len(column.knobs) - 1
        if column.knob == "strength" and choice is not None and last > 0:
            where = {0: "smallest", last: "largest"}.get(choice.index)
            if where is not None:
                found.setdefault(where, []).append(column.label)
    return found
