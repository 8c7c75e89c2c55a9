"""The rounds of a polish, and a bar for one that takes more than a second."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic

from shrinkage.arguments import callback
from shrinkage.progress import Progress, shown

_SECOND = 1.0


@dataclass(frozen=True)
class Round:
    """A round of :func:`polish`: the objective after it, the gap before it, the step's length."""

    number: int
    objective: float
    gap: float
    step: float


Show = Callable[[Round], None]


def quiet(_: Round) -> None:
    """Show nothing."""


@contextmanager
def told(progress: Show | None, rounds: int) -> Iterator[Show]:
    """``progress``, or a bar with objective and gap, out of ``rounds`` at most."""
    if progress is not None:
        yield callback("progress", progress)
        return
    begun, bars = monotonic(), ExitStack()
    shows: list[Callable[[Progress], None]] = []

    def show(at: Round) -> None:
        if not shows and monotonic() - begun > _SECOND:
            shows.append(bars.enter_context(shown(None)))
        for one in shows:
            note = f"objective {at.objective:.6g}, gap before {at.gap:.3g}"
            one(Progress("polish", at.number, rounds, note))

    with bars:
        yield show
