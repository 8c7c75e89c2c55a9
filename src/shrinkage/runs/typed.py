"""Values from a file, checked against the types that they are written in."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

_MOST = 2**31
_PLAIN = (float, int, bool, str)


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
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    fitting = [part for part in parts if _fits(value, part)]
    if not fitting:
        raise _wrong(value, " or ".join(map(_said, parts)), name)
    return _checked_within(value, fitting[0], name)


def _checked_within(value: object, hint: Any, name: str) -> Any:
    """A value that is of the type, with what it holds."""
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
    if kind == float | None:
        return _all_fit([value for value in values if value is not None], float)
    if kind not in _PLAIN or set(map(type, values)) - {kind}:
        return False
    if kind is float:
        return all(map(math.isfinite, values))
    return kind is not int or not values or (min(values) >= 0 and max(values) < _MOST)


def _fits(value: object, hint: Any) -> bool:
    kind = get_origin(hint) or hint
    if kind is Literal:
        return (type(value), value) in [(type(known), known) for known in get_args(hint)]
    if kind is Any:
        return True
    if kind in (None, NoneType):
        return value is None
    if isinstance(value, bool):
        return kind is bool
    if kind in _NUMBERS:
        return _NUMBERS[kind](value)
    if _is_record(kind):
        return isinstance(value, dict)
    return isinstance(value, list if kind in (tuple, Sequence) else kind)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < _MOST


def _is_finite(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) < 2**1000
    return isinstance(value, float) and math.isfinite(value)


_NUMBERS: Mapping[Any, Callable[[object], bool]] = {int: _is_count, float: _is_finite}


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
