"""A path as rows of numbers: one per scale and fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from shrinkage.analysis.features import Features
from shrinkage.lesson.estimates import mean, sd
from shrinkage.reports.paths.track import share_left
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
class PathRow(Record):
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


def path_rows(view: RunView) -> Iterator[PathRow]:
    """One row per scale and fit (penalised, refit; last the stable features): means, sd over seeds.

    Scales at which a seed failed or is missing are left out; a seed whose network emptied at a
    weaker scale counts as that empty network. ``nonzeros`` and ``density`` (their share) are of the
    penalised weights, ``features`` counts what the network uses: inputs on a path to an output, the
    one-hot columns of a table's column together (None where the wiring is not known), ``penalty``
    is that of the fit. Test figures are None before the test set is opened. The stable features'
    validation figures are the first seed's alone: they were selected on its training rows, among
    which are other seeds' validation rows.
    """
    features = Features.of(view)
    for scale, fits in complete(view).items():
        tested = _tested(view, [fit.key for fit in fits])
        yield _row(features, scale, "fit", fits, fits, fits, tested)
        refits = [fit.refit for fit in fits if fit.refit is not None and fit.refit.is_usable]
        if len(refits) == len(fits):
            tested = _tested(view, [refit_key(fit.key) for fit in fits])
            yield _row(features, scale, "refit", fits, refits, refits, tested)
    yield from _stable_rows(view, features)


def _stable_rows(view: RunView, features: Features) -> Iterator[PathRow]:
    """The row of the stable features; none before all seeds have their network."""
    stable = [fit for fit in view.records(StableRecord).values() if fit.is_usable]
    decided = view.decided.stable
    if decided is None or len(stable) != view.study.seeds:
        return
    tested = _tested(view, [fit.key for fit in stable])
    first = [fit for fit in stable if fit.seed == 0]
    yield _row(features, decided.scale, "stable", stable, stable, first, tested)


def _tested(view: RunView, keys: Sequence[str]) -> list[TestRecord]:
    tests = view.records(TestRecord)
    return [tests[key] for key in keys if key in tests]


def _row(
    features: Features,
    scale: float,
    family: Family,
    fits: Sequence[PathFitRecord | StableRecord],
    parts: Sequence[EvaluatedRecord],
    validated: Sequence[EvaluatedRecord],
    tests: Sequence[TestRecord],
) -> PathRow:
    """``fits``: the whole networks; ``parts``, ``validated``: whose training, validation counts."""
    scores, test_scores = [part.validation.score for part in validated], [t.score for t in tests]
    return PathRow(
        scale=scale,
        fit=family,
        nonzeros=fmean(fit.weights.nonzeros for fit in fits),
        density=fmean(map(share_left, fits)),
        features=_used(features, fits),
        penalty=mean(fit.penalty for fit in fits),
        train_loss=mean(part.train.loss for part in parts),
        validation_loss=mean(part.validation.loss for part in validated),
        validation_score=mean(scores),
        validation_sd=sd(scores),
        test_loss=mean(test.loss for test in tests),
        test_score=mean(test_scores),
        test_sd=sd(test_scores),
        score_name=fits[0].score_name,
    )


def _used(features: Features, fits: Sequence[PathFitRecord | StableRecord]) -> float | None:
    """The number of features in use; None where the wiring of a network is not known."""
    known = [fit.features for fit in fits if fit.features is not None]
    return fmean(sum(features.used(each)) for each in known) if len(known) == len(fits) else None
