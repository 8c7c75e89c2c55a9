"""Cells of a table that hold nothing: told, left out with their rows, or filled."""

from collections.abc import Iterable
from typing import Literal, get_args

import polars as pl

from shrinkage.arguments import as_choice
from shrinkage.errors import DataError, listed, warn

Missing = Literal["drop", "fill"]
LEVEL = "(missing)"
"""The level of a text column, and the mark of a number's, where a value is missing."""


def without_gaps(
    name: str, frame: pl.DataFrame, target: str, missing: Missing | None
) -> pl.DataFrame:
    """The frame as it can be learnt from: NaN is missing too, and becomes null.

    ``"drop"`` leaves out rows with a missing value; ``"fill"`` those whose target is missing, and
    makes a level of its own of missing text. Missing numbers stay null: what fills them is known
    when there is a training part. Either is said in a warning.
    Raises :class:`DataError` where something is missing and nothing is asked for, for an unknown
    wish, and where no row is left.
    """
    check_one_of("missing", missing, get_args(Missing), "where every cell has a value")
    frame = frame.with_columns(pl.selectors.float().fill_nan(None))
    gaps = _gaps(frame)
    if not gaps:
        return frame
    said = listed((f"{column!r} ({count})" for column, count in gaps.items()), 20)
    if missing is None:
        raise DataError(
            f"{name}: missing values",
            got=f"{said} of {frame.height} rows",
            expected="a value in every cell",
            remedy='missing="drop" leaves those rows out; missing="fill" takes the mean of the '
            "training part, and tells the network where (on the command line --missing). Or drop "
            "those columns.",
        )
    kept = frame.drop_nulls(None if missing == "drop" else target)
    if not kept.height:
        raise DataError(
            f"{name}: no row is left",
            got=f"missing values in {said} of {frame.height} rows",
            expected="rows with a value in every cell",
            remedy='Drop the emptiest columns, or take missing="fill".',
        )
    left_out, holes = frame.height - kept.height, _gaps(kept)  # none after a "drop"
    done = [f"{left_out} of {frame.height} rows were left out"] if left_out else []
    if holes:
        filled = "all" if len(holes) == len(gaps) else listed(map(repr, holes), 20)
        done.append(f"{filled} were filled")
        kept = _levelled(name, kept, holes)
    warn(f"{name}: missing values in {said}; {' and '.join(done)}")
    return kept


def check_one_of(what: str, value: str | None, names: tuple[str, ...], otherwise: str) -> None:
    """Raise :class:`DataError` unless ``value`` is one of the names, or None."""
    if value is not None:
        expected, remedy = " or ".join(names), f"Leave it out {otherwise}."
        as_choice(what, value, names, expected=expected, remedy=remedy, error=DataError)


def _gaps(frame: pl.DataFrame) -> dict[str, int]:
    """How many values are missing in each column that lacks some."""
    counts = {series.name: series.null_count() for series in frame.get_columns()}
    return {column: count for column, count in counts.items() if count}


def _levelled(name: str, frame: pl.DataFrame, holes: Iterable[str]) -> pl.DataFrame:
    """Missing text of these columns as a level of its own."""
    for hole in holes:
        _check_level(name, frame[hole])
    texts = [hole for hole in holes if not frame[hole].dtype.is_numeric()]
    return frame.with_columns(as_text(frame[hole]).fill_null(LEVEL) for hole in texts)


def _check_level(name: str, series: pl.Series) -> None:
    if not series.dtype.is_numeric() and (series.cast(pl.String) == LEVEL).any():
        raise DataError(
            f"{name}: column {series.name!r} has empty cells beside a level {LEVEL!r}",
            got=f"{series.null_count()} empty cells, {(series.cast(pl.String) == LEVEL).sum()} "
            f"of {LEVEL!r}",
            expected=f"no level {LEVEL!r}, which empty cells become",
            remedy="Empty those cells if they mean the same, or rename the level.",
        )


def is_category(series: pl.Series) -> bool:
    """Whether a column's values are levels."""
    return isinstance(series.dtype, pl.String | pl.Boolean | pl.Categorical | pl.Enum)


def is_readable(series: pl.Series) -> bool:
    """Whether a column holds numbers or levels, or nothing."""
    return is_category(series) or series.dtype.is_numeric() or series.dtype == pl.Null


def as_text(series: pl.Series) -> pl.Series:
    """Levels by name; booleans are True and False."""
    text = series.cast(pl.String)
    return text.str.to_titlecase() if series.dtype == pl.Boolean else text
