"""Values from a file, checked against the types that they are written in."""

import math
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

_MOST = 2**31


def checked(value: object, hint: Any, name: str) -> Any:
    """``value`` as a value of the type ``hint``.

    ``hint``: ``str``, ``bool``, ``int`` (a count or place: 0 ≤ n < 2³¹), ``float`` (finite),
    ``None``, ``Any``, literals, lists, dictionaries with names as keys, tuples (lists in a file),
    records (whatever has a ``from_json``), and unions of them. Raises :class:`ValueError` that
    names what is not so.

    >>> checked({"a": [1, 2]}, dict[str, list[int]], "cuts")
    {'a': [1, 2]}
    >>> checked({"a": [1, True]}, dict[str, list[int]], "cuts")
    Traceback (most recent call last):
    ValueError: cuts['a'][1] is True, not int
    """
    if get_origin(hint) in (Union, UnionType):
        parts = get_args(hint)
        fitting = [part for part in parts if _fits(value, part)]
        if not fitting:
            raise _wrong(value, " or ".join(_said(part) for part in parts), name)
        return checked(value, fitting[0], name)
    if not _fits(value, hint):
        raise _wrong(value, _said(hint), name)
    if _is_record(hint):
        return hint.from_json(value, name)
    kinds = get_args(hint)
    if isinstance(value, dict) and kinds:
        return {key: checked(item, kinds[1], f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list) and kinds:
        items = _items(value, hint, kinds, name)
        return tuple(items) if get_origin(hint) is tuple else items
    return value


def field(record: Mapping[str, Any], key: str, hint: Any, within: str = "") -> Any:
    """The value under ``key``, checked; one that is not there is None."""
    return checked(record.get(key), hint, f"{within}{key}")


def _items(value: list[Any], hint: Any, kinds: tuple[Any, ...], name: str) -> list[Any]:
    is_pair = get_origin(hint) is tuple and Ellipsis not in kinds
    if not is_pair and _all_fit(value, kinds[0]):
        return value
    each = kinds if is_pair else kinds[:1] * len(value)
    if len(each) != len(value):
        raise _wrong(value, f"{len(each)} values", name)
    pairs = enumerate(zip(value, each, strict=True))
    return [checked(item, kind, f"{name}[{k}]") for k, (item, kind) in pairs]


def _all_fit(values: list[Any], kind: Any) -> bool:
    """Are all of them plain numbers or texts of a type? Fast: lists of numbers are long."""
    if kind is float:
        return all(type(v) is float and v - v == 0.0 for v in values)
    if kind == float | None:
        return all(v is None or (type(v) is float and v - v == 0.0) for v in values)
    if kind is int:
        return all(type(v) is int and 0 <= v < _MOST for v in values)
    return kind in (bool, str) and all(type(v) is kind for v in values)


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return any(type(value) is type(known) and value == known for known in get_args(hint))
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
    if _is_record(kind):
        return isinstance(value, dict)
    return isinstance(value, list if kind in (tuple, Sequence) else kind)


def _is_record(hint: Any) -> bool:
    return isinstance(hint, type) and hasattr(hint, "from_json")


def _said(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if _is_record(hint):
        return "dict"
    return "null" if hint in (None, NoneType) else getattr(hint, "__name__", str(hint))


def _wrong(value: object, expected: str, name: str) -> ValueError:
    text = repr(value)
    return ValueError(f"{name} is {text if len(text) <= 40 else text[:39] + '…'}, not {expected}")
