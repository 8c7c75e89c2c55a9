"""The run folder: what a long computation has found so far, safe against being killed.

``run.json`` (configuration, versions, decisions), ``points.jsonl`` (a line per finished piece of
work), ``weights/*.safetensors``. Text and safetensors only. Every write is atomic: a file is
either the old one or the new one; a line that was torn by a kill is dropped on the next opening.
"""

import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from shrinkage.errors import RunError, ShrinkageError
from shrinkage.runs.atomic import write_atomic

Json = dict[str, Any]
_FORMAT = 1


class Run:
    """A run folder opened by one process at a time; a context manager.

    Opening a folder that holds the same configuration continues it: ``points`` has what is
    finished. Raises :class:`RunError` for a folder in use, of another configuration, damaged,
    not a run, or not writable; earlier points stay intact in every case. A folder that bad input
    leaves without a point is removed again, unless it was there before.
    """

    def __init__(self, folder: str | Path, config: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.config: Json = json.loads(_dumps(config))
        self.decisions: Json = {}
        self.points: list[Json] = []
        self._lock = FileLock(self.folder / ".lock")
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        with _writing(self.folder):
            self._made = _missing(self.folder)
            if self.folder.exists() and not self.folder.is_dir():
                raise NotADirectoryError(20, "a file is in the way", str(self.folder))
            _refuse_strangers(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
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
            with _writing(self.folder):
                self._begin()
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        self._lock.release()
        if self._made and not self.points and kind and issubclass(kind, ShrinkageError):
            self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            for parent in self._made[1:]:
                parent.rmdir()

    def append(self, point: Mapping[str, Any]) -> None:
        """Add one finished point, durably, in one line."""
        clean = json.loads(_dumps(point))
        line = memoryview(_dumps(clean).encode() + b"\n")
        path = self.folder / "points.jsonl"
        # Unbuffered: closing the file must not try again what has failed and was taken back.
        with _writing(self.folder), path.open("ab", buffering=0) as file:
            start = file.tell()
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                os.truncate(file.fileno(), start)
                raise
        self.points.append(clean)

    def decide(self, **decisions: object) -> None:
        """Record decisions in ``run.json``; a continued run finds and keeps them."""
        self.decisions = {**self.decisions, **json.loads(_dumps(decisions))}
        self._write_header()

    def save_weights(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store tensors under ``key``; those that share memory (tied weights) each by itself."""
        own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        self.write(f"weights/{_file(key)}", save(own))

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the folder, atomically; returns its path."""
        path = self.folder / name
        data = content.encode() if isinstance(content, str) else content
        with _writing(self.folder):
            write_atomic(path, data)
        return path

    def view(self) -> "RunView":
        """What the folder holds, for readers."""
        return RunView(self.folder, self.config, self.decisions, tuple(self.points))

    def _begin(self) -> None:
        header = self.folder / "run.json"
        if header.exists():
            known = _read_header(header)
            _refuse_other_configuration(self.folder, known["config"], self.config)
            self.decisions = known["decisions"]
        self.points = _recover(self.folder / "points.jsonl")
        (self.folder / "weights").mkdir(exist_ok=True)
        if not header.exists():
            self._write_header()

    def _write_header(self) -> None:
        header = {
            "format": _FORMAT,
            "config": self.config,
            "decisions": self.decisions,
            "versions": {
                "python": platform.python_version(),
                "torch": version("torch"),
                "shrinkage": version("shrinkage"),
            },
        }
        self.write("run.json", json.dumps(header, indent=1, ensure_ascii=False, allow_nan=False))


class RunView:
    """A run folder, read only: configuration, decisions, points, weights."""

    def __init__(
        self, folder: Path, config: Json, decisions: Json, points: tuple[Json, ...]
    ) -> None:
        self.folder, self.config, self.decisions, self.points = folder, config, decisions, points

    def of_kind(self, kind: str) -> dict[str, Json]:
        """The points of one kind by their key."""
        return {point["key"]: point for point in self.points if point["kind"] == kind}

    def weights(self, key: str) -> dict[str, Tensor]:
        """The tensors stored under ``key``; :class:`RunError` where they are missing."""
        path = self.folder / "weights" / _file(key)
        try:
            return dict(load_file(path))
        except (OSError, ValueError, SafetensorError) as error:
            raise _damaged(path, str(error)) from None


def read(folder: str | Path) -> RunView:
    """Read a run folder without locking it; :class:`RunError` where there is none."""
    folder = Path(folder)
    header = folder / "run.json"
    if not header.is_file():
        raise RunError(
            "not a run folder",
            got=str(folder),
            expected="a folder with a run.json",
            remedy="Give the folder that path or contrast printed at its end.",
        )
    known = _read_header(header)
    try:
        points, _ = _parse(folder / "points.jsonl")
    except OSError as error:
        raise _damaged(folder / "points.jsonl", error.strerror or str(error)) from None
    return RunView(folder, known["config"], known["decisions"], tuple(points))


def has_points(folder: Path) -> bool:
    """Has a run in this folder got anywhere? Nothing is checked: opening it does that."""
    try:
        return (folder / "points.jsonl").stat().st_size > 0
    except OSError:
        return False


def finite(value: object) -> object:
    """``value`` with NaN and infinities replaced by None, so that it is strict JSON."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _dumps(value: object) -> str:
    return json.dumps(finite(value), ensure_ascii=False, allow_nan=False)


def _file(key: str) -> str:
    return key.replace("/", "_") + ".safetensors"


def _parse(path: Path) -> tuple[list[Json], int]:
    """The points of a file and the number of bytes they take; a torn last line is left out."""
    if not path.exists():
        return [], 0
    points: list[Json] = []
    good = 0
    content = path.read_bytes()
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        last = good + len(line) == len(content)
        try:
            point = json.loads(line)
            if not line.endswith(b"\n"):
                raise ValueError("torn")
        except ValueError:
            if last:
                break
            raise _damaged(path, f"line {number} is not JSON") from None
        if not (isinstance(point, dict) and {"kind", "key"} <= point.keys()):
            raise _damaged(path, f"line {number} is not a point")
        points.append(point)
        good += len(line)
    return points, good


def _recover(path: Path) -> list[Json]:
    points, good = _parse(path)
    if path.exists() and path.stat().st_size != good:
        os.truncate(path, good)
    return points


def _read_header(path: Path) -> Json:
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        if header["format"] != _FORMAT:
            raise ValueError(f"format {header['format']}, not {_FORMAT}")
        known = {"config": header["config"], "decisions": header["decisions"]}
        if not all(isinstance(value, dict) for value in known.values()):
            raise ValueError("no configuration")
        return known
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, why: str) -> RunError:
    return RunError(
        "the run folder is damaged",
        got=f"{path}: {why}",
        expected="files as this program wrote them",
        remedy="Choose another folder (--run), or delete this one.",
    )


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
    if isinstance(value, list) and value and all("name" in item for item in value if item):
        value = ", ".join(str(item["name"]) for item in value)  # columns, parameters
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn the system's errors (read-only, full disk, a file in the way) into one line."""
    try:
        yield
    except OSError as error:
        raise RunError(
            "the run folder cannot be written",
            got=f"{folder}: {error.strerror or error}",
            expected="a writable folder with free space",
            remedy="Earlier points are intact. Free space or choose another folder (--run).",
        ) from None
