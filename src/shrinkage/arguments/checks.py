"""Arguments as callers pass them: one way to read them, one way to refuse them.

Whole numbers, numbers and flags may come from Python, NumPy or PyTorch (scalars, and arrays or
tensors without a dimension); what is handed back is always Python's own.
"""

import inspect
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf, nextafter
from numbers import Integral, Real
from pathlib import Path
from sys import float_info
from typing import TypeVar

from shrinkage.errors import FitError, ShrinkageError, did_you_mean, foreign_code, shown

T = TypeVar("T")
_DEFAULT = "Leave it out for the default."

BELOW_ONE = nextafter(1.0, 0.0)
"""The largest number below 1."""


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
            got=shown(found),
            expected=expected or f"a whole number {bounds}",
            remedy=remedy,
        )
    return int(found)  # type: ignore[call-overload, no-any-return]


def as_number(
    name: str,
    value: object,
    *,
    least: float = -float_info.max,
    above: float = -inf,
    most: float = float_info.max,
    expected: str | None = None,
    remedy: str = _DEFAULT,
    error: type[ShrinkageError] = FitError,
) -> float:
    """A finite number within bounds; a whole one stays an int. Raises ``error``."""
    found = plain(value)
    fits = isinstance(found, Real) and not isinstance(found, bool)
    if not fits or not (least <= found <= most and above < found):  # type: ignore[operator]
        raise error(
            f"{name} is out of range" if fits else f"{name} is not a number",
            got=shown(found),
            expected=expected or _within(least, above, most),
            remedy=remedy,
        )
    return int(found) if isinstance(found, Integral) else float(found)  # type: ignore[arg-type]


def as_flag(name: str, value: object, *, error: type[ShrinkageError] = FitError) -> bool:
    """True or False, and nothing that merely counts as one. Raises ``error``."""
    found = plain(value)
    if not isinstance(found, bool):
        raise error(
            f"{name} is neither True nor False",
            got=shown(found),
            expected="True or False",
            remedy=f"Write {name}=True or {name}=False.",
        )
    return found


def settle(record: object, **values: object) -> None:
    """Give a frozen dataclass, in its ``__post_init__``, its arguments as they were read."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def as_choice(
    name: str,
    value: object,
    known: Iterable[str],
    *,
    expected: str = "",
    remedy: str = _DEFAULT,
    error: type[ShrinkageError] = FitError,
) -> str:
    """One of the names that are ``known``. Raises ``error``."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        hint = did_you_mean(value, names) if isinstance(value, str) else ""
        raise error(
            f"{name} is unknown",
            got=shown(value),
            expected=expected or f"one of {', '.join(names)}",
            remedy=hint + remedy,
        )
    return str(value)


def as_path(
    name: str,
    value: object,
    *,
    remedy: str = 'For instance "runs/a".',
    error: type[ShrinkageError] = FitError,
) -> Path:
    """The name of a file or folder, as a str or a path; not empty. Raises ``error``."""
    try:
        found = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            Path(found).stat()
    except Exception:  # too long a name, signs no name can have, a path of somebody else's class
        found = ""
    if not isinstance(found, str) or not found:
        raise error(
            f"{name} names no file or folder",
            got=shown(value),
            expected="a path: text, or a pathlib.Path",
            remedy=remedy,
        )
    return Path(found)


def as_shape(value: object, *, error: type[ShrinkageError] = FitError) -> tuple[int, ...]:
    """The shape of one input: positive whole numbers, at least one. Raises ``error``."""
    sizes = [plain(size) for size in value] if isinstance(value, tuple | list) else []
    if not sizes or not all(type(size) is int and 0 < size < 2**63 for size in sizes):
        raise error(
            "input_shape is no shape",
            got=shown(value),
            expected="the sizes of one input, such as (13,) or (1, 28, 28)",
            remedy="Pass tuple(x.shape[1:]).",
        )
    return tuple(sizes)  # type: ignore[arg-type]


def check_type(
    what: str,
    value: object,
    kinds: type | tuple[type, ...],
    *,
    expected: str,
    remedy: str,
    error: type[ShrinkageError] = FitError,
) -> None:
    """Raise ``error`` unless ``value`` is of these ``kinds``."""
    if not isinstance(value, kinds):
        raise error(what, got=shown(value), expected=expected, remedy=remedy)


def check_function(
    name: str,
    value: object,
    *,
    takes: int,
    expected: str,
    remedy: str = _DEFAULT,
    error: type[ShrinkageError] = FitError,
) -> None:
    """Raise ``error`` unless ``value`` is a function that can be given so many arguments."""
    if not callable(value) or isinstance(value, type):
        raise error(f"{name} is not a function", got=shown(value), expected=expected, remedy=remedy)
    problem = _unfit(value, takes)
    if problem:
        raise error(
            f"{name} takes other arguments",
            got=f"{shown(value)}: {problem}",
            expected=expected,
            remedy=remedy,
        )


def callback(
    name: str, function: Callable[[T], object], error: type[ShrinkageError] = FitError
) -> Callable[[T], None]:
    """A function of the user's that is told something: whatever it raises comes out as ``error``.

    Ctrl-C goes through: that is how it stops the work.
    """

    def refused(got: str) -> ShrinkageError:
        return error(
            f"{name} failed",
            got=got,
            expected="a function that takes what it is told",
            remedy="Correct it. To stop the work from there, raise KeyboardInterrupt.",
        )

    def call(told: T) -> None:
        with foreign_code(refused):
            function(told)

    return call


def as_names(
    name: str, value: object, *, remedy: str, error: type[ShrinkageError] = FitError
) -> tuple[str, ...]:
    """Several texts; a single one is none of them. Raises ``error``."""
    if not isinstance(value, list | tuple | set) or not all(isinstance(v, str) for v in value):
        one = f"Write {name}=({shown(value)},)." if isinstance(value, str) else remedy
        raise error(
            f"{name} are no names",
            got=shown(value),
            expected="a list or tuple of texts",
            remedy=one,
        )
    return tuple(value)


def plain(value: object) -> object:
    """A scalar of NumPy or PyTorch as Python's own; everything else as it is."""
    read = getattr(value, "item", None)
    if getattr(value, "ndim", None) != 0 or not callable(read):
        return value
    if getattr(value, "requires_grad", False):  # whoever learns it would wait in vain
        return value
    try:
        found: object = read()
    except RuntimeError:  # a tensor without data, on the meta device
        return value
    return found


def _within(least: float, above: float, most: float) -> str:
    """The bounds in words."""
    lower = f" > {above:g}" if above > -inf else f" ≥ {least:g}" if least > -float_info.max else ""
    upper = f" ≤ {most:g}" if most < float_info.max else ""
    upper = " < 1" if most == BELOW_ONE else upper
    return "a finite number" + " and".join(part for part in (lower, upper) if part)


def _unfit(function: Callable[..., object], takes: int) -> str:
    """Why a function cannot be given so many arguments; empty where it can, or does not tell."""
    try:
        inspect.signature(function).bind(*range(takes))
    except TypeError as problem:
        return str(problem)
    except ValueError:  # some callables written in C do not tell
        return ""
    return ""
