"""path: every strength, and the choice of one."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from shrinkage.cli.app import app
from shrinkage.cli.loading import loaded
from shrinkage.cli.options import (
    Address,
    BatchSize,
    Biases,
    Data,
    Device,
    Engine,
    ImageSize,
    Jobs,
    Missing,
    Model,
    Norms,
    Optimizer,
    Rate,
    Rescale,
    Run,
    Target,
    Task,
    Train,
    TrainSize,
    Validation,
    Weights,
)
from shrinkage.cli.words import command, stoppable

if TYPE_CHECKING:
    from shrinkage.analysis.features import Stability
    from shrinkage.experiments.paths import RegularizationPath


@app.command("path")
def path_command(
    data: Data,
    penalty: Annotated[
        str,
        typer.Option(
            help="l1, features (whole inputs), group, coupled_group, sparse_group, elastic_net, "
            "log_sum, mcp or l2."
        ),
    ] = "l1",
    model: Model = None,
    weights: Weights = None,
    target: Target = None,
    kind: Task = None,
    missing: Missing = None,
    image_size: ImageSize = None,
    points: Annotated[int, typer.Option(help="Points of the path.")] = 25,
    weakest: Annotated[
        float | None, typer.Option("--from", help="The weakest λ. [default: found on the data]")
    ] = None,
    strongest: Annotated[
        float | None, typer.Option("--to", help="The strongest λ. [default: found on the data]")
    ] = None,
    refine: Annotated[
        int,
        typer.Option(
            help="Points added where the validation score falls most steeply between two "
            "neighbours, so that the choice is not between leaps. 0 for the even grid."
        ),
    ] = 4,
    choose: Annotated[
        str | None,
        typer.Option(
            metavar="1se|best|paired|stable",
            help="1se: strongest λ whose validation loss is at most the lowest plus its standard "
            "error; best: the lowest; paired: within one standard error of the paired difference "
            "to the best; or the stable features. "
            "[default: 1se, with --stability stable]",
        ),
    ] = None,
    stability: Annotated[
        int | None,
        typer.Option(
            help="Half samples, an even number such as 50, that tell which features are stable."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="With --stability: the share of half samples, above 0.5, that must use a feature "
            "to call it stable. Higher: fewer features, surer ones; the bound on false ones that "
            "is printed falls with it. [default: 0.9]"
        ),
    ] = None,
    errors: Annotated[
        float | None,
        typer.Option(
            help="With --stability: how many false features may be expected, at most, where the "
            "stable ones are looked for. [default: 1]"
        ),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(help="Instead: fewest weights whose score is within this of the best."),
    ] = None,
    refit: Annotated[
        bool, typer.Option(help="Fit each support once more without the penalty.")
    ] = True,
    magnitude: Annotated[
        bool, typer.Option(help="Magnitude pruning to the same numbers of weights beside it.")
    ] = True,
    shrink: Annotated[
        bool, typer.Option(help="Train only what is still read; the same results, sooner.")
    ] = True,
    seeds: Annotated[int | None, typer.Option(help="Seeds. [default: 3]")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds of a cross-validation instead.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the dense network.")] = None,
    point_epochs: Annotated[
        float | None, typer.Option(help="Epochs of each point; may be a part of one.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Trainings of a point until it has settled.")] = 2,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    lr: Rate = None,
    train: Train = None,
    train_size: TrainSize = None,
    validation: Validation = 0.2,
    test: Annotated[
        float | None,
        typer.Option(help="Share of all data, kept for the last number. [default: 0.2]"),
    ] = None,
    biases: Biases = False,
    norms: Norms = False,
    rescale: Rescale = False,
    run: Run = None,
    device: Device = "cpu",
    jobs: Jobs = None,
    engine: Engine = "auto",
    address: Address = None,
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
        result = path(
            model,
            loaded(data, target, kind, missing, image_size),
            penalty,
            weights=weights,
            run=run,
            points=points,
            weakest=weakest,
            strongest=strongest,
            choose=choose,
            within=within,
            stability=_halves(stability, threshold, errors),
            refine=refine,
            refit=0.0 if refit else None,
            magnitude=magnitude,
            shrink=shrink,
            seeds=seeds,
            folds=folds,
            epochs=epochs,
            point_epochs=point_epochs,
            rounds=rounds,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=lr,
            train=train,
            train_size=train_size,
            validation=validation,
            test=test,
            biases=biases,
            norms=norms,
            rescale=rescale,
            device=device,
            jobs=jobs,
            engine=engine,
            address=address,
            command=command(sys.argv[1:], data),
        )
    typer.echo(f"{result}\n\nChosen: {result.chosen}\n")
    if stability is not None or penalty == FEATURES:
        _show_features(result)
    typer.echo(f"Report: {result.report.resolve()}\nRun folder: {result.folder}")


def _halves(
    subsamples: int | None, threshold: float | None, errors: float | None
) -> "Stability | None":
    """What --stability, --threshold and --errors ask for together."""
    from shrinkage.analysis.features import Stability
    from shrinkage.errors import FitError

    options = {"threshold": threshold, "errors": errors}
    given = {name: value for name, value in options.items() if value is not None}
    if subsamples is not None:
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
