"""explore: the live page."""

from typing import Annotated

import typer

from shrinkage.cli.app import app
from shrinkage.cli.loading import loaded
from shrinkage.cli.options import (
    BatchSize,
    Biases,
    Data,
    ImageSize,
    Missing,
    Model,
    Rate,
    Target,
    Task,
    TrainSize,
    Weights,
)
from shrinkage.cli.words import command_data, listed, tell


@app.command("explore")
def explore_command(
    data: Data = "digits",
    model: Model = None,
    weights: Weights = None,
    target: Target = None,
    kind: Task = None,
    missing: Missing = None,
    image_size: ImageSize = None,
    columns: Annotated[
        str,
        typer.Option(
            help="One to four of none,l1_term,l1,l2,elastic_net,group_l1,dropout; "
            "the page can change them."
        ),
    ] = "none,l1_term,l1,l2",
    optimizer: Annotated[str | None, typer.Option(help="sgd or adam. [default: sgd]")] = None,
    lr: Rate = None,
    batch_size: BatchSize = None,
    train_size: TrainSize = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches and label noise.")] = None,
    biases: Biases = False,
    settings: Annotated[
        str | None, typer.Option(help="A link copied from the page: its settings come back.")
    ] = None,
    port: Annotated[
        int, typer.Option(help="Any that is free unless given.", show_default=False)
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address and open nothing.")
    ] = False,
) -> None:
    """Turn λ while one to four networks train side by side, on a page of this machine.

    Watch weights reach exact zero and come back, click one to learn why, or take the guided tour
    through the lesson. The address holds a token; Ctrl-C ends the page. Needs the extra:
    pip install 'shrinkage\\[explore]'
    """
    from shrinkage.explorer import explore

    explore(
        model,
        loaded(data, target, kind, missing, image_size),
        weights=weights,
        columns=listed(columns),
        optimizer=optimizer,
        lr=lr,
        batch_size=batch_size,
        train_size=train_size,
        seed=seed,
        biases=biases or None,
        settings=settings,
        port=port,
        browser=not no_browser,
        source=command_data(data, target=target, task=kind, missing=missing, image_size=image_size),
        say=tell,
    )
