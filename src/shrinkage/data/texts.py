"""Text columns that were meant to be numbers: as categories they would be hundreds of inputs."""

import polars as pl

from shrinkage.data.source import listed
from shrinkage.errors import DataError

_FEW = 20
"""So many levels may well be categories, such as 0, 1, 2 and 3+."""
_MOST = 0.8
"""Of the values, from which on the others are the odd ones."""
_BESIDE = " \u00a0€$£¥%"
_SIGN = r"[€$£¥%]"
_NUMBER = r"^[-+]?(\d+|\d{1,3}([.,' ]\d{3})+)([.,]\d+)?([eE][-+]?\d+)?$"
_CODE = r"^[-+]?\d+(\.\d+)?$"


def check_texts(name: str, frame: pl.DataFrame) -> None:
    """Raise :class:`DataError` for a text column with many values, most of which are numbers.

    In whatever way they are written. Columns of nothing but plain numbers are text on purpose:
    they were made so by whoever made the frame, and may be codes. Numbers of which some have a
    currency or percent sign are refused however few they are.
    """
    for series in frame.get_columns():
        if series.dtype != pl.String:
            continue
        present = series.drop_nulls()
        is_number = present.str.strip_chars(_BESIDE).str.contains(_NUMBER)
        signed = present.str.contains(_SIGN)
        if present.n_unique() <= _FEW and not (is_number.all() and signed.any()):
            continue
        strange = present.filter(~is_number)
        if not len(strange):
            strange = present.filter(~present.str.contains(_CODE))
        if len(strange) and int(is_number.sum()) >= _MOST * len(present):
            raise DataError(
                f"{name}: column {series.name!r} is text, but most of its values are numbers",
                got=f"{listed([repr(v) for v in strange.unique(maintain_order=True)])} among "
                f"{len(present)} values",
                expected="numbers alone, with decimal points, or text",
                remedy="Empty those cells (then --missing drop or fill) or write plain numbers: 12 "
                "for 12 %, 3.50 for $3.50, 1200 for 1,200, with the unit in the column's name. "
                "Decimal commas are understood where cells are parted by semicolons or tabs.",
            )
