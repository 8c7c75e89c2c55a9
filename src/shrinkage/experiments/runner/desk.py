"""What processes hand to each other lies in files; through pipes go their names alone.

Pipes hold 64 KiB. loky 3.7 waits forever for the rest of a message where a process is killed while
it sends one that is longer (a result: the others keep the pipe open, and wait for a lock that the
dead one holds), or has died before it has read one (what a new process is sent). A name is sent at
once, or not at all.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from traceback import format_exc
from typing import Any
from uuid import uuid4

import cloudpickle

from shrinkage.errors import RunError, ShrinkageError, told


def desk() -> Path:
    """A new folder for what is handed over."""
    return Path(mkdtemp(prefix="shrinkage-"))


def left(desk: Path, work: Callable[[], object]) -> Path:
    """The file in which lies what ``work`` returns, or the error that it raises."""
    try:
        found: tuple[object, Exception | None] = (work(), None)
    except Exception as error:
        found = (None, _sendable(error))
    data = cloudpickle.dumps(found)
    path = desk / f"{uuid4().hex}.pickle"
    try:
        path.write_bytes(data)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise RunError(
            "a result cannot be handed over",
            got=told(error),
            expected=f"room for {len(data):,} bytes in {gettempdir()}",
            remedy="Free some, set TMPDIR, or repeat with --jobs 1. Finished fits are kept.",
        ) from error
    return path


def _sendable(error: Exception) -> Exception:
    """The error with its traceback; in words, where it cannot be pickled and be itself again."""
    if isinstance(error, ShrinkageError):
        return error
    error.add_note(f"In a worker process:\n{format_exc()}")
    try:
        pickle.loads(cloudpickle.dumps(error))  # noqa: S301  (what was pickled just now)
    except Exception:
        return RuntimeError(f"{told(error)}\n{format_exc()}")
    return error


def taken(path: Path) -> Any:
    """What lies in the file, which is then gone; raises the error where it is one."""
    value, error = pickle.loads(path.read_bytes())  # noqa: S301  (our worker has written it)
    path.unlink()
    if error is not None:
        raise error
    return value
