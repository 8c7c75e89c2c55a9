"""predict: new rows of a table through a compact network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shrinkage.cli.app import app
from shrinkage.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 10
"""Rows."""


@app.command("predict")
def predict_command(
    folder: Annotated[Path, typer.Argument(help="What shrinkage compact wrote, or its run.")],
    rows: Annotated[Path, typer.Argument(help="New rows: FILE.csv or FILE.parquet.")],
    out: Annotated[
        Path | None, typer.Option(help="Write rows and predictions to this csv file.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="FILE.py:FACTORY of the whole network. [default: the run's]")
    ] = None,
) -> None:
    """Ask the small network about new rows of a table.

    The rows need the columns that the network reads, by name; they are encoded and scaled as the
    training rows were. Other columns, and the target, may be left out.
    Try: shrinkage compact runs/a --drop-inputs && shrinkage predict runs/a new.csv --out said.csv
    """
    from shrinkage.compaction import predict
    from shrinkage.data.files import read_frame
    from shrinkage.reports.plain import frame_as_text

    found = predict(folder, rows, make_model=model)
    typer.echo(frame_as_text(found, _SHOWN))
    if out is None:
        typer.echo("\nAll of them: --out FILE.csv" if len(found) > _SHOWN else "")
    else:
        _write(read_frame(rows), found, out)
        typer.echo(f"\nWritten: {out}")


def _write(rows: "pl.DataFrame", found: "pl.DataFrame", out: Path) -> None:
    twice = [column for column in found.columns if column in rows.columns]
    if twice:
        raise DataError(
            "the rows have a column of the name of an answer",
            got=repr(twice[0]),
            expected="other names",
            remedy="Rename it.",
        )
    try:
        part = out.with_name(out.name + ".part")
        rows.hstack(found).write_csv(part)
        part.replace(out)
    except OSError as error:
        raise DataError(
            "the predictions cannot be written",
            got=f"{out}: {error.strerror or error}",
            expected="a file in a writable folder",
            remedy="Choose another --out.",
        ) from None
