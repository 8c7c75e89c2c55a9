"""Tables from files: ``.csv``, with whatever parts its cells, and ``.parquet``."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from shrinkage.data.cells import check_bytes, cleaned
from shrinkage.errors import DataError, listed, shortened, told

MISSING = [
    "", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "?",
]  # fmt: skip
"""Cells of a csv file that hold nothing."""
_QUOTED = re.compile(r'"[^"]*"')
_SIGNS = (",", ";", "\t")
_COMMAS = r"^[-+−]?([0-9]+(,[0-9]*)?|,[0-9]+)([eE][-+]?[0-9]+)?$"
_THOUSANDS = r"^[-+]?\d{1,3}(\.\d{3})*$"


def read_frame(path: Path, texts: Collection[str] = ()) -> pl.DataFrame:
    """The rows of a ``.csv`` or ``.parquet`` file; columns in ``texts`` stay as they are written.

    Cells of a csv file are parted by commas, semicolons or tabs, whichever its first line has most
    of; where it is not commas, numbers may have decimal commas. Spaces around cells and names do
    not count, and +1 is a number. Raises :class:`DataError` for a file that cannot be read, for
    columns that share a name, and for numbers such as 4.268 in a file with decimal commas, of which
    nobody can tell whether they are thousands.
    """
    if path.suffix.lower() == ".parquet":
        with _reading(path):
            return pl.read_parquet(path, glob=False)
    with _reading(path):
        sign = _sign(path)
        names = _read(path, sign, has_header=False, n_rows=1, infer_schema=False).row(0)
        raw = _read(path, sign, infer_schema=False)
    check_bytes(path.name, raw)
    _check_names(path, [str(name or "").strip() for name in names])
    written = cleaned(raw, texts, MISSING)
    with _reading(path):
        source = path if written is raw else BytesIO(written.write_csv(separator=sign).encode())
        kept = {name: pl.String for name in written.columns if name in texts}
        frame = _read(source, sign, infer_schema_length=None, try_parse_dates=True,
                      null_values=MISSING, schema_overrides=kept)  # fmt: skip
        if sign == ",":
            return frame
    return _with_decimal_commas(path, frame, written, texts)


def as_written(path: Path) -> pl.DataFrame:
    """The cells of a csv file as text, character by character; a parquet file as it is."""
    with _reading(path):
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path, glob=False)
        return _read(path, _sign(path), infer_schema=False)


def _with_decimal_commas(
    path: Path, frame: pl.DataFrame, written: pl.DataFrame, texts: Collection[str]
) -> pl.DataFrame:
    """Columns of whole numbers and numbers such as 12,5 become numbers."""
    found = [
        series.str.replace(",", ".", literal=True).str.replace("^−", "-").cast(pl.Float64)
        for series in frame.get_columns()
        if series.name not in texts and _all(series, _COMMAS) and series.str.contains(",").any()
    ]
    if not found:
        return frame
    for series in frame.select(pl.selectors.float()).get_columns():
        cells = written[series.name].filter(series.is_not_null())
        pointed = cells.filter(cells.str.contains(".", literal=True)).head(3).to_list()
        if _all(cells, _THOUSANDS):
            raise DataError(
                f"{path.name}: are the points in column {series.name!r} decimal or not",
                got=f"{listed(pointed)} beside decimal commas in {found[0].name!r}",
                expected="numbers of one kind",
                remedy="Write 4268 for four thousand, and 4,268 for four and a bit.",
            )
    return frame.with_columns(found)


def _all(series: pl.Series, pattern: str) -> bool:
    present = series.drop_nulls()
    text = series.dtype == pl.String and bool(len(present))
    return text and bool(present.str.contains(pattern).all())


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        is_empty = isinstance(error, pl.exceptions.NoDataError)
        if is_empty or (path.is_file() and not path.stat().st_size):
            raise DataError(
                f"{path.name} is empty",
                got=f"{path.stat().st_size} bytes without a line of text",
                expected="a table with a header line",
                remedy="Export it again, or look whether another path is meant.",
            ) from error
        raise DataError(
            f"{path.name} cannot be read",
            got=shortened(told(error)),
            expected="a parquet file, or a csv file in UTF-8 with a header line",
            remedy="Save it as CSV UTF-8 (“Unicode text” is UTF-16); open it with polars to see "
            "where it breaks.",
        ) from error


def _sign(path: Path) -> str:
    """What parts the cells of the first line; polars unpacks and decodes."""
    line = pl.read_csv(path, separator="\x1f", quote_char=None, has_header=False, n_rows=1,
                       infer_schema=False, glob=False)  # fmt: skip
    header = _QUOTED.sub("", str(line.row(0)[0]))
    return max(_SIGNS, key=header.count)


def _read(source: Path | BytesIO, sign: str, **options: Any) -> pl.DataFrame:
    return pl.read_csv(source, separator=sign, glob=False, **options)


def _check_names(path: Path, names: list[str]) -> None:
    """Raise :class:`DataError` where two columns have one name: polars would rename the second."""
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path.name}: columns share a name",
            got=listed(map(repr, twice), 20),
            expected="a name of its own for every column",
            remedy="Rename or drop the repeated columns.",
        )
