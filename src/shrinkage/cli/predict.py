"""predict: new rows of a table through a compact network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shrinkage.cli.app import app
from shrinkage.cli.words import guarded
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
        str | None,
        typer.Option(help="FILE.py:FACTORY of the whole network.", show_default="the run's"),
    ] = None,
) -> None:
    """Ask the small network about new rows of a table.

    The rows need the columns that the network reads, by name; they are encoded and scaled as the
    training rows were. Other columns, and the target, may be left out.
    Try: shrinkage compact runs/a --drop-inputs && shrinkage predict runs/a new.csv --out said.csv
    """
    from shrinkage.compression import predict
    from shrinkage.reports.plain import frame_as_text

    if out is not None:
        _check_out(rows, out)
    with guarded():
        found = predict(folder, rows, make_model=model)
    typer.echo(frame_as_text(found, _SHOWN))
    if out is None:
        typer.echo("\nAll of them: --out FILE.csv" if len(found) > _SHOWN else "")
    else:
        _write(rows.expanduser(), found, out)
        typer.echo(f"\nWritten: {out}")


def _check_out(rows: Path, out: Path) -> None:
    is_same = rows.expanduser().exists() and out.exists() and out.samefile(rows.expanduser())
    if is_same or out.is_dir() or not out.name or not out.absolute().parent.is_dir():
        raise DataError(
            "the predictions cannot be written there",
            got=repr(str(out)),
            expected="a file other than the rows', in a folder that exists",
            remedy="Choose another --out.",
        )


def _write(rows: Path, found: "pl.DataFrame", out: Path) -> None:
    """The rows as they were written, and the answers beside them."""
    from polars.exceptions import PolarsError

    from shrinkage.data.files import as_written
    from shrinkage.runs import write_atomic

    asked = as_written(rows)
    twice = [column for column in found.columns if column in asked.columns]
    if twice:
        raise DataError(
            "the rows have a column of the name of an answer",
            got=repr(twice[0]),
            expected="other names",
            remedy="Rename it.",
        )
    try:
        write_atomic(out, asked.hstack(found).write_csv().encode())
    except (OSError, PolarsError) as error:
        raise DataError(
            "the predictions cannot be written",
            got=f"{out}: {error}",
            expected="a writable folder, and rows without nested columns",
            remedy="Choose another --out; nested columns can be left out.",
        ) from None
