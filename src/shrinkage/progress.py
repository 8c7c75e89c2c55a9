"""Progress of long work: events, and the bars or lines that show them."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from shrinkage.arguments import callback, check_function

_PAUSE = 10.0
"""Seconds between two lines, where there is no terminal for bars."""
_KNOWN = 3
"""Pieces of work after which one tells the time left: the first ones import and compile."""


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` pieces of work of a stage; ``note`` says which came last."""

    stage: str
    done: int
    total: int
    note: str = ""


def check_progress(progress: object) -> None:
    """Raise :class:`FitError` unless ``progress`` is None, or a function of one event."""
    if progress is not None:
        check_function("progress", progress, takes=1, expected="a function of one event, or None",
                       remedy="Leave it out, and bars are shown.")  # fmt: skip


@contextmanager
def shown(
    progress: Callable[[Progress], None] | None,
) -> Iterator[Callable[[Progress], None]]:
    """``progress``, or bars with the time left on the error stream.

    Where that goes to a file or a pipe, a line every ten seconds instead. Ctrl-C ends the work at
    the next event at the latest.
    """
    console = Console(stderr=True)
    with _interrupts_kept() as check:
        if progress is not None:
            yield _checked(callback("progress", progress), check)
        elif console.is_terminal or console.is_jupyter:
            with _bars(console) as show:
                yield _checked(show, check)
        else:
            yield _checked(lines(_say), check)


def _checked(
    show: Callable[[Progress], None], check: Callable[[], None]
) -> Callable[[Progress], None]:
    def show_checked(event: Progress) -> None:
        show(event)
        check()

    return show_checked


@contextmanager
def _interrupts_kept() -> Iterator[Callable[[], None]]:
    """A function that raises ``KeyboardInterrupt`` if Ctrl-C came and its exception was lost.

    Python ignores what is raised while an object is deleted or a weak reference called back, and
    somebody's ``except`` may take it. A handler that is not Python's own is left alone.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)  # type: ignore[arg-type]

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    def forget(lost: "sys.UnraisableHookArgs") -> None:
        if not (came and lost.exc_type is KeyboardInterrupt):  # raised again at the next event
            unraisable(lost)

    unraisable = sys.unraisablehook
    signal.signal(signal.SIGINT, note)
    sys.unraisablehook = forget
    try:
        yield check
    finally:
        if sys.unraisablehook is forget:
            sys.unraisablehook = unraisable
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def lines(say: Callable[[str], object], pause: float = _PAUSE) -> Callable[[Progress], None]:
    """Says where a stage stands, at most once in ``pause`` seconds, and when it is done."""
    begun: dict[str, tuple[float, int]] = {}
    said: dict[str, tuple[float, int]] = {}

    def show(event: Progress) -> None:
        now = monotonic()
        start, first = begun.setdefault(event.stage, (now, event.done))
        before, last = said.setdefault(event.stage, (now, -1))
        is_end = event.done >= event.total and event.done != last
        if now - before < pause and not is_end:
            return
        said[event.stage] = (now, event.done)
        done, ahead = event.done - first, event.total - event.done
        left = f", left {_clock((now - start) * ahead / done)}" if done >= _KNOWN and ahead else ""
        clock = f"{_clock(now - start)}{left}"
        say(f"{event.stage} {event.done}/{event.total}, {clock} {event.note}".rstrip())

    return show


def _say(text: str) -> None:
    """On the error stream; where nobody reads it any more, work goes on."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


@contextmanager
def _bars(console: Console) -> Iterator[Callable[[Progress], None]]:
    bars = RichProgress(
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )
    tasks = {}
    with bars:

        def show(event: Progress) -> None:
            if event.stage not in tasks:
                tasks[event.stage] = bars.add_task(
                    event.stage, total=event.total, completed=event.done, note=event.note
                )
            bars.update(
                tasks[event.stage], total=event.total, completed=event.done, note=event.note
            )

        yield show
