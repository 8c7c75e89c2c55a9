"""Numbers and flags as callers pass them: one way to read them, one way to refuse them.

Whole numbers, numbers and flags may come from Python, NumPy or PyTorch (scalars, and arrays or
tensors without a dimension); what is handed back is always Python's own.
"""

from math import inf
from numbers import Integral, Real
from sys import float_info

from shrinkage.errors import FitError, ShrinkageError

_DEFAULT = "Leave it out for the default."


def as_int(
    name: str,
    value: object,
    *,
    least: int = 0,
    most: int | None = None,
    expected: str | None = None,
    remedy: str = _DEFAULT,
    error: type[ShrinkageError] = FitError,
) -> int:
    """A whole number from ``least`` to ``most``; True and 3.0 are none. Raises ``error``."""
    found = plain(value)
    fits = isinstance(found, Integral) and not isinstance(found, bool)
    if not fits or not least <= found <= (inf if most is None else most):  # type: ignore[operator]
        bounds = f"≥ {least}" if most is None else f"from {least} to {most}"
        raise error(
            f"{name} is out of range" if fits else f"{name} is not a whole number",
            got=_told(found),
            expected=expected or f"a whole number {bounds}",
            remedy=remedy,
        )
    return int(found)  # type: ignore[call-overload, no-any-return]


def as_number(
    name: str,
    value: object,
    *,
    least: float = -inf,
    above: float = -inf,
    most: float = float_info.max,
    below: float = inf,
    expected: str | None = None,
    remedy: str = _DEFAULT,
    error: type[ShrinkageError] = FitError,
) -> float:
    """A finite number within bounds; a whole one stays an int. Raises ``error``."""
    found = plain(value)
    fits = isinstance(found, Real) and not isinstance(found, bool)
    if not fits or not (least <= found <= most and above < found < below):  # type: ignore[operator]
        raise error(
            f"{name} is out of range" if fits else f"{name} is not a number",
            got=_told(found),
            expected=expected or _within(least, above, most, below),
            remedy=remedy,
        )
    return int(found) if isinstance(found, Integral) else float(found)  # type: ignore[arg-type]


def as_flag(name: str, value: object, *, error: type[ShrinkageError] = FitError) -> bool:
    """True or False, and nothing that merely counts as one. Raises ``error``."""
    found = plain(value)
    if not isinstance(found, bool):
        raise error(
            f"{name} is neither True nor False",
            got=_told(found),
            expected="True or False",
            remedy=f"Write {name}=True or {name}=False.",
        )
    return found


def plain(value: object) -> object:
    """A scalar of NumPy or PyTorch as Python's own; everything else as it is."""
    read = getattr(value, "item", None)
    if getattr(value, "ndim", None) != 0 or not callable(read):
        return value
    try:
        found: object = read()
    except RuntimeError:  # a tensor without data, on the meta device
        return value
    return found


def _told(value: object) -> str:
    return str(value) if isinstance(value, Real) else repr(value)


def _within(least: float, above: float, most: float, below: float) -> str:
    """The bounds in words."""
    lower = f" > {above:g}" if above > -inf else f" ≥ {least:g}" if least > -inf else ""
    upper = f" < {below:g}" if below < inf else f" ≤ {most:g}" if most < float_info.max else ""
    return "a finite number" + " and".join(part for part in (lower, upper) if part)
