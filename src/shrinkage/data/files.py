"""Tables from files: ``.csv``, with whatever parts its cells, and ``.parquet``."""

import re
from pathlib import Path

import polars as pl

from shrinkage.data.source import listed
from shrinkage.errors import DataError, told

MISSING = [
    "", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "?",
]  # fmt: skip
"""Cells of a csv file that hold nothing."""
_QUOTED = re.compile(r'"[^"]*"')
_SIGNS = (",", ";", "\t")


def read_frame(path: Path) -> pl.DataFrame:
    """The rows of a ``.csv`` or ``.parquet`` file.

    Cells of a csv file are parted by commas, semicolons or tabs, whichever its first line has most
    of; where it is not commas, numbers may have decimal commas. Raises :class:`DataError` for a
    file that cannot be read, and for columns that share a name.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path)
        sign = _sign(path)
        frame = _read(path, sign)
        if sign != "," and any(has_decimal_commas(series) for series in frame.get_columns()):
            points = frame.select(pl.selectors.numeric())
            frame = _read(path, sign, decimal_comma=True).with_columns(points)
        _check_header(path, sign)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise DataError(
            f"{path.name} cannot be read",
            got=told(error),
            expected="a parquet file, or a csv file in UTF-8 with a header line",
            remedy="Save it as CSV UTF-8, and open it with polars to see where it breaks.",
        ) from error
    return frame


def has_decimal_commas(series: pl.Series) -> bool:
    """Whether most values of a text column are numbers such as 12,5 or 1.234,5."""
    return _share(series, r"^\s*[-+]?\d[\d.]*,\d+\s*$") > 0.8


def _share(series: pl.Series, pattern: str) -> float:
    present = series.drop_nulls()
    if series.dtype != pl.String or not len(present):
        return 0.0
    return int(present.str.contains(pattern).sum()) / len(present)


def _sign(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        header = _QUOTED.sub("", lines.readline())
    return max(_SIGNS, key=header.count)


def _read(path: Path, sign: str, *, decimal_comma: bool = False) -> pl.DataFrame:
    return pl.read_csv(
        path,
        separator=sign,
        decimal_comma=decimal_comma,
        infer_schema_length=None,
        try_parse_dates=True,
        null_values=MISSING,
    )


def _check_header(path: Path, sign: str) -> None:
    """Raise :class:`DataError` where two columns have one name: polars would rename the second."""
    names = pl.read_csv(path, separator=sign, has_header=False, n_rows=1, infer_schema=False).row(0)
    twice = sorted({str(name) for name in names if name is not None and names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path.name}: columns share a name",
            got=listed([repr(name) for name in twice], 20),
            expected="a name of its own for every column",
            remedy="Rename or drop the repeated columns.",
        )
