"""demo and contrast: several penalties side by side."""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from shrinkage.cli.app import app
from shrinkage.cli.loading import loaded
from shrinkage.cli.options import (
    Address,
    BatchSize,
    Biases,
    Data,
    Device,
    Engine,
    Epochs,
    ImageSize,
    Jobs,
    Missing,
    Model,
    Norms,
    Optimizer,
    Rate,
    Rescale,
    Run,
    Seeds,
    Target,
    Task,
    Train,
    TrainSize,
    Tries,
    Validation,
    Weights,
)
from shrinkage.cli.words import command, listed, numbers, stoppable

if TYPE_CHECKING:
    from shrinkage.experiments.contrasts import Contrast
    from shrinkage.experiments.contrasts.budgets import BudgetName
    from shrinkage.experiments.paths.choice import Rule

_DEMO_SEEDS = 5
_DEMO_STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2)
_DEMO: Mapping[str, Any] = MappingProxyType(
    {
        "train_size": 200,
        "validation": 0.4,
        "test": 0.3,
        "epochs": 50,
        "batch_size": 16,
        "lr": 0.06,
    }
)
"""Settled on validation data of other seeds; see ARCHITECTURE.md, Decisions."""
_FILE_WIDTH = 140
"""Columns of text where the output goes to a file: no ellipses in it."""


@app.command()
def demo(run: Run = None, seeds: Seeds = None, tries: Tries = None, jobs: Jobs = None) -> None:
    """The lesson on real images: 200 digits, a small CNN, biases penalised too.

    Trains none, L1 as loss term, exact L1, L2, elastic net, group L1, dropout and magnitude
    pruning side by side, and writes a report. A few minutes on two cores.
    """
    from shrinkage.experiments.contrasts import contrast

    options = {**_DEMO, "seeds": _DEMO_SEEDS if seeds is None else seeds}
    grid = _DEMO_STRENGTHS if tries is None else None
    with stoppable():
        result = contrast(
            "cnn",
            "digits",
            run=run,
            tries=tries,
            jobs=jobs,
            grid=grid,
            biases=True,
            command=_demo_command({**options, "tries": tries, "strengths": grid}),
            **options,
        )
    _show(result)


@app.command("contrast")
def contrast_command(
    data: Data,
    model: Model = None,
    weights: Weights = None,
    target: Target = None,
    kind: Task = None,
    missing: Missing = None,
    image_size: ImageSize = None,
    train: Train = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Some of none,l1_term,l1,l2,elastic_net,group_l1,dropout,magnitude "
            "[default: these], weight_decay (decoupled), early_stopping, label_smoothing."
        ),
    ] = None,
    strengths: Annotated[
        str | None, typer.Option(help="The λ to try, e.g. 1e-4,1e-3,1e-2. [default: by --tries]")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="quick (3 tries, 1 seed), normal (5, 3) or thorough (9, 5).")
    ] = "normal",
    tries: Tries = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    point_epochs: Annotated[
        int | None,
        typer.Option(
            help="A column's tries go on from one another, weak to strong: the first has all "
            "epochs, each later one so many. Sooner. [default: every try from the beginning]"
        ),
    ] = None,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    lr: Rate = None,
    train_size: TrainSize = None,
    validation: Validation = 0.2,
    test: Annotated[
        float | None,
        typer.Option(
            help="Share of all data, kept for the last number; not for data that bring a test "
            "part. [default: 0.2]"
        ),
    ] = None,
    choose: Annotated[
        str,
        typer.Option(
            metavar="1se|best|paired",
            help="1se: most regularized whose validation loss is at most the lowest plus its "
            "standard error; best: the lowest; paired: within one standard error of the paired "
            "difference to the best.",
        ),
    ] = "1se",
    biases: Biases = False,
    norms: Norms = False,
    rescale: Rescale = False,
    polish: Annotated[
        int,
        typer.Option(
            help="Rounds of polish, at most, after training under an exact penalty: nearer to "
            "stationary, and several times the time. 100 go far."
        ),
    ] = 0,
    run: Run = None,
    device: Device = "cpu",
    jobs: Jobs = None,
    engine: Engine = "auto",
    address: Address = None,
) -> None:
    """Train one network under several regularizers, side by side, and write a report.

    Columns: none, l1_term (L1 in the loss), l1 (exact), l2, elastic_net, group_l1, dropout,
    magnitude (pruning). Each column gets the same tries, seeds and epochs; validation data
    choose its λ; the test set is opened once, after the choice.
    Try: shrinkage contrast breast_cancer --budget quick
    """
    from shrinkage.experiments.contrasts import contrast

    with stoppable():
        result = contrast(
            model,
            loaded(data, target, kind, missing, image_size),
            columns=None if columns is None else listed(columns),
            weights=weights,
            run=run,
            budget=cast("BudgetName", budget),
            tries=tries,
            seeds=seeds,
            epochs=epochs,
            point_epochs=point_epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=lr,
            train=train,
            train_size=train_size,
            validation=validation,
            test=test,
            grid=None if strengths is None else numbers("--strengths", strengths),
            choose=cast("Rule", choose),
            biases=biases,
            norms=norms,
            rescale=rescale,
            polish=polish,
            device=device,
            jobs=jobs,
            engine=engine,
            address=address,
            command=command(sys.argv[1:], data),
        )
    _show(result)


def _show(result: "Contrast") -> None:
    from shrinkage.reports import table

    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    console.print(table(result.view))
    console.print(f"\nReport: {result.report.resolve()}\nRun folder: {result.folder}")


def _demo_command(options: Mapping[str, Any]) -> str:
    """The demo with these options as a contrast: what to type for a variation of it."""
    words = " ".join(
        f"--{name.replace('_', '-')} {_written(value)}"
        for name, value in options.items()
        if value is not None
    )
    return f"shrinkage contrast digits --model cnn --biases {words}"


def _written(value: Any) -> str:
    """A value as it is typed: numbers, or several with commas between them."""
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)
