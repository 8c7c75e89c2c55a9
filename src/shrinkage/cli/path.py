"""path: every strength, and the choice of one."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from shrinkage.cli.app import app
from shrinkage.cli.data import loaded
from shrinkage.cli.options import typed
from shrinkage.cli.words import command, stoppable
from shrinkage.experiments.options import PathOptions, ReadingOptions, StabilityOptions

if TYPE_CHECKING:
    from shrinkage.analysis.features import Stability
    from shrinkage.experiments.paths import RegularizationPath


@app.command("path")
@typed
def path_command(
    options: PathOptions, reading: ReadingOptions, stability: StabilityOptions
) -> None:
    """Fit the network at every strength, from dense to empty, and choose one with a reason.

    Each point starts from the one before, so that the whole curve costs a fraction of separate
    trainings. Linear models are solved exactly. Validation data choose; the test set is opened
    once, after the choice. Killed or interrupted, the same command goes on.
    Try: shrinkage path digits --penalty group
    """
    from shrinkage.experiments.paths import path
    from shrinkage.experiments.paths.named import FEATURES

    with stoppable():
        halves = _halves(options.stability, stability)
        data = loaded(options.data, reading)
        line = command(sys.argv[1:], options.data)
        result = path(**vars(replace(options, data=data, stability=halves, command=line)))
    typer.echo(f"{result}\n\nChosen: {result.chosen}\n")
    if halves is not None or options.penalty == FEATURES:
        _show_features(result)
    typer.echo(f"Report: {result.report.resolve()}\nRun folder: {result.folder}")


def _halves(subsamples: object, stability: StabilityOptions) -> "Stability | None":
    """What --stability, --threshold and --errors ask for together."""
    from shrinkage.analysis.features import Stability
    from shrinkage.errors import FitError

    given = {name: value for name, value in vars(stability).items() if value is not None}
    if isinstance(subsamples, int):
        return Stability(subsamples, **given)
    for name, value in given.items():
        raise FitError(
            f"--{name} has no meaning without half samples",
            got=f"--{name} {value:g} alone",
            expected="a number of half samples beside it",
            remedy=f"Add --stability 50, or leave --{name} out.",
        )
    return None


def _show_features(result: "RegularizationPath") -> None:
    """The table of features, the surest on top, and what the stable ones rest on."""
    from shrinkage.reports.paths import feature_table

    typer.echo(feature_table(result.features().to_dicts()))
    typer.echo("" if result.stable is None else f"\n{result.stable}\n")
