"""compact: a run's zeros as a smaller network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shrinkage.cli.app import app
from shrinkage.cli.words import guarded
from shrinkage.errors import RunError

if TYPE_CHECKING:
    from shrinkage.compression import Point


@app.command("compact")
def compact_command(
    run: Annotated[Path, typer.Argument(help="The run folder of a path or a contrast.")],
    column: Annotated[
        str | None, typer.Option(help="Column of a contrast. [default: group_l1, else l1]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which of the run's seeds.")] = 0,
    model: Annotated[
        str | None, typer.Option(help="Name or FILE.py:FACTORY. [default: the run's own]")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Data. [default: the run's own]")] = None,
    target: Annotated[str | None, typer.Option(help="Target column. [default: the run's]")] = None,
    scale: Annotated[
        float | None, typer.Option(help="Of a path: the point at this λ × instead of its choice.")
    ] = None,
    nonzeros: Annotated[
        int | None,
        typer.Option(
            help="Of a path: the best point with at most so many weights, mean over seeds."
        ),
    ] = None,
    features: Annotated[
        int | None,
        typer.Option(help="Of a path: the best with at most so many features, mean over seeds."),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(help="Of a path: the fewest weights whose score is within this of the best."),
    ] = None,
    drop_inputs: Annotated[
        bool,
        typer.Option("--drop-inputs", help="Leave out inputs that nobody reads; lists the others."),
    ] = False,
    batch: Annotated[
        int, typer.Option(min=1, help="Batch size that latency is measured for, beside 1.")
    ] = 128,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files. [default: RUN/compact-COLUMN-SEED]")
    ] = None,
) -> None:
    """Turn a run's zeros into a smaller network, proven equal: safetensors, torch.export, ONNX.

    Dead units are cut out with everything that must vanish with them. Outputs and gradients are
    compared before and after, latency is measured, the test set is predicted by both.
    A run made in Python needs its factory again: --model FILE.py:FACTORY.
    Try: shrinkage path digits --penalty group --run runs/a && shrinkage compact runs/a
    """
    from shrinkage.compression import compact_run

    asked = {"scale": scale, "nonzeros": nonzeros, "features": features, "within": within}
    point = _point(run, asked) if any(value is not None for value in asked.values()) else None
    with guarded():
        made = compact_run(
            run, column=column, seed=seed, model=model, data=data, target=target, batch=batch,
            drop_inputs=drop_inputs, point=point, out=out,
        )  # fmt: skip
    typer.echo(made)


def _point(run: Path, asked: dict[str, Any]) -> "Point":
    from shrinkage.compression import Point
    from shrinkage.experiments.paths import Wanted, select
    from shrinkage.runs import read

    view = read(run)
    if view.command == "path" and view.decided.choice is None:
        raise RunError(
            "the path is not finished",
            got=f"{run} without a choice",
            expected="a path that has chosen a point",
            remedy="Finish the run with the command it was begun with.",
        )
    if view.command != "path":
        name = next(name for name, value in asked.items() if value is not None)
        raise RunError(
            "the run has no points to choose from",
            got=f"--{name} for a run of {view.command!r}",
            expected="a run of shrinkage path",
            remedy="Of a contrast, name a --column.",
        )
    found = select(view, Wanted(**asked))
    return Point(found.scale, found.family)
