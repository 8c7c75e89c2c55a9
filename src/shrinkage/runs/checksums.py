"""Checksums: whether a file, or a record in JSON, is still as it was written.

A record bears its own checksum under ``"sha256"``; those of files are values in a record, so that
the record's checksum vouches for them too.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KEY = "sha256"


def file_checksum(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits.

    Raises :class:`OSError` where it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_checksum(data: bytes) -> str:
    """The same of bytes that are not in a file yet."""
    return hashlib.sha256(data).hexdigest()


def record_checksum(record: Mapping[str, Any]) -> str:
    """The SHA-256 of what a record says, but for its own checksum.

    Neither the order of keys nor white space matters, every digit and every type does.
    Raises :class:`ValueError` or :class:`TypeError` for what is no strict JSON.

    >>> record_checksum({"a": 1, "b": 2}) == record_checksum({"b": 2, "a": 1, "sha256": "…"})
    True
    >>> record_checksum({"a": 1}) == record_checksum({"a": 1.0})
    False
    """
    plain = json.loads(json.dumps({k: v for k, v in record.items() if k != _KEY}, allow_nan=False))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return bytes_checksum(text.encode())


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its checksum."""
    return {**record, _KEY: record_checksum(record)}


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether a record bears a checksum at all; those written earlier do not."""
    return _KEY in record


def is_intact(record: Mapping[str, Any]) -> bool:
    """Whether a record says what it said when it was sealed."""
    return bool(record.get(_KEY) == record_checksum(record))


def parse_record(data: bytes | str) -> dict[str, Any]:
    """A JSON object, strictly: no NaN or infinity, no key twice, no bottomless nesting.

    Raises :class:`ValueError` for everything else.

    >>> parse_record('{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    try:
        record = json.loads(data, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError(f"a {type(record).__name__}, not an object")
    return record


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key stands twice")
    return record


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
