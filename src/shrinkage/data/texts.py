"""Text columns that were meant to be numbers: as categories they would be hundreds of inputs."""

import polars as pl

from shrinkage.data.files import has_decimal_commas
from shrinkage.data.source import listed
from shrinkage.errors import DataError

_FEW = 20
"""So many levels may well be categories, such as 0, 1, 2 and 3+."""
_MOST = 0.8
"""Of the values, from which on the others are the odd ones."""


def check_texts(name: str, frame: pl.DataFrame) -> None:
    """Raise :class:`DataError` for a text column with many values, most of which are numbers."""
    for series in frame.get_columns():
        present = series.drop_nulls()
        if series.dtype != pl.String or present.n_unique() <= _FEW:
            continue
        if has_decimal_commas(present):
            raise DataError(
                f"{name}: column {series.name!r} holds numbers with decimal commas",
                got=listed([repr(value) for value in present.head(3)]),
                expected="decimal points, and no sign between thousands",
                remedy="Replace them. In a csv file whose cells are parted by semicolons they are "
                "understood, thousands apart.",
            )
        bare = present.str.strip_chars(" \u00a0€$£¥%")
        odd = present.filter(bare.cast(pl.Float64, strict=False).is_null())
        strange = odd if len(odd) else present.filter(bare != present)  # codes are text on purpose
        if len(strange) and len(odd) <= (1 - _MOST) * len(present):
            raise DataError(
                f"{name}: column {series.name!r} is text, but most of its values are numbers",
                got=f"{listed([repr(v) for v in strange.unique(maintain_order=True)])} among "
                f"{len(present)} values",
                expected="nothing but numbers, or text",
                remedy="Empty those cells (then --missing drop or fill), or write numbers alone.",
            )
