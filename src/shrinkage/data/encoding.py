"""How the columns of a table became a network's inputs, to be done again to new rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Self

import polars as pl
import torch
from torch import Tensor

from shrinkage.data.missing import LEVEL, as_text, is_readable
from shrinkage.data.source import Data
from shrinkage.errors import DataError, did_you_mean, listed


@dataclass(frozen=True)
class Encoding:
    """For each input a column of the table, and a level of it, or None for its number.

    ``levels``: all those of each column that has some. ``gaps``: columns of numbers of which some
    were missing; their level says where.
    """

    inputs: tuple[tuple[str, str | None], ...]
    levels: Mapping[str, tuple[str, ...]]
    gaps: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Data) -> Self:
        """Of a table; of what has no columns, no inputs."""
        pairs = zip(data.columns, data.features if data.columns else (), strict=True)
        inputs = tuple((o, None if c == o else c[len(o) + 1 :]) for c, o in pairs)
        levels = _levels_of(inputs)
        numbers = {column for column, level in inputs if level is None}
        gaps = tuple(column for column in levels if column in numbers)
        return cls(inputs, {c: found for c, found in levels.items() if c not in numbers}, gaps)

    def of_inputs(self, places: Sequence[int]) -> Self:
        """The same for some of the inputs."""
        return replace(self, inputs=tuple(self.inputs[k] for k in places))

    def as_json(self) -> dict[str, Any]:
        """Lists and names, of what the inputs need."""
        columns = {column for column, _ in self.inputs}
        return {
            "inputs": [list(pair) for pair in self.inputs],
            "levels": {c: list(found) for c, found in self.levels.items() if c in columns},
            "gaps": [column for column in self.gaps if column in columns],
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_json`; :class:`ValueError` for what contradicts itself."""
        levels = {column: tuple(found) for column, found in told["levels"].items()}
        inputs, gaps = tuple((c, level) for c, level in told["inputs"]), tuple(told["gaps"])
        for column, level in inputs:
            known = levels.get(column, (None, LEVEL) if column in gaps else (None,))
            if level not in known:
                raise ValueError(f"column {column!r} has no level {level!r}")
        return cls(inputs, levels, gaps)

    def idle(self, used: Sequence[bool]) -> frozenset[str]:
        """The columns of which no input is used."""
        pairs = list(zip(self.inputs, used, strict=True))
        busy = {column for (column, _), is_used in pairs if is_used}
        return frozenset(column for column, _ in self.inputs) - busy

    def encode(self, name: str, frame: pl.DataFrame, idle: frozenset[str] = frozenset()) -> Tensor:
        """The inputs (n, n_inputs) in float64, not scaled; NaN for a number that may be missing.

        Other columns are not looked at, nor are those that are ``idle``: their inputs are NaN.
        Raises :class:`DataError` for a column that is not there
        or holds no numbers, a missing value where there was none, and a level that was unknown.
        """
        columns = [c for c in dict.fromkeys(column for column, _ in self.inputs) if c not in idle]
        _check_columns(name, frame, columns)
        read = {c: (self._texts if c in self.levels else self._numbers) for c in columns}
        cells = {column: read[column](name, frame[column]) for column in columns}
        unread = pl.repeat(nan, len(frame), eager=True)
        found = (
            self._input(cells[column], level) if column in cells else unread
            for column, level in self.inputs
        )
        x = pl.DataFrame([part.cast(pl.Float64).alias(str(k)) for k, part in enumerate(found)])
        return torch.from_numpy(x.to_numpy().copy())

    def _input(self, cells: pl.Series, level: str | None) -> pl.Series:
        """The numbers of a column, where it has a level, or where its number is missing."""
        if level is None:
            return cells
        return cells == level if cells.name in self.levels else cells.is_null()

    def _numbers(self, name: str, series: pl.Series) -> pl.Series:
        if series.null_count() < len(series) and not series.dtype.is_numeric():
            raise DataError(
                f"{name}: column {series.name!r} holds no numbers",
                got=f"dtype {series.dtype}, such as {listed(map(repr, series.head(3)))}",
                expected="numbers, as in the rows that the network has learnt from",
                remedy="Numbers need decimal points, and no unit, currency or percent sign beside "
                "them.",
            )
        found = series.cast(pl.Float64, strict=False).fill_nan(None)
        if found.null_count() and series.name not in self.gaps:
            raise _missing(name, series.name, found.null_count(), len(series))
        if found.is_infinite().any():
            raise DataError(
                f"{name}: column {series.name!r} holds infinite numbers",
                got=f"{int(found.is_infinite().sum())} of {len(series)} rows",
                expected="finite numbers",
                remedy="Leave those rows out, or correct them.",
            )
        return found

    def _texts(self, name: str, series: pl.Series) -> pl.Series:
        known = self.levels[series.name]
        if not is_readable(series):
            raise DataError(
                f"{name}: column {series.name!r} holds no levels",
                got=f"dtype {series.dtype}",
                expected=f"levels such as {listed(map(repr, known))}",
                remedy="Write them as text.",
            )
        if series.null_count() and LEVEL not in known:
            raise _missing(name, series.name, series.null_count(), len(series))
        found = as_text(series)
        if {*known} <= {"False", "True", LEVEL}:  # booleans, in a file that has them as text
            found = found.str.to_titlecase()
        found = found.fill_null(LEVEL)
        strange = sorted(set(found.to_list()).difference(known))
        if strange:
            raise DataError(
                f"{name}: column {series.name!r} has levels that were unknown",
                got=listed(map(repr, strange)),
                expected=listed(map(repr, known), 20),
                remedy="Leave those rows out, or write the level that comes nearest.",
            )
        return found


def _levels_of(inputs: Iterable[tuple[str, str | None]]) -> dict[str, tuple[str, ...]]:
    """The levels of each column that has some."""
    levels: dict[str, list[str]] = {}
    for column, level in inputs:
        if level is not None:
            levels.setdefault(column, []).append(level)
    return {column: tuple(found) for column, found in levels.items()}


def _check_columns(name: str, frame: pl.DataFrame, columns: list[str]) -> None:
    """Raise :class:`DataError` where one of the columns is not in the frame."""
    gone = [column for column in columns if column not in frame.columns]
    if gone:
        others = [column for column in frame.columns if column not in columns]
        raise DataError(
            f"{name}: columns are missing",
            got=listed(map(repr, gone), 20),
            expected=f"the columns that the network reads: {listed(columns, 20)}",
            remedy=did_you_mean(gone[0], others) + "Name them as they were.",
        )


def _missing(name: str, column: str, count: int, rows: int) -> DataError:
    return DataError(
        f"{name}: missing values",
        got=f"{column!r} ({count}) of {rows} rows",
        expected="a value in every cell, as in the rows that the network has learnt from",
        remedy="Leave those rows out; or learn from rows with missing values: --missing fill.",
    )
