"""Text columns that were meant to be numbers: as categories they would be hundreds of inputs."""

import polars as pl

from shrinkage.errors import DataError, listed

_FEW = 20
"""So many levels may well be categories, such as 0, 1, 2 and 3+."""
_MOST = 0.8
"""Of the values, from which on the others are the odd ones."""
_SIGN = r"[\p{Sc}%‰]"
_BEFORE = r"^([-+−]?)[\s\p{Sc}]+"
_AFTER = r"[\s\p{Sc}%‰]+$"
_UNIT = r"\d\s?([A-Za-zµ°]+[²³]?(?:/[A-Za-z]+[²³]?)?)$"
_DIGITS = r"(?:\d+|\d{1,3}(?:[.,'’_ \u00a0\u202f]\d{3})+)(?:[.,]\d*)?|[.,]\d+"
_NUMBER = rf"^[-+−]?\(?(?:{_DIGITS})(?:[eEdD][-+]?\d+)?\)?-?$|^0[xX][0-9a-fA-F]+$"
_CODE = r"^[-+]?\d+(\.\d+)?$"
_MARKS = (
    "-", "--", ".", "*", "none", "nan", "-nan", "<na>", "n.a.", "nil", "missing", "unknown",
    "#div/0!", "#value!", "#num!", "#ref!",
)  # fmt: skip
"""What other programs write where a number is missing; none of them is a level beside numbers."""


def check_texts(name: str, frame: pl.DataFrame) -> None:
    """Raise :class:`DataError` for a text column with many values, most of which are numbers.

    In whatever way they are written. Columns of nothing but plain numbers are text on purpose:
    they were made so by whoever made the frame, and may be codes. Numbers of which some have a
    currency or percent sign, and numbers beside marks of missing ones, are refused however few they
    are; so are many numbers with one unit.
    """
    for series in frame.get_columns():
        present = series.drop_nulls()
        strange = _strange(present) if series.dtype == pl.String else ()
        if len(strange):
            raise DataError(
                f"{name}: column {series.name!r} is text, but most of its values are numbers",
                got=f"{listed(map(repr, dict.fromkeys(strange)))} among {len(present)} values",
                expected="numbers alone, with decimal points, or text",
                remedy="Empty those cells (then --missing drop or fill) or write plain numbers: 12 "
                "for 12 % or 12 kg, 3.50 for $3.50, 1200 for 1,200, with the unit in the column's "
                "name. Decimal commas are understood where cells are parted by semicolons or tabs.",
            )


def _strange(cells: pl.Series) -> pl.Series:
    """Cells that are no plain numbers, of a column that was meant to hold numbers; else none."""
    is_number = _numbers(cells)
    strange = cells.filter(~is_number)
    if len(strange):
        is_meant = strange.str.to_lowercase().is_in(_MARKS).all()
    else:
        is_meant = cells.str.contains(_SIGN).any()
        strange = cells.filter(~cells.str.contains(_CODE))
    is_meant = is_meant or cells.n_unique() > _FEW
    return strange if is_meant and is_number.sum() >= _MOST * len(cells) else strange.clear()


def _numbers(cells: pl.Series) -> pl.Series:
    """Which cells are numbers, with a sign of currency or percent, or the unit that most have."""
    unit = cells.str.extract(_UNIT).drop_nulls()
    if len(unit) and unit.value_counts()["count"].max() >= _MOST * len(cells):  # type: ignore[operator]
        cells = cells.str.strip_suffix(str(unit.mode()[0]))
    return cells.str.replace(_BEFORE, "$1").str.replace(_AFTER, "").str.contains(_NUMBER)
