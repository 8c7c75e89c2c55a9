"""The ways in which a run folder fails its reader or its writer, each said in one line."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

from shrinkage.errors import RunError, ShrinkageError, told

START_ANEW = "Choose another folder (--run), or delete this one."


def damaged(path: Path, why: str, remedy: str = START_ANEW) -> RunError:
    """A file of the folder is not as it was written."""
    return RunError(
        "the run folder is damaged",
        got=f"{path}: {why}",
        expected="files as this program wrote them",
        remedy=remedy,
    )


def changed(path: Path, got: str, expected: str) -> RunError:
    """Somebody else has changed a file of the folder while the run goes on."""
    return RunError(
        "the run folder was changed while the run goes on",
        got=f"{path}: {got}",
        expected=expected,
        remedy="Let one process at a time write there. The same command computes what is missing.",
    )


def again(folder: Path, config: Mapping[str, Any], command: object = None) -> str:
    """How what a run lacks comes back: by its command; what the live page saved, from there."""
    if config.get("command") == "explore":
        settings = quote(str(folder / "settings.txt"))
        return (
            "What the live page has saved is not computed again: open it with these settings "
            f'(shrinkage explore DATA --settings "$(cat {settings})"), and save once more.'
        )
    words = f"{command} --run {quote(str(folder))}" if command else "the call that made it"
    return f"Repeat {words}: what is missing is computed again."


def lost(folder: Path, remedy: str) -> RunError:
    """Points that the header speaks of are not there; ``remedy``: see :func:`again`."""
    return RunError(
        "the run has lost points",
        got=f"{folder / 'points.jsonl'} without some of them",
        expected="all that the run has written",
        remedy=remedy,
    )


@contextmanager
def reading_records(folder: Path, *, are_sealed: bool) -> Iterator[None]:
    """Around whatever reads records: of a folder without checksums anything may stand in them.

    What they lack, or have of another type, comes out as one :class:`RunError`.
    """
    try:
        yield
    except ShrinkageError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        if are_sealed:
            raise
        raise damaged(
            folder, f"a record lacks something, or has it otherwise: {told(error)}"
        ) from (error)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the system's errors (read-only, full disk, a file in the way) into one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise RunError(
            "the run folder has gone",
            got=f"{error.filename or folder}: {error.strerror or error}",
            expected="a folder that stays where it is while the run goes on",
            remedy="Repeat the command: what is missing is computed again.",
        ) from None
    except OSError as error:
        raise RunError(
            "the run folder cannot be written",
            got=f"{folder}: {error.strerror or error}",
            expected="a writable folder with free space",
            remedy="Earlier points are intact. Free space or choose another folder (--run).",
        ) from None
