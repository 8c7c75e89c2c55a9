"""What a section is, and the lines that most of its figures draw."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from shrinkage.lesson.estimates import mean
from shrinkage.reports.facts import Facts, ReadFit
from shrinkage.reports.figures import Line, colour
from shrinkage.runs import ParameterConfig


@dataclass(frozen=True)
class Plot:
    """A figure with its caption."""

    caption: str
    figure: Any

    @property
    def tall(self) -> bool:
        """Whether the figure has a height of its own."""
        return self.figure.layout.height is not None


@dataclass(frozen=True)
class Section:
    """A heading, the claims it judges, figures (``pairs``: two in a row), ready-made HTML.

    ``html`` stands above the figures, ``below`` under them.
    """

    id: str
    title: str
    claims: tuple[str, ...] = ()
    plots: list[Plot] = field(default_factory=list)
    html: str = ""
    pairs: bool = False
    below: str = ""


def paint(facts: Facts, name: str) -> str:
    """The colour of a column."""
    return colour(name, facts.names)


def dash(facts: Facts, name: str) -> str:
    """Penalties that act as a loss term are dotted."""
    return "dot" if facts.columns[name].form == "term" else "solid"


def penalised(facts: Facts) -> list[str]:
    """The columns with a λ that have been fit."""
    return [
        name
        for name in facts.names
        if facts.columns[name].knob == "strength" and facts.chosen(name) is not None
    ]


def ring(facts: Facts, name: str, knobs: list[float]) -> int | None:
    """Where the chosen knob stands among these; None while nothing is chosen."""
    chosen = facts.knob(name)
    return knobs.index(chosen) if chosen in knobs and facts.stage != "fitting" else None


def bar_groups(
    facts: Facts, values: Mapping[str, Sequence[float | None]]
) -> dict[str, tuple[str, Sequence[float | None]]]:
    """Values of columns with the label and the colour of each."""
    return {facts.label(name): (paint(facts, name), row) for name, row in values.items()}


def along(facts: Facts, read: ReadFit, names: Iterable[str], *, base: bool = True) -> list[Line]:
    """Means over seeds along λ, and the level of none."""
    series = []
    for name in names:
        path = facts.along(name, read)
        knobs = [knob for knob, _ in path]
        means = [mean(values.values()) for _, values in path]
        label, ring_at = facts.label(name), ring(facts, name, knobs)
        series.append(
            Line(label, paint(facts, name), knobs, means, chosen=ring_at, dash=dash(facts, name))
        )
    if base and facts.base is not None:
        label, level = facts.label(facts.base), facts.mean(facts.base, read)
        series.append(Line(label, paint(facts, facts.base), [0], [level], level=True))
    return [line for line in series if line.x]


def table(
    head: Iterable[str],
    rows: Iterable[Iterable[str]],
    *,
    numbers: bool = True,
    marked: int | None = None,
) -> str:
    """An HTML table that scrolls inside its box; cells are text and are escaped.

    ``marked``: the row that was chosen.
    """
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(_row(list(row), marked=k == marked) for k, row in enumerate(rows))
    kind = "numbers" if numbers else "words"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table class="{kind}">'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: list[str], *, marked: bool) -> str:
    first, *others = cells
    rest = "".join(f"<td>{escape(cell)}</td>" for cell in others)
    kind = ' class="chosen"' if marked else ""
    return f'<tr{kind}><th scope="row">{escape(first)}</th>{rest}</tr>'


def plan_table(plan: Iterable[ParameterConfig]) -> str:
    """Which parameters are penalised, and why."""
    rows = [
        [
            one.name,
            " × ".join(str(n) for n in one.shape) or "1",
            one.role,
            "yes" if one.penalised else "no",
            one.reason,
        ]
        for one in plan
    ]
    head = ("parameter", "shape", "role", "penalised", "why")
    return table(head, rows, numbers=False) if rows else ""
