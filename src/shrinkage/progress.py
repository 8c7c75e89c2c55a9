"""Progress of long work: events, and the bars that show them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` pieces of work of a stage; ``note`` says which came last."""

    stage: str
    done: int
    total: int
    note: str = ""


@contextmanager
def shown(
    progress: Callable[[Progress], None] | None,
) -> Iterator[Callable[[Progress], None]]:
    """``progress`` itself, or bars with the time left on the error stream."""
    if progress is not None:
        yield progress
        return
    bars = RichProgress(
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
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
