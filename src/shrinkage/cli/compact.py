"""compact: a run's zeros as a smaller network."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from shrinkage.cli.app import app
from shrinkage.cli.options import typed
from shrinkage.cli.words import guarded
from shrinkage.compression.options import CompactOptions, PointOptions
from shrinkage.errors import RunError

if TYPE_CHECKING:
    from shrinkage.compression import Point


@app.command("compact")
@typed
def compact_command(options: CompactOptions, point: PointOptions) -> None:
    """Turn a run's zeros into a smaller network, proven equal: safetensors, torch.export, ONNX.

    Dead units are cut out with everything that must vanish with them. Outputs and gradients are
    compared before and after, latency is measured, the test set is predicted by both.
    A run made in Python needs its factory again: --model FILE.py:FACTORY.
    Try: shrinkage path digits --penalty group --run runs/a && shrinkage compact runs/a
    """
    from shrinkage.compression import compact_run

    other = _point(Path(options.folder), point)
    with guarded():
        made = compact_run(**vars(replace(options, point=other)))
    typer.echo(made)


def _point(run: Path, asked: PointOptions) -> "Point | None":
    """The point that is asked for; None for the path's own choice."""
    from shrinkage.compression import Point
    from shrinkage.experiments.paths import Wanted, select
    from shrinkage.runs import read

    given = [name for name, value in vars(asked).items() if value is not None]
    if not given:
        return None
    view = read(run)
    if view.command == "path" and view.decided.choice is None:
        raise RunError(
            "the path is not finished",
            got=f"{run} without a choice",
            expected="a path that has chosen a point",
            remedy="Finish the run with the command it was begun with.",
        )
    if view.command != "path":
        raise RunError(
            "the run has no points to choose from",
            got=f"--{given[0]} for a run of {view.command!r}",
            expected="a run of shrinkage path",
            remedy="Of a contrast, name a --column.",
        )
    found = select(view, Wanted(**vars(asked)))
    return Point(found.scale, found.family)
