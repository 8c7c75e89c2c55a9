"""Checksums of files and records."""

import hashlib
import json
from pathlib import Path

import pytest

from shrinkage.runs.checksums import (
    bytes_checksum,
    file_checksum,
    is_intact,
    is_sealed,
    parse_record,
    record_checksum,
    sealed,
)

RECORD = {"b": [1, 2.5, {"c": None, "ä": "ö"}], "a": True, "n": {10: "x", 9: "y"}}


def test_a_files_checksum_is_that_of_sha256sum(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_checksum(path) == bytes_checksum(b"abc") == known


def test_a_record_is_the_same_after_a_file_and_in_another_order() -> None:
    seen = parse_record(json.dumps(sealed(RECORD), indent=3))
    assert is_sealed(seen)
    assert is_intact(seen)
    assert is_intact(dict(reversed(seen.items())))
    assert not is_sealed(RECORD)
    assert not is_intact(RECORD)
    text = '{"a":true,"b":[1,2.5,{"c":null,"\\u00e4":"\\u00f6"}],"n":{"10":"x","9":"y"}}'
    assert record_checksum(RECORD) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "edited",
    [
        {"a": 1}, {"b": [1, 2.5]}, {"b": [1.0, 2.5, {"c": None, "ä": "ö"}]},
        {"n": {"9": "y"}}, {"new": None}, {"sha256": "0" * 64}, {"sha256": None},
    ],
)  # fmt: skip
def test_an_edited_record_is_not_intact(edited: dict[str, object]) -> None:
    assert not is_intact({**sealed(RECORD), **edited})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": 1, "a": 1}', "a key stands twice"),
        ("[1]", "a list, not an object"),
        ("", "Expecting value"),
        ('{"a": 1', "Expecting"),
        (b'{"a": "\xff"}', "decode"),
        ('{"a": ' + "9" * 5000 + "}", "4300 digits"),
    ],
)
def test_what_is_no_record(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_record(text)
