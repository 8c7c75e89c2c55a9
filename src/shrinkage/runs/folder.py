"""The run folder: what a long computation has found so far, safe against being killed.

``run.json`` (configuration, versions, decisions), ``points.jsonl`` (a line per finished piece of
work), ``weights/*.safetensors``. Text and safetensors only. Every write is atomic: a file is
either the old one or the new one; a line that was torn by a kill is dropped on the next opening.
What was lost or edited since is never taken for what was written: see ``records``.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout
from torch import Tensor

from shrinkage.errors import RunError, ShrinkageError, warn
from shrinkage.runs.atomic import write_atomic
from shrinkage.runs.failures import changed, writing
from shrinkage.runs.kinds import OtherRecord
from shrinkage.runs.records import (
    FolderLine,
    Header,
    Json,
    Promise,
    as_json,
    encoded,
    keeps_promise,
    read_lines,
)
from shrinkage.runs.schema import LineRecord
from shrinkage.runs.view import RunView, check_types, checked_view, view_of
from shrinkage.runs.weights import WeightStore

_CONCLUSIONS = ("finished", "choice", "choices", "stable")
"""Decisions that rest on all points before them."""


class Run:
    """A run folder opened by one process at a time; a context manager.

    Opening a folder that holds the same configuration continues it: ``points`` has what is
    finished. Where points were lost since, or their weights, it warns, and what was concluded
    from them is void: the same work computes what is missing.

    Raises :class:`RunError` for a folder in use, of another configuration, damaged,
    not a run, or not writable; earlier points stay intact in every case. A folder that bad input
    leaves without a point is removed again, unless it was there before.
    """

    def __init__(self, folder: str | Path, config: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self._lines: list[FolderLine] = []
        self._home = self.folder.absolute()  # whatever becomes of the working directory
        self._points_file = self._home / "points.jsonl"
        self._header = Header(as_json(config))
        self._weights = WeightStore(self._home)
        self._unclaimed: dict[str, str] = {}
        self._size = 0
        self._before: Promise | None = None
        self._lock = FileLock(self._home / ".lock")
        self._made: list[Path] = []

    @property
    def config(self) -> Json:
        """What the run is."""
        return self._header.config

    @property
    def decisions(self) -> Json:
        """What was decided on the way."""
        return self._header.decisions

    @property
    def points(self) -> list[Json]:
        """The points as JSON objects."""
        return [line.point for line in self._lines]

    def __enter__(self) -> Self:
        with writing(self.folder):
            self._made = _missing(self._home)
            if self._home.exists() and not self._home.is_dir():
                raise NotADirectoryError(20, "a file is in the way", str(self.folder))
            _refuse_strangers(self._home)
            self._home.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise RunError(
                    "the run folder is in use",
                    got=str(self.folder),
                    expected="one process at a time",
                    remedy="Wait for the other process to end, or choose another folder (--run).",
                ) from None
        try:
            with writing(self.folder):
                self._begin()
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        self._lock.release()
        if self._made and not self._lines and kind and issubclass(kind, ShrinkageError):
            self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self._home, ignore_errors=True)
        with suppress(OSError):
            for parent in self._made[1:]:
                parent.rmdir()

    def append(self, record: LineRecord | Mapping[str, Any]) -> None:
        """Add one finished point, durably, in one line; the weights saved before it are its own."""
        known = record if isinstance(record, LineRecord) else OtherRecord.of(record)
        line = FolderLine.of(known, self._unclaimed, self._header)
        rest = memoryview(line.content)
        # Unbuffered: closing the file must not try again what has failed and was taken back.
        with writing(self.folder), self._points_file.open("ab", buffering=0) as file:
            start = file.tell()
            if start != self._size:
                raise changed(self._points_file, f"{start:,} bytes", f"{self._size:,} bytes")
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                os.truncate(file.fileno(), start)
                raise
        self._size += len(line.content)
        self._unclaimed = {}
        self._lines.append(line)

    def decide(self, **decisions: object) -> None:
        """Record decisions in ``run.json``; a continued run finds and keeps them."""
        known = {**self.decisions, **as_json(decisions)}
        self._write_header(replace(self._header, decisions=known))

    def finish(self, **decisions: object) -> None:
        """Record that the run has come to its end.

        Raises :class:`RunError` where the file of points is not what was written. Warns where what
        was computed again differs from what was lost.
        """
        with writing(self.folder):
            lines = read_lines(self._points_file, self._header)
        promise = self._promise()
        if Promise.of(line.checksum for line in lines) != promise:
            raise changed(self._points_file, f"{len(lines)} points", f"{promise.count} points")
        if self._before not in (None, promise):
            warn(
                f"what was computed again in {self.folder} differs from what was lost: another "
                f"machine or other versions round differently"
            )
        self.decide(**decisions, finished=True)

    def save_weights(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store tensors under ``key``; those that share memory (tied weights) each by itself."""
        with writing(self.folder):
            self._unclaimed |= self._weights.save(key, tensors)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the folder, atomically; returns its path."""
        data = encoded(content) if isinstance(content, str) else content
        with writing(self.folder):
            write_atomic(self._home / name, data)
        return self.folder / name

    def view(self) -> RunView:
        """What the folder holds, for readers."""
        return view_of(self.folder, self._header, self._lines, self._weights)

    def _promise(self) -> Promise:
        return Promise.of(line.checksum for line in self._lines)

    def _begin(self) -> None:
        path = self._home / "run.json"
        is_new = not path.exists()
        if not is_new:
            known = Header.read(path)
            _refuse_other_configuration(self.folder, known.config, self.config)
            check_types(path, known)
            self._header = known
        lines = self._recovered()
        if not is_new:
            checked_view(self.view())
        self._weights.folder.mkdir(exist_ok=True)
        if self._go_on(lines) or is_new:
            self._write_header(self._header)

    def _recovered(self) -> list[FolderLine]:
        """What is there, but for a torn last line, and points whose weights are not theirs."""
        path = self._points_file
        lines = read_lines(path, self._header)
        kept = [line for line in lines if self._weights.has(line.files)]
        self._size = sum(len(line.content) for line in kept)
        if path.exists() and path.stat().st_size != self._size:
            write_atomic(path, b"".join(line.content for line in kept))
        for line in kept:
            self._weights.checksums |= line.files
        self._lines = kept
        return kept

    def _go_on(self, lines: list[FolderLine]) -> bool:
        """Take back what was concluded from points that are lost; whether there were any.

        A folder without checksums does not tell: its stages look themselves what is missing.
        """
        header = self._header
        is_known = header.promise is not None
        if is_known and keeps_promise(header, lines):
            return False
        if is_known:
            self._before = header.promise if header.is_finished else None
            warn(
                f"points of the run folder {self.folder}, or their weights, were lost or damaged "
                f"since they were computed: they are computed again"
            )
        void = _CONCLUSIONS if is_known else _CONCLUSIONS[:1]
        left = {name: value for name, value in header.decisions.items() if name not in void}
        self._header = replace(header, decisions=left)
        return is_known

    def _write_header(self, header: Header) -> None:
        header = replace(header, promise=self._promise())
        self.write("run.json", header.to_json())
        self._header = header


def has_points(folder: Path) -> bool:
    """Has a run in this folder got anywhere? Nothing is checked: opening it does that."""
    try:
        return (folder / "points.jsonl").stat().st_size > 0
    except OSError:
        return False


def _refuse_strangers(folder: Path) -> None:
    if folder.is_dir() and not (folder / "run.json").exists():
        strangers = [p.name for p in folder.iterdir() if p.name not in (".lock", "weights")]
        strangers = [name for name in strangers if not name.endswith(".part")]
        if strangers:
            raise RunError(
                "the folder is not a run",
                got=f"{folder} with {strangers[0]!r} in it and no run.json",
                expected="a new or empty folder, or a run to go on with",
                remedy="Choose another folder (--run).",
            )


def _refuse_other_configuration(folder: Path, known: Json, given: Json) -> None:
    differing = list(_differences(known, given))
    if differing:
        key, begun, asked = differing[0]
        more = [name for name, _, _ in differing[1:]]
        if all(name.endswith(".fingerprint") for name, _, _ in differing):
            what = ", ".join(sorted({name.partition(".")[0] for name, _, _ in differing}))
            raise RunError(
                f"code or data of the run folder {folder} have changed since it was begun",
                got=f"another {what} than then, under the same name",
                expected="the files as they were, to the letter",
                remedy="Put them back as they were, or choose another folder (--run).",
            )
        raise RunError(
            f"the run folder {folder} belongs to another configuration",
            got=f"{key} = {_short(asked)}" + (f" (and {', '.join(more[:3])})" if more else ""),
            expected=f"{key} = {_short(begun)}, as it was begun",
            remedy="Choose another folder (--run), or repeat the command it was begun with.",
        )


def _differences(known: object, given: object, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(``training.lr``, value begun with, value asked for), as deep as both have the same shape."""
    if isinstance(known, dict) and isinstance(given, dict):
        for name in {**known, **given}:
            yield from _differences(known.get(name), given.get(name), f"{key}.{name}".strip("."))
    elif isinstance(known, list) and isinstance(given, list) and len(known) == len(given):
        for number, (ours, theirs) in enumerate(zip(known, given, strict=True)):
            yield from _differences(ours, theirs, f"{key}[{number}]")
    elif known != given:
        yield key, known, given


def _missing(folder: Path) -> list[Path]:
    """``folder`` and its parents as far as they do not exist yet, from within to without."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _short(value: object) -> str:
    items = value if isinstance(value, list) else []
    named = [item["name"] for item in items if isinstance(item, dict) and "name" in item]
    if named and len(named) == len(items):
        value = ", ".join(map(str, named))  # columns, parameters
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
