"""What stands in the files of a run: the header ``run.json``, and the lines of ``points.jsonl``.

Both bear their own checksum. A line also names the run that it belongs to, and the checksums of the
weights that were written for it. Folders of format 1, which are older, have none of these; what
they have is checked.
"""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any, Self

from shrinkage.errors import RunError, warn
from shrinkage.runs.checksums import (
    bytes_checksum,
    is_intact,
    is_sealed,
    parse_record,
    record_checksum,
    sealed,
)
from shrinkage.runs.failures import START_ANEW, again, damaged
from shrinkage.runs.kinds import record_of
from shrinkage.runs.schema import LineRecord, Record
from shrinkage.runs.typed import checked

Json = dict[str, Any]
FORMAT = 2
_UNSEALED = 1
"""The format of folders without checksums."""
_OURS = ("files", "run", "sha256")
"""Keys of a line that are not the point's."""
_WITH_SEAL = {"files", "run", "points"}
"""Keys that are never written without a checksum."""


@dataclass(frozen=True)
class Promise:
    """How many points there were when the header was written, and the checksum of all of theirs."""

    count: int
    sha256: str

    @classmethod
    def of(cls, checksums: Iterable[str]) -> Self:
        """The promise of lines with these checksums, in whatever order they came."""
        known = sorted(checksums)
        return cls(len(known), bytes_checksum("".join(known).encode()))


