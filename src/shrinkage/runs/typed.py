"""Values from a file, checked against the types that they are written in."""

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

_MOST = 2**31


def checked(value: object, hint: Any, name: str) -> Any:
    """``value`` as it is, where it is of the type ``hint``.

    ``hint``: ``str``, ``bool``, ``int`` (a count or place: 0 ≤ n < 2³¹), ``float`` (finite),
    ``None``, ``Any``, lists, dictionaries with names as keys, pairs ``tuple[…, …]``, and unions of
    them. Raises :class:`ValueError` that names what is not so.

    >>> checked({"a": [1, 2]}, dict[str, list[int]], "cuts")
    {'a': [1, 2]}
    >>> checked({"a": [1, True]}, dict[str, list[int]], "cuts")
    Traceback (most recent call last):
    ValueError: cuts['a'][1] is True, not int
    """
    if isinstance(hint, UnionType):
        parts = get_args(hint)
        fitting = [part for part in parts if _fits(value, part)]
        if not fitting:
            raise _wrong(value, " or ".join(_said(part) for part in parts), name)
        return checked(value, fitting[0], name)
    if not _fits(value, hint):
        raise _wrong(value, _said(hint), name)
    kinds = get_args(hint)
    if isinstance(value, dict) and kinds:
        for key, item in value.items():
            checked(item, kinds[1], f"{name}[{key!r}]")
    elif isinstance(value, list) and kinds:
        each = kinds if get_origin(hint) is tuple else kinds * len(value)
        if len(each) != len(value):
            raise _wrong(value, f"{len(each)} values", name)
        for k, (item, kind) in enumerate(zip(value, each, strict=True)):
            checked(item, kind, f"{name}[{k}]")
    return value


def field(record: Mapping[str, Any], key: str, hint: Any, within: str = "") -> Any:
    """The value under ``key``, checked; one that is not there is None."""
    return checked(record.get(key), hint, f"{within}{key}")


def _fits(value: object, hint: Any) -> bool:
    kind = get_origin(hint) or hint
    if kind is Any:
        return True
    if kind in (None, NoneType):
        return value is None
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is int:
        return isinstance(value, int) and 0 <= value < _MOST
    if kind is float:
        is_small = not isinstance(value, int) or abs(value) < 2**1000
        return isinstance(value, int | float) and is_small and math.isfinite(value)
    return isinstance(value, list if kind is tuple else kind)


def _said(hint: Any) -> str:
    return "null" if hint in (None, NoneType) else getattr(hint, "__name__", str(hint))


def _wrong(value: object, expected: str, name: str) -> ValueError:
    text = repr(value)
    return ValueError(f"{name} is {text if len(text) <= 40 else text[:39] + '…'}, not {expected}")
