"""Tables with named columns: ``.csv``, ``.parquet``, and any frame."""

from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import torch
from torch import Tensor

from shrinkage.data.arrays import class_names
from shrinkage.data.files import read_frame
from shrinkage.data.missing import (
    LEVEL,
    Missing,
    check_one_of,
    is_category,
    is_readable,
    without_gaps,
)
from shrinkage.data.precision import Array, as_tensor, check_whole, needs_double
from shrinkage.data.source import Data, Task
from shrinkage.data.texts import check_texts
from shrinkage.errors import DataError, did_you_mean, listed, warn

MOST_LEVELS = 1000
_MANY = 50
"""Levels that are said to be many where rows are few."""
MOST_INTEGER_CLASSES = 20


def read_table(
    path: Path, target: str | None, task: Task | None = None, missing: Missing | None = None
) -> Data:
    """A ``.csv`` (with a header line) or ``.parquet`` file, by :func:`from_frame`.

    In a csv file empty cells and NA, N/A, #N/A, NaN, null and ? are missing values.
    Raises :class:`DataError` for a file that cannot be read, and as :func:`from_frame` does.
    """
    return from_frame(path.name, read_frame(path), target, task, missing)


def from_frame(
    name: str,
    frame: pl.DataFrame,
    target: str | None,
    task: Task | None = None,
    missing: Missing | None = None,
) -> Data:
    """A frame as data: numbers stay numbers, everything else becomes one-hot.

    Numeric columns keep their name and are standardised on the training part. Text, boolean and
    categorical columns become one column of 0 and 1 per level, ``colour=red``, levels sorted and
    taken from all rows. A text, boolean or categorical target is a classification; so is an
    integer target with at most 20 distinct values; other integers, and all floats, are a
    regression. ``task`` decides otherwise: ``"regression"`` for any numbers, ``"classification"``
    with a class per distinct value.

    ``missing``: ``"drop"`` leaves rows with a missing value out. ``"fill"`` makes them a level
    ``colour=(missing)`` of text, and the mean of the training part of numbers, with a column
    ``age=(missing)`` of 0 and 1 beside them; rows without a target are left out.

    Raises :class:`DataError` for a missing or unknown target, missing values (naming columns and
    counts) unless ``missing`` is given, dates and nested columns, a column without a name, more
    than 1000 levels, text with many values most of which are numbers, no rows, no column beside
    the target, and as :class:`Data` does.
    """
    _check_target(name, frame, target)
    _check_columns(name, frame)
    check_texts(name, frame)
    frame = without_gaps(name, frame, str(target), missing)
    features = frame.drop(str(target)).get_columns()
    blocks = [_block(name, series) for series in features]
    y, classes = _targets(name, frame.get_column(str(target)), task)
    x = np.concatenate([block for block, _ in blocks], axis=1)
    pairs = zip(features, blocks, strict=True)
    inputs = [(series, column) for series, (_, columns) in pairs for column in columns]
    return Data(
        name=name,
        x=as_tensor(x, double=needs_double(x)),
        y=y,
        task="classification" if classes else "regression",
        classes=classes,
        columns=tuple(column for _, column in inputs),
        standardise=tuple(c == series.name and series.dtype.is_numeric() for series, c in inputs),
        holes=bool(np.isnan(x).any()),
        origins=tuple(series.name for series, _ in inputs),
    )


def _check_target(name: str, frame: pl.DataFrame, target: str | None) -> None:
    if target not in frame.columns:
        what = "a table needs a target column" if target is None else "unknown target column"
        hint = "" if target is None else did_you_mean(target, frame.columns)
        raise DataError(
            f"{name}: {what}",
            got="none" if target is None else repr(target),
            expected=f"one of {listed(map(repr, frame.columns), 20)}",
            remedy=hint + 'Name it: load(FILE, target="…"), on the command line --target COLUMN.',
        )
    if not frame.height or frame.width < 2:
        raise DataError(
            f"{name} holds nothing to learn from",
            got=f"{frame.height} rows, {frame.width} columns",
            expected="at least one row, and one column beside the target",
            remedy="Check that the file is complete.",
        )


def _check_columns(name: str, frame: pl.DataFrame) -> None:
    for series in frame.get_columns():
        if not series.name.strip():
            raise DataError(
                f"{name}: a column has no name",
                got=f"values {listed([str(value) for value in series.head(3)])}, …",
                expected="a name for every column",
                remedy="A nameless column is often a row number, which must not be learnt from: "
                "drop it, or name it.",
            )
        if not is_readable(series):
            raise DataError(
                f"{name}: column {series.name!r} is neither number nor category",
                got=f"dtype {series.dtype}",
                expected="numbers, text, booleans or categories",
                remedy="Drop it, or turn it into numbers (a date into days, month, weekday).",
            )


def _block(name: str, series: pl.Series) -> tuple[Array, list[str]]:
    """The columns (n, m) that one column of the frame becomes, and their m names."""
    if series.dtype.is_numeric():
        check_whole(name, series)
        values = series.cast(pl.Float64).to_numpy()[:, None]
        if not series.null_count():
            return values, [series.name]
        holes = series.is_null().to_numpy()[:, None]
        return np.concatenate([values, holes], axis=1), [series.name, f"{series.name}={LEVEL}"]
    if series.n_unique() > MOST_LEVELS:
        raise DataError(
            f"{name}: column {series.name!r} has too many levels",
            got=f"{series.n_unique()} distinct values in {series.len()} rows",
            expected=f"at most {MOST_LEVELS}",
            remedy="Drop it (an identifier or free text says nothing about new rows), "
            "or group its levels.",
        )
    codes, levels = _levels(series)
    if len(levels) > _MANY and len(levels) > series.len() / 10:
        warn(
            f"{name}: column {series.name!r} has {len(levels)} different values in {series.len()} "
            "rows, and each becomes an input. Drop it if it is an identifier; numbers with decimal "
            "commas need points",
        )
    return np.eye(len(levels), dtype=np.float32)[codes], [f"{series.name}={v}" for v in levels]


def _levels(series: pl.Series) -> tuple[Array, tuple[str, ...]]:
    text = is_category(series) and series.dtype != pl.Boolean
    values = (series.cast(pl.String) if text else series).to_numpy()
    levels, codes = np.unique(values, return_inverse=True)
    return codes, class_names(levels)


def _targets(name: str, series: pl.Series, task: Task | None) -> tuple[Tensor, tuple[str, ...]]:
    check_one_of("task", task, get_args(Task), "to let the values decide")
    if task == "regression" and is_category(series):
        raise DataError(
            f"{name}: the target {series.name!r} is no quantity",
            got=f"{series.n_unique()} distinct values of dtype {series.dtype}",
            expected="numbers, for a regression",
            remedy="Leave task out, or turn it into numbers.",
        )
    few = series.dtype.is_integer() and series.n_unique() <= MOST_INTEGER_CLASSES
    if task == "classification" or (task is None and (is_category(series) or few)):
        codes, classes = _levels(series)
        return torch.from_numpy(codes.astype(np.int64)), classes
    check_whole(name, series)
    y = series.cast(pl.Float64).to_numpy()[:, None]
    return as_tensor(y, double=needs_double(y)), ()
