"""A path as rows of numbers: one per scale and fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from shrinkage.analysis.features import Features
from shrinkage.lesson.estimates import mean, sd
from shrinkage.runs import (
    EvaluatedRecord,
    Family,
    PathFitRecord,
    Record,
    RunView,
    StableRecord,
    TestRecord,
)
from shrinkage.runs.chains import complete, refit_key


@dataclass(frozen=True, kw_only=True)
class Row(Record):
    """A row of :meth:`RegularizationPath.frame`, in the order of its columns."""

    scale: float
    fit: Family
    nonzeros: float
    density: float
    features: float | None
    penalty: float | None
    train_loss: float | None
    validation_loss: float | None
    validation_score: float | None
    validation_sd: float | None
    test_loss: float | None
    test_score: float | None
    test_sd: float | None
    score_name: str


def path_rows(view: RunView) -> Iterator[Row]:
    """One row per scale and fit (penalised, refit; last the stable features): means, sd over seeds.

    Scales at which a seed failed or is missing are left out; a seed whose network emptied at a
    weaker scale counts as that empty network. ``nonzeros`` and ``density`` (their share) are of the
    penalised weights, ``features`` counts what the network uses: inputs on a path to an output, the
    one-hot columns of a table's column together (None where the wiring is not known), ``penalty``
    is that of the fit. Test figures are None before the test set is opened. The stable features'
    validation figures are the first seed's alone: they were selected on its training rows, among
    which are other seeds' validation rows.
    """
    tests, features = view.records(TestRecord), Features.of(view)
    for scale, fits in complete(view).items():
        yield _row(features, scale, "fit", fits, fits, [tests.get(fit.key) for fit in fits])
        refits = [fit.refit for fit in fits if fit.refit is not None and fit.refit.is_usable]
        if len(refits) == len(fits):
            tested = [tests.get(refit_key(fit.key)) for fit in fits]
            yield _row(features, scale, "refit", fits, refits, tested)
    stable = [fit for fit in view.records(StableRecord).values() if fit.is_usable]
    decided = view.decided.stable
    if decided is not None and len(stable) == view.study.seeds:
        tested = [tests.get(fit.key) for fit in stable]
        first = [fit for fit in stable if fit.seed == 0]
        yield _row(features, decided.scale, "stable", stable, stable, tested, first)


def _row(
    features: Features,
    scale: float,
    family: Family,
    fits: Sequence[PathFitRecord | StableRecord],
    parts: Sequence[EvaluatedRecord],
    tests: Sequence[TestRecord | None],
    validated: Sequence[EvaluatedRecord] | None = None,
) -> Row:
    """``validated``: whose validation figures count; all parts' unless given."""
    tested = [test for test in tests if test is not None]
    used = [None if fit.features is None else sum(features.used(fit.features)) for fit in fits]
    held = parts if validated is None else validated
    known = [count for count in used if count is not None]
    return Row(
        scale=scale,
        fit=family,
        nonzeros=fmean(fit.weights.nonzeros for fit in fits),
        density=fmean(fit.weights.nonzeros / fit.weights.size for fit in fits),
        features=None if None in used else fmean(known),
        penalty=mean(fit.penalty for fit in fits),
        train_loss=mean(part.train.loss for part in parts),
        validation_loss=mean(part.validation.loss for part in held),
        validation_score=mean(part.validation.score for part in held),
        validation_sd=sd(part.validation.score for part in held),
        test_loss=mean(test.loss for test in tested),
        test_score=mean(test.score for test in tested),
        test_sd=sd(test.score for test in tested),
        score_name=fits[0].score_name,
    )
