"""A path as rows of numbers: one per scale and fit."""

from collections.abc import Iterator
from statistics import fmean
from typing import Any

from shrinkage.estimates import mean, sd
from shrinkage.features import Features
from shrinkage.runs import RunView
from shrinkage.studies import complete, is_usable, refit_key

Point = dict[str, Any]


def path_rows(view: RunView) -> Iterator[Point]:
    """One row per scale and fit (penalised, refit; last the stable features): means, sd over seeds.

    Scales at which a seed failed or is missing are left out; a seed whose network emptied at a
    weaker scale counts as that empty network. ``nonzeros`` and ``density`` (their share) are of the
    penalised weights, ``features`` counts what the network uses: inputs on a path to an output, the
    one-hot columns of a table's column together (None where the wiring is not known), ``penalty``
    is that of the fit. Test figures are None before the test set is opened. The stable features'
    validation figures are the first seed's alone: they were selected on its training rows, among
    which are other seeds' validation rows.
    """
    tests, features = view.of_kind("test"), Features.of(view)
    for scale, fits in complete(view).items():
        names = [fit["key"] for fit in fits]
        yield _row(features, scale, "fit", fits, fits, [tests.get(name) for name in names])
        refits = [fit["refit"] for fit in fits if "refit" in fit and is_usable(fit["refit"])]
        if len(refits) == len(fits):
            tested = [tests.get(refit_key(name)) for name in names]
            yield _row(features, scale, "refit", fits, refits, tested)
    stable = [fit for fit in view.of_kind("stable").values() if is_usable(fit)]
    if len(stable) == view.config["seeds"]:
        tested = [tests.get(fit["key"]) for fit in stable]
        first = [fit for fit in stable if fit["seed"] == 0]
        scale = view.decisions["stable"]["scale"]
        yield _row(features, scale, "stable", stable, stable, tested) | _validation(first)


def _row(
    features: Features,
    scale: float,
    family: str,
    fits: list[Point],
    parts: list[Point],
    tests: list[Point | None],
) -> Point:
    tested = [test for test in tests if test is not None]
    used = [fit["features"] for fit in fits]
    return {
        "scale": scale,
        "fit": family,
        "nonzeros": fmean(fit["weights"]["nonzeros"] for fit in fits),
        "density": fmean(fit["weights"]["nonzeros"] / fit["weights"]["size"] for fit in fits),
        "features": None if None in used else fmean(sum(features.used(inputs)) for inputs in used),
        "penalty": fmean(fit["penalty"] for fit in fits),
        "train_loss": mean(part["train"]["loss"] for part in parts),
        **_validation(parts),
        "test_loss": mean(test["loss"] for test in tested),
        "test_score": mean(test["score"] for test in tested),
        "test_sd": sd(test["score"] for test in tested),
        "score_name": fits[0]["score_name"],
    }


def _validation(parts: list[Point]) -> Point:
    return {
        "validation_loss": mean(part["validation"]["loss"] for part in parts),
        "validation_score": mean(part["validation"]["score"] for part in parts),
        "validation_sd": sd(part["validation"]["score"] for part in parts),
    }
