"""One shape of error for the whole package: what is wrong, got, expected, and a remedy."""

import os
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb

RAISED = (Exception, SystemExit)
"""What a user's code may raise; Ctrl-C is the user."""


class ShrinkageError(ValueError):
    """Bad input, said in one line: ``what: got …; expected …. remedy``.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, what: str, *, got: object, expected: str, remedy: str) -> None:
        self.what, self.got = _line(what), _line(got if isinstance(got, str) else shown(got))
        self.expected, self.remedy = _line(expected), _line(remedy)
        super().__init__(f"{self.what}: got {self.got}; expected {self.expected}. {self.remedy}")

    @property
    def briefly(self) -> str:
        """What is wrong and what was got, to be told within another message."""
        return f"{self.what}: {self.got}"

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process, keyword arguments and all."""
        return _rebuild, (type(self), self.what, self.got, self.expected, self.remedy)


def _rebuild(
    kind: type[ShrinkageError], what: str, got: str, expected: str, remedy: str
) -> ShrinkageError:
    return kind(what, got=got, expected=expected, remedy=remedy)


class PenaltyError(ShrinkageError):
    """A penalty was built or called with values it has no meaning for."""


class PlanError(ShrinkageError):
    """Rules and network do not fit together, or a plan is used in two ways at once."""


class AttachError(ShrinkageError):
    """A plan cannot act through this optimizer."""


class DataError(ShrinkageError):
    """Data that cannot be read, or cannot be learnt from as it is."""


class ModelError(ShrinkageError):
    """A network, factory or training function that cannot be built or run."""


class OptionError(ShrinkageError, TypeError):
    """A function was called with options that it does not have, with too many or too few."""


class RunError(ShrinkageError):
    """A run folder that cannot be used: locked, of another configuration, not writable."""


class FitError(ShrinkageError):
    """A training setting without meaning, or a fit that broke down."""


class CompactionError(ShrinkageError):
    """A network that cannot be compacted, or a compact one that is not equal to it."""


class ExploreError(ShrinkageError):
    """A setting of the live page without meaning, or a page that cannot be served."""


class ShrinkageWarning(UserWarning):
    """Something that will run and will not do what its author thinks."""


def warn(text: str) -> None:
    """Warn (:class:`ShrinkageWarning`) at the line that led here, of the user's code or a caller's.

    Not counted: our own frames, and what PyTorch and context managers put between (hooks).
    """
    frame = here = sys._getframe(1)
    while frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        if frame.f_back is None:
            frame = here
            break
        frame = frame.f_back
    warnings.warn_explicit(
        text,
        ShrinkageWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


_BETWEEN = {__name__.partition(".")[0], "torch", "contextlib", "copy", "copyreg"}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"Did you mean 'conv1'? "`` where a known name is close to ``name``, else ``""``.

    A slip of the keys seldom changes the first letter, unless it swaps two.
    """
    if not isinstance(name, str) or len(name) > _SHORT:  # comparing takes quadratic time
        return ""
    names = list(known)
    close = () if name in names else _close(name, names)  # known: something else is wrong
    return f"Did you mean {close[0]!r}? " if close else ""


def _close(name: str, names: Sequence[str]) -> Sequence[str]:
    same = [other for other in names if other.casefold() == name.casefold()]
    alike = (o for o in names if o[:1] == name[:1] or sorted(o) == sorted(name))
    return same or get_close_matches(name, list(alike), n=1, cutoff=_CLOSE)


def shown(value: object) -> str:
    """Any value as a message has it: short, in one line, whatever its ``repr`` does.

    >>> shown("1e-3"), shown(int), shown({"a": 1}), shown(list(range(1000)))
    ("'1e-3'", 'the class int', "{'a': 1}", 'a list of 1000')
    """
    kind = type(value).__name__
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, str):
        return repr(shortened(value, _SHORT))
    try:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"{_a(kind)} of shape {tuple(shape)}"
        words = repr(value) if _size(value) <= _FEW else ""
    except Exception:  # an object of the user's may refuse to say anything
        words = ""
    if 0 < len(words) <= _SHORT and "\n" not in words and " at 0x" not in words:
        return words
    return _named(value, kind)


def _named(value: object, kind: str) -> str:
    size = f" of {_size(value)}" if isinstance(value, _CONTAINERS) else ""
    name = getattr(value, "__name__", None)
    return f"{_a(kind)}{size}" + (f" {name}" if isinstance(name, str) else "")


def _size(value: object) -> int:
    return len(value) if isinstance(value, _CONTAINERS) else 0


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _line(text: str) -> str:
    """``text`` in one line that any terminal can print, its middle left out where it is long."""
    text = " ".join(text.splitlines()) if "\n" in text or "\r" in text else text
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    half = _LONG // 2 - 2
    return text if len(text) <= _LONG else f"{text[:half]} … {text[-half:]}"


_CONTAINERS = (list, tuple, dict, set, frozenset)
_CLOSE = 0.65
"""Share of letters in common from which on names are alike: one of three may be another."""
_FEW, _SHORT, _TOLD, _LONG = 8, 80, 300, 600
"""Entries of a container; characters of a value, of an exception, of a part of a message."""


def shortened(text: str, most: int = _TOLD) -> str:
    """At most ``most`` characters: libraries quote what they could not read whole.

    >>> shortened("9" * 500, 3)
    '999…'
    """
    return text if len(text) <= most else f"{text[:most]}…"


def listed(names: Iterable[str], most: int = 8, then: str = " … and") -> str:
    """``"a, b, c"``, and ``"… and 5 more"`` beyond ``most``."""
    names = list(names)
    more = f"{then} {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def told(error: BaseException) -> str:
    """An exception of somebody else's code in one line: its type, its first paragraph, and where.

    The place is the last line of the user's own code that we, or PyTorch, have called.
    """
    try:
        words = str(error)
    except Exception:  # an exception of the user's may refuse to say anything
        words = ""
    words = " ".join(words.strip().partition("\n\n")[0].split())
    said = f"{type(error).__name__}: {shortened(words)}" if words else type(error).__name__
    for frame in reversed(extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_OURS):
            break
        if not _is_installed(path):
            return f"{said} ({path.name}, line {frame.lineno})"
    return said


_OURS = Path(__file__).parent
_STDLIB = Path(sysconfig.get_paths()["stdlib"])
_PACKAGES = {"site-packages", "dist-packages"}


def _is_installed(path: Path) -> bool:
    """Whether a frame's file is Python's or a package's; Cython's and made-up ones have no path."""
    compiled = path.suffix in {".pyx", ".pxd", ".pxi"} or path.name.startswith("<")
    return compiled or path.is_relative_to(_STDLIB) or not _PACKAGES.isdisjoint(path.parts)


@contextmanager
def foreign_code(refusal: Callable[[str], ShrinkageError]) -> Iterator[None]:
    """Around a call of a user's code: whatever that raises comes out as one error of ours.

    ``refusal`` makes the error of what was raised, in one line (:func:`told`). ``sys.exit`` counts:
    it would end the program with success. Ctrl-C goes through. If the code has left the working
    directory, it is entered again, because paths that the user gave may be relative.
    """
    here = _working_directory()
    try:
        yield
    except ShrinkageError:
        raise
    except RAISED as error:
        raise refusal(told(error)) from error
    finally:
        if here is not None and _working_directory() != here:
            with suppress(OSError):
                os.chdir(here)


def _working_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  (as a string: it is asked for at every call)
    except OSError:  # it was removed
        return None
