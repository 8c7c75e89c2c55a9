"""Which point of a run is to be compacted, and what its network and data were."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor

from shrinkage.errors import RunError, did_you_mean
from shrinkage.runs import Family, RunView
from shrinkage.runs.chains import weights_key

_PREFERRED = ("group_l1", "l1")


@dataclass(frozen=True, eq=False)
class ChosenNetwork:
    """A fitted network of a run: its weights, what it is called, and which split it saw."""

    label: str
    column: str
    seed: int
    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class Point:
    """A point of a path: its scale, and which of its networks ("fit", "refit", "stable")."""

    scale: float
    family: Family


OfCommand = Callable[[RunView, str | None, int, Point | None], ChosenNetwork]


def chosen(
    view: RunView, column: str | None = None, seed: int = 0, point: Point | None = None
) -> ChosenNetwork:
    """The network that a run has chosen; of a contrast that of ``column`` (group L1 or L1).

    ``point``: of a path instead of the one it has chosen.

    Raises :class:`RunError` for a run that is not finished, of a kind without a reader, and for
    columns and seeds that it does not have.
    """
    kind = str(view.command)
    if kind not in READERS:
        raise RunError(
            "no network can be taken from this run",
            got=f"a run of {kind!r}",
            expected=f"a run of {' or '.join(READERS)}",
            remedy="In Python: sh.compact(model, example_inputs).",
        )
    return READERS[kind](view, column, seed, point)


def _of_contrast(
    view: RunView, column: str | None, seed: int, point: Point | None
) -> ChosenNetwork:
    if point is not None:
        raise RunError(
            "the run has no points to choose from",
            got=f"a point at scale {point.scale:.3g} of a contrast",
            expected="a run of a path",
            remedy="Name a --column.",
        )
    choices, seeds = view.decided.choices or {}, view.study.seeds
    if column is None:
        column = next((name for name in _PREFERRED if name in choices), None)
    if column not in choices or seed not in range(seeds):
        raise RunError(
            "the run has no such network",
            got=f"column {column!r}, seed {seed}",
            expected=f"one of {', '.join(choices) or '(no column has been chosen yet)'}; seeds "
            f"below {seeds}",
            remedy=did_you_mean(str(column), choices)
            + "Finish the run with the command it was begun with, or name a --column.",
        )
    choice = choices[column]
    stored = f"{column}/{choice.index}/{seed}"
    labels = {known.name: known.label for known in view.contrast.columns}
    label = f"{labels[column]}, {choice.knob:g}, seed {seed}"
    return ChosenNetwork(label, column, seed, view.weights(stored))


def _of_path(view: RunView, column: str | None, seed: int, point: Point | None) -> ChosenNetwork:
    choice = view.decided.choice
    if column is not None:
        raise RunError(
            "a path has no columns",
            got=f"column {column!r}",
            expected="a contrast, or no column",
            remedy="Leave --column out: the chosen point is taken.",
        )
    if choice is None or seed not in range(view.study.seeds):
        raise RunError(
            "the run has no such network",
            got=f"seed {seed}" + ("" if choice else ", and no choice yet"),
            expected=f"a path that has chosen a point; seeds below {view.study.seeds}",
            remedy="Take another --seed."
            if choice
            else "Finish the run with the command it was begun with.",
        )
    at = Point(choice.scale, choice.family) if point is None else point
    label = f"scale {at.scale:.3g}, {at.family}, seed {seed}"
    name = "path" if point is None else f"path-{at.scale:.10g}-{at.family}"
    weights = view.weights(weights_key(view, at.family, seed, at.scale))
    return ChosenNetwork(label, name, seed, weights)


READERS: Mapping[str, OfCommand] = MappingProxyType({"contrast": _of_contrast, "path": _of_path})
"""How each kind of run says which network it has chosen."""


def words(view: RunView) -> dict[str, str]:
    """Data, model and options as they stood in the command line behind a run; by name.

    >>> from pathlib import Path
    >>> words(RunView(Path(), {}, {"command": "shrinkage contrast a.csv --target y"}, ()))
    {'data': 'a.csv', 'target': 'y'}
    """
    known = shlex.split(view.decided.command or "")[2:]
    found: dict[str, str] = {}
    for at, word in enumerate(known):
        name, _, value = word.removeprefix("--").partition("=")
        if word.startswith("--"):
            found[name] = value or (known[at + 1] if at + 1 < len(known) else "")
        elif at == 0:
            found["data"] = word
    return found