@dataclass(frozen=True)
class Header:
    """``run.json``; ``promise``: of the points that were there when it was written."""

    config: Json
    decisions: Json = field(default_factory=dict)
    promise: Promise | None = None
    format: int = FORMAT

    @property
    def run(self) -> str:
        """What tells this run from those of other configurations."""
        return record_checksum(self.config)[:16]

    @property
    def is_finished(self) -> bool:
        """Has the run come to its end?"""
        return bool(self.decisions.get("finished"))

    def to_json(self) -> str:
        """The content of the file."""
        promise = self.promise
        record = {
            "format": self.format,
            "config": self.config,
            "decisions": self.decisions,
            **({} if promise is None else {"points": vars(promise)}),
            "versions": {
                "python": platform.python_version(),
                "torch": version("torch"),
                "shrinkage": version("shrinkage"),
            },
        }
        return json.dumps(sealed(record), indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The header in a file; :class:`RunError` for one that is damaged, or of a later format."""
        try:
            record = parse_record(path.read_bytes())
            _refuse_later(path, record)
            _check(record, must_be_sealed=record["format"] != _UNSEALED)
            config, decisions = record["config"], record["decisions"]
            if not (isinstance(config, dict) and isinstance(decisions, dict)):
                raise ValueError("no configuration")
            promise = Promise(**record["points"]) if "points" in record else None
            if record["format"] == _UNSEALED:
                _warn_of_no_checksums(path.parent)
            return cls(config, decisions, promise, record["format"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, RunError):
                raise
            raise damaged(path, _said(error)) from None


def _warn_of_no_checksums(folder: Path) -> None:
    warn(
        f"the run folder {folder} was begun without checksums: whether it was changed since cannot "
        "be told. The same command in another folder (--run) makes one that has them.",
    )


def _refuse_later(path: Path, record: Json) -> None:
    known = record["format"]
    if type(known) is not int or known < _UNSEALED:
        raise ValueError(f"format {str(known)[:20]}, not {FORMAT}")
    if known > FORMAT:
        raise RunError(
            "the run folder was written by a later version of shrinkage",
            got=f"{path}: format {known}",
            expected=f"format {FORMAT} or earlier",
            remedy="Update: pip install -U shrinkage. Or choose another folder (--run).",
        )


@dataclass(frozen=True)
class FolderLine:
    """A line of ``points.jsonl``: a record, the checksums of its files by name, and its own.

    ``point``: the record as a JSON object.
    """

    point: Json
    record: LineRecord
    files: Mapping[str, str]
    checksum: str
    content: bytes = field(repr=False)

    @classmethod
    def of(cls, record: LineRecord, files: Mapping[str, str], header: Header) -> Self:
        """A record as a line, sealed; NaN and infinities become null."""
        point: Json = as_json(record)
        whole = sealed({**point, **({"files": dict(files)} if files else {}), "run": header.run})
        content = encoded(dumps(whole)) + b"\n"
        read_back = record_of(point, header.config.get("command"))
        return cls(point, read_back, dict(files), whole["sha256"], content)

    @classmethod
    def parsed(cls, content: bytes, header: Header) -> Self:
        """The line with this content; :class:`ValueError` for what the run has not written."""
        record = parse_record(content)
        _check(record, must_be_sealed=header.format != _UNSEALED)
        if is_sealed(record) and record.get("run") != header.run:
            raise ValueError("it belongs to another run")
        point = {name: value for name, value in record.items() if name not in _OURS}
        if not all(isinstance(point.get(name), str) for name in ("kind", "key")):
            raise ValueError("it is not a point")
        known = record_of(point, header.config.get("command"))
        files = checked(record.get("files", {}), dict[str, str], "files")
        return cls(point, known, files, record_checksum(record), content)


def keeps_promise(header: Header, lines: Sequence[FolderLine]) -> bool:
    """Are the points still there that the header speaks of? They are the first ones."""
    promise = header.promise
    return promise is None or promise == Promise.of(
        line.checksum for line in lines[: promise.count]
    )


def read_lines(path: Path, header: Header) -> list[FolderLine]:
    """The lines of a file; a torn last line is left out, and one that stands there twice is one.

    Raises :class:`RunError` for a line that is damaged.
    """
    if not path.exists():
        return []
    lines: dict[tuple[str, str], FolderLine] = {}
    found = path.read_bytes().splitlines(keepends=True)
    if found and _is_torn(found[-1]):
        del found[-1]
    for number, text in enumerate(found, start=1):
        try:
            line = FolderLine.parsed(text, header)
            known = lines.setdefault((line.point["kind"], line.point["key"]), line)
            if known.checksum != line.checksum:
                raise ValueError("its point stands there already, with other values")
        except (ValueError, RecursionError) as error:
            raise damaged(
                path, f"line {number}: {_said(error)}", _mend(path.parent, number, header)
            ) from None
    return list(lines.values())


def dumps(value: object) -> str:
    """Strict JSON in one line."""
    return json.dumps(finite(value), ensure_ascii=False, allow_nan=False)


def encoded(text: str) -> bytes:
    """UTF-8; what stands for bytes that are none, in the names of files, as JSON escapes it."""
    return text.encode(errors="backslashreplace")


def as_json(value: object) -> Any:
    """``value`` as it comes back from a file."""
    return json.loads(dumps(value))


def finite(value: object) -> object:
    """``value`` with NaN and infinities replaced by None, so that it is strict JSON."""
    value = value.to_json() if isinstance(value, Record) else value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _check(record: Json, *, must_be_sealed: bool) -> None:
    if is_sealed(record):
        if not is_intact(record):
            raise ValueError("it was edited: its checksum is another")
    elif must_be_sealed or not _WITH_SEAL.isdisjoint(record):
        raise ValueError("its checksum is missing")


def _is_torn(text: bytes) -> bool:
    """Is it what a kill leaves of a line?"""
    if not text.endswith(b"\n"):
        return True
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return True
    return False


def _mend(folder: Path, number: int, header: Header) -> str:
    remedy = again(folder, header.config, header.decisions.get("command"))
    first = "" if header.config.get("command") == "explore" else f"Delete line {number}. "
    return f"{first}{remedy} {START_ANEW}"


def _said(error: BaseException) -> str:
    words = error.strerror if isinstance(error, OSError) else str(error)
    return " ".join((words or type(error).__name__).split())[:200]
