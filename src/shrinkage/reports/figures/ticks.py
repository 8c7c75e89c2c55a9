"""Logarithmic axes whose labels can be read: a few whole numbers, whatever the range."""

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10
from typing import Any

from shrinkage.reports.figures.style import lean
from shrinkage.reports.words import RAISED

MOST = 6
"""Labels on an axis: more overlap in the narrow figures of a phone."""
_FEWEST = 3
_MANTISSAS = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7))
"""From coarse to fine; a range too narrow for all of them has even steps."""
_ALONE = 10.0
"""A single value stands in the middle of two decades, as plotly draws it."""


def log_axis(values: Iterable[float | None]) -> dict[str, Any]:
    """A logarithmic axis over the positive ones of these values, labels and all.

    The labels are our own: plotly's writes a lone "5" for 500 where decades are few, and a label
    for each of many decades.
    """
    known = [v for v in lean(values) if v is not None and v > 0]
    if not known:
        return {"type": "log"}
    at = ticks(min(known), max(known))
    return {"type": "log", "tickmode": "array", "tickvals": at, "ticktext": labels(at)}


def axis(values: Iterable[float | None], *, log: bool, **linear: Any) -> dict[str, Any]:
    """A logarithmic axis over these values, or a linear one with these properties."""
    return log_axis(values) if log else linear


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers from ``low`` to ``high``; around a single value, near it.

    >>> ticks(310, 990), ticks(1e-4, 1e-2), ticks(1e-20, 1)
    ([400.0, 600.0, 800.0], [0.0001, 0.001, 0.01], [1e-20, 1e-16, 1e-12, 1e-08, 0.0001, 1.0])
    """
    if high == low:
        low, high = low / _ALONE, high * _ALONE
    candidates = (_round_numbers(low, high, mantissas) for mantissas in _MANTISSAS)
    found = next((row for row in candidates if len(row) >= _FEWEST), None)
    return _thinned(_even_steps(low, high) if found is None else found)


def _round_numbers(low: float, high: float, mantissas: Sequence[int]) -> list[float]:
    """The mantissas of every decade that lie in the range, as near to its ends as rounding goes."""
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    numbers = (float(f"{m}e{decade}") for decade in decades for m in mantissas)
    return [v for v in numbers if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]


def _even_steps(low: float, high: float) -> list[float]:
    """Multiples of the largest step of 1, 2 or 5 times a power of ten that has enough of them."""
    power = floor(log10(high - low))
    steps = (float(f"{m}e{power - down}") for down in range(3) for m in (5, 2, 1))
    rows = (
        [float(f"{k * step:.12g}") for k in range(ceil(low / step), floor(high / step) + 1)]
        for step in steps
    )
    return next(row for row in rows if len(row) >= _FEWEST)


def _thinned(row: list[float]) -> list[float]:
    """Every one, every second …, so that no more are left than fit."""
    return row[:: ceil(len(row) / MOST)]


def labels(at: Sequence[float]) -> list[str]:
    """The numbers as they are written; all with powers of ten where one would be too long.

    >>> labels([300, 1000]), labels([1e-8, 3e-5, 1])
    (['300', '1,000'], ['10⁻⁸', '3·10⁻⁵', '1'])
    """
    if all(1e-4 <= v < 1e6 for v in at):
        return [f"{v:,.12g}" for v in at]
    return [_with_power(v) for v in at]


def _with_power(value: float) -> str:
    if 1 <= value < 10:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.9e}".partition("e")
    factor = f"{float(mantissa):.9g}"
    power = f"10{str(int(exponent)).translate(RAISED)}"
    return power if factor == "1" else f"{factor}·{power}"
