"""compact: a run's zeros as a smaller network."""

from pathlib import Path
from typing import Annotated

import typer

from shrinkage.cli.app import app


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
    from shrinkage.compaction import compact_run

    typer.echo(
        compact_run(
            run, column=column, seed=seed, model=model, data=data, target=target, batch=batch,
            out=out,
        )
    )  # fmt: skip
