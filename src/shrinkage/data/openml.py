"""Data sets of openml.org, through scikit-learn."""

from typing import Any

import numpy as np
import polars as pl

from shrinkage.data.missing import Missing
from shrinkage.data.source import Data, Task
from shrinkage.data.tables import from_frame
from shrinkage.errors import DataError, listed, told


def read_openml(
    name: str, target: str | None, task: Task | None = None, missing: Missing | None = None
) -> Data:
    """The active version of ``name`` on openml.org, cached by scikit-learn, as a table.

    Without ``target`` the data set's own default target is taken. Raises :class:`DataError`
    where pandas is missing, openml.org cannot be reached or does not know the name, the data set
    has no or several default targets, and as :func:`from_frame` does.
    """
    bunch = _fetch(name, "default-target" if target is None else None)
    if target is None:
        targets = [str(column) for column in bunch.target_names or ()]
        if len(targets) != 1:
            raise DataError(
                f"openml:{name} has no single target",
                got=listed(map(repr, targets)) or "none",
                expected="one target column",
                remedy=f"Name one with target=…: {listed([str(c) for c in bunch.frame], 20)}.",
            )
        target = targets[0]
    frame = pl.DataFrame([_series(str(column), bunch.frame[column]) for column in bunch.frame])
    return from_frame(f"openml:{name}", frame, target, task, missing)


def _fetch(name: str, target_column: str | None) -> Any:
    from sklearn.datasets import fetch_openml

    try:
        return fetch_openml(name, as_frame=True, target_column=target_column)
    except ImportError as error:
        raise DataError(
            f"openml:{name} needs pandas",
            got=str(error),
            expected="pandas to be installed",
            remedy="pip install 'shrinkage[openml]'",
        ) from error
    except OSError as error:  # URLError, timeouts and a full disk are all of this type
        raise DataError(
            f"openml:{name} cannot be fetched",
            got=told(error),
            expected="an answer from openml.org",
            remedy="Check the network and try again; fetched data sets are kept on disk.",
        ) from error
    except ValueError as error:
        raise DataError(
            f"openml:{name} is not to be had",
            got=str(error),
            expected="the name of an active data set on openml.org",
            remedy="Look the name up at https://www.openml.org/search?type=data.",
        ) from error


def _series(name: str, column: Any) -> pl.Series:
    """A pandas column in polars, without pyarrow; categories and objects become text."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return pl.Series(name, column.to_numpy())
    text = str(dtype) in ("category", "object", "string", "str")
    cells = zip(column.tolist(), column.isna().tolist(), strict=True)
    values = [None if missing else (str(cell) if text else cell) for cell, missing in cells]
    return pl.Series(name, values, dtype=pl.String if text else None)
