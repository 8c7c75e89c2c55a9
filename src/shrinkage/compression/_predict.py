"""New rows of a table through a compact network."""

from pathlib import Path

import polars as pl

from shrinkage.analysis.answers import ask
from shrinkage.arguments import as_path
from shrinkage.compression.files import load_compact
from shrinkage.compression.records import read_record
from shrinkage.data.models import Factory
from shrinkage.errors import CompactionError
from shrinkage.runs.questions import Rows


def predict(
    folder: str | Path, rows: Rows, *, make_model: str | Factory | None = None
) -> pl.DataFrame:
    """What the network of a folder that ``shrinkage compact`` wrote says to new rows of a table.

    ``folder``: that folder, or the run's, where it has a single one. ``rows``: a ``.csv`` or
    ``.parquet`` file, or a frame, with the columns that the network reads, by name; others are
    ignored. They are encoded and scaled as the training rows were. Or numbers (n, n_inputs), a
    tensor or an array, in the units of the data. ``make_model``: as :func:`load_compact` takes it.

    One row per row: ``prediction``, a class or a number in the units of the data, and for a
    classification by cross-entropy ``probability=CLASS`` for each class.

    Raises :class:`CompactionError` for a folder without such a network, and as
    :func:`load_compact` does; :class:`DataError` for rows that cannot be read, lack a column or a
    value, or have an unknown level; :class:`FitError` for answers that are not finite.
    """
    remedy = "The order is predict(folder, rows)."
    where = compact_folder(as_path("folder", folder, remedy=remedy, error=CompactionError))
    known = read_record(where)
    if known.questions is None:
        raise CompactionError(
            "how rows become inputs is not known",
            got=f"{where}, saved without it",
            expected="a folder that shrinkage compact wrote",
            remedy="Of a folder that save() wrote: load_compact(make_model, folder)(inputs). Of an "
            "older one: shrinkage compact RUN again.",
        )
    return ask(known.questions, load_compact(make_model, where), rows)


def compact_folder(folder: Path) -> Path:
    """``folder`` with a compact network, or the only one in it."""
    if (folder / "compact.json").exists():
        return folder
    inside = sorted(path.parent for path in folder.glob("compact-*/compact.json"))
    if len(inside) == 1:
        return inside[0]
    raise CompactionError(
        "which compact network is not clear" if inside else "there is no compact network",
        got=", ".join(str(path) for path in inside) or str(folder),
        expected="the folder of one",
        remedy="Name one of them."
        if inside
        else "Make one: shrinkage compact RUN, with the options of its data (--target COLUMN).",
    )
