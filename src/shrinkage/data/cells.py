"""The cells of a csv file before their types are guessed: spaces, signs, quotes, null bytes."""

from collections.abc import Collection
from unicodedata import decimal

import polars as pl

from shrinkage.errors import DataError, listed

_QUOTED = r'^\s+"(.*)"\s*$'
_UNCLEAN = r"^\s|\s$"
_DIGITS = r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|(?i:inf|infinity)"
_ANY_NUMBER = rf"^[-+−]?({_DIGITS})$"
_OTHER_DIGITS = r"[\p{Nd}--0-9]"
_ODD_NUMBER = rf"^[+−]|(?i)infinity$|^[-+−]?\d{{38,}}$|{_OTHER_DIGITS}"
"""What polars takes for text, or does not read."""


def cleaned(written: pl.DataFrame, texts: Collection[str], missing: list[str]) -> pl.DataFrame:
    """Names and cells without spaces around them, and numbers as polars knows them.

    +1, −1 (U+2212), digits of other scripts, Infinity and whole numbers of more than 38 digits are
    written otherwise in columns of nothing but numbers; not in those of ``texts``. The same frame
    where all is well.
    """
    frame = written.rename({name: _bare(name) for name in written.columns}, strict=False)
    changed = [
        cells
        for series in frame.get_columns()
        if (cells := _cells(series, series.name in texts, missing)) is not series
    ]
    if not changed and frame.columns == written.columns:
        return written
    return frame.with_columns(changed)


def _bare(name: str) -> str:
    stripped = name.strip()
    quoted = stripped != name and len(stripped) > 1 and stripped[0] == stripped[-1] == '"'
    return stripped[1:-1] if quoted else stripped


def _cells(series: pl.Series, is_text: bool, missing: list[str]) -> pl.Series:
    found = series
    if found.str.contains(_UNCLEAN).any():
        found = found.str.replace(_QUOTED, "$1").str.strip_chars()
    if is_text:
        return found
    present = found.filter(~found.is_in(missing)).drop_nulls()
    if not present.str.contains(_ODD_NUMBER).any() or not present.str.contains(_ANY_NUMBER).all():
        return found
    if found.str.contains(_OTHER_DIGITS).any():
        found = found.map_elements(_in_ascii, return_dtype=pl.String)
    return (
        found.str.replace(r"^\+", "")
        .str.replace("^−", "-")
        .str.replace(r"(?i)infinity$", "inf")
        .str.replace(r"^(-?\d{38,})$", "${1}e0")
    )


def _in_ascii(cell: str) -> str:
    """Digits of any script as 0 to 9."""
    return "".join(str(decimal(sign)) if sign.isdecimal() else sign for sign in cell)


def check_bytes(name: str, frame: pl.DataFrame) -> None:
    """Raise :class:`DataError` for null bytes: UTF-16, or no table at all."""
    where = [column for column in frame.columns if "\0" in column]
    where += [s.name for s in frame.get_columns() if s.str.contains("\0", literal=True).any()]
    if where:
        raise DataError(
            f"{name} holds null bytes",
            got=listed(map(repr, dict.fromkeys(where))),
            expected="a csv file in UTF-8",
            remedy="If it is in UTF-16 (“Unicode”), save it as CSV UTF-8; else it is damaged.",
        )
