"""Records: frozen dataclasses that stand in a file as JSON objects.

One mechanism for all of them: a field is a key, in the order of the fields, and its type says what
may stand there.
"""

from collections.abc import Sized
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Self, get_type_hints

from shrinkage.runs.typed import checked

ABSENT = {"absent": True}
"""The metadata of a field that is left out of the file where it is None."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A JSON object with known keys."""

    def to_json(self) -> dict[str, Any]:
        """The fields by name, in their order."""
        values = ((one, getattr(self, one.name)) for one in fields(self))
        return {
            one.name: plain(value)
            for one, value in values
            if value is not None or one.metadata != ABSENT
        }

    @classmethod
    def from_json(cls, told: object, name: str = "") -> Self:
        """From the keys of an object; unknown ones are left alone, missing ones count as null.

        Raises :class:`ValueError` that names the value of another type; ``name``: of the object.
        """
        values: dict[str, Any] = {}
        known: dict[str, Any] = checked(told, dict, name or "it")
        for key, hint, is_needed in _keys(cls):
            if key in known or is_needed:
                values[key] = checked(known.get(key), hint, f"{name}.{key}" if name else key)
        record = cls(**values)
        record.check(name or "it")
        return record

    def check(self, name: str) -> None:
        """Raise :class:`ValueError` where fields do not go together; ``name``: of the object."""


@dataclass(frozen=True, kw_only=True)
class LineRecord(Record):
    """A line of ``points.jsonl``: its kind, and a key of its own among those of this kind."""

    kind: ClassVar[str]
    key: str

    def to_json(self) -> dict[str, Any]:
        """The kind, and the fields by name."""
        return {"kind": self.kind, **super().to_json()}


def check_same_length(name: str, **columns: Sized | None) -> None:
    """Raise :class:`ValueError` unless these lists, as far as there are any, are equally long."""
    lengths = {column: len(values) for column, values in columns.items() if values is not None}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{length} {column}" for column, length in lengths.items())
        raise ValueError(f"{name} has {told}, not equally many")


def plain(value: object) -> object:
    """``value`` with its records as JSON objects."""
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _keys(record: type[Record]) -> list[tuple[str, Any, bool]]:
    """Name and type of every field, and whether it has no default; looked up once."""
    if record not in _KEYS:
        hints = get_type_hints(record)
        _KEYS[record] = [
            (one.name, hints[one.name], one.default is MISSING) for one in fields(record)
        ]
    return _KEYS[record]


_KEYS: dict[type[Record], list[tuple[str, Any, bool]]] = {}
