"""What was decided on the way of a run, as ``run.json`` holds it. None: it was not, or not yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shrinkage.runs.schema import Record


@dataclass(frozen=True, kw_only=True)
class ChoiceRecord(Record):
    """The chosen try of a column, and what it rests on: see ``paths.Choice``.

    The live page chooses nothing, and tells its only try.
    """

    index: int
    best: int | None = None
    means: Sequence[float | None] = ()
    excess: Sequence[float | None] = ()
    error: Sequence[float | None] = ()
    best_error: float | None = None
    knob: float


Family = Literal["fit", "refit", "stable"]
"""Networks at a scale: penalised, refit on their support, or of the stable features."""


@dataclass(frozen=True, kw_only=True)
class SelectedRecord(Record):
    """The chosen point of a path: see ``paths.selection.Selected``."""

    scale: float
    family: Family
    why: str


@dataclass(frozen=True, kw_only=True)
class StableSetRecord(Record):
    """The stable features: see ``features.StableSet``; None: infinite, or not written yet."""

    names: Sequence[str]
    scale: float
    threshold: float
    used: float
    expected: float | None
    dropped: int = 0
    errors: float | None = None


@dataclass(frozen=True, kw_only=True)
class Decisions(Record):
    """All of them: of every run, of a contrast, and of a path.

    ``command``: the line that stands behind the run. ``exact_without``: options without which
    the points would have been solved.
    """

    command: str | None = None
    threads: int | None = None
    finished: bool = False
    choices: dict[str, ChoiceRecord] | None = None
    scales: Sequence[float] | None = None
    bends: Sequence[tuple[float, float]] | None = None
    stack: int | None = None
    stable: StableSetRecord | None = None
    choice: SelectedRecord | None = None
    exact_without: Sequence[str] | None = None
