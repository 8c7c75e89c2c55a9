"""The tables that a contrast ends with in the terminal."""

from collections.abc import Callable, Sequence

from rich.console import Group
from rich.table import Table

from shrinkage.reports.equal import HEAD, MEANING, TITLE, at_equal_strength
from shrinkage.reports.plain import empty_table, plain
from shrinkage.reports.seed_figures import Figure
from shrinkage.reports.summary import ColumnSummary, column_summaries, edges, idle, idle_text
from shrinkage.reports.words import spread
from shrinkage.runs import RunView
from shrinkage.runs.knobs import knob

Cell = Callable[[ColumnSummary], Figure | None]


def table(view: RunView) -> Group:
    """What each column learnt, and what it did to the weights; one line per column."""
    rows = column_summaries(view)
    study = view.study
    over = f"mean ± sd over {study.seeds} seeds" if study.seeds > 1 else "one seed"
    title = f"{study.data.name}, {study.model.name}, {over}"
    learnt = _table(title, "chosen", *_learnt_heads(rows))
    shrunk = _table(
        "weights", "exact zeros", "‖w‖₂", "max|w|", "top 10 %", "penalty", "dead units",
        "inputs used"
    )  # fmt: skip
    for row in rows:
        if row.fits:
            learnt.add_row(row.label, *(cell(row) for cell in _LEARNT))
            shrunk.add_row(row.label, *(cell(row) for cell in _SHRUNK))
        else:
            learnt.add_row(row.label, (row.failed or "not run yet").partition(":")[0])
    equal, notes = _at_equal_strength(view), remarks(view, rows)
    notes += [MEANING] if equal else []
    return Group(learnt, "", shrunk, *equal, *(["", *notes] if notes else []))


def _at_equal_strength(view: RunView) -> list[Table | str]:
    """Both forms of L1 beside each other, where a contrast has both."""
    found = at_equal_strength(view)
    beside = _table(*HEAD)
    for row in found:
        beside.add_row(*row.cells)
    return ["", TITLE, beside] if found else []


def _learnt_heads(rows: Sequence[ColumnSummary]) -> tuple[str, ...]:
    held = "test" if any(row.held_out == "test" for row in rows) else "validation"
    score = next((row.score_name for row in rows if row.score_name), "score")
    return f"train {score}", f"{held} {score}", f"{held} loss", "gap in loss", "KKT gap"


def remarks(view: RunView, rows: Sequence[ColumnSummary]) -> list[str]:
    """What a reader of the table should know: what lr× means, choices at the edge of the grid."""
    notes = _about_rates(rows, own=view.study.training.name is not None)
    for where, labels in edges(view).items():
        further = "smaller" if where == "smallest" else "larger"
        notes.append(
            f"{', '.join(labels)}: the {where} λ tried was chosen; {further} ones may be better "
            "(--strengths)."
        )
    if any(row.stationary_gap is not None for row in rows):
        notes.append(
            "KKT gap: how far from stationary, the largest distance of −∂loss/∂w to the penalty's "
            "slopes, in units of λ (L2: of the largest |∂loss/∂w|), on the training data in eval "
            "mode. Of plain gradients; the kink-aware gap is in the report."
        )
    return notes + [idle_text(row) for row in idle(rows)]


def _about_rates(rows: Sequence[ColumnSummary], *, own: bool) -> list[str]:
    """What lr× means, where a column has it, and where none chose another rate than the others."""
    notes = []
    where = "with that rate in your training function" if own else "with --lr at that rate"
    if any(row.fits and row.knob == "learning rate" for row in rows):
        notes.append(
            "lr×: columns without a strength try learning rates instead; all others use lr×1."
        )
    return notes + [
        f"none validated best at {knob_text(row)}, which columns with a strength could not choose: "
        f"compare again {where} before you believe small differences."
        for row in rows
        if row.fits and row.name == "none" and row.chosen and row.value != 1
    ]


def table_text(view: RunView, width: int = 120) -> str:
    """The tables as plain text."""
    return plain(table(view), width)


def knob_text(row: ColumnSummary) -> str:
    """The chosen knob in the field's notation: λ, learning-rate factor or dropout p."""
    if row.value is None:
        return "—"
    return f"{knob(row.knob).brief.replace(' ', '')}{row.value:g}"


def _table(first: str, *heads: str) -> Table:
    result = empty_table()
    result.add_column(first, overflow="fold")  # names give way to figures, which are never cut
    for head in heads:
        result.add_column(head, justify="left" if head == "chosen" else "right", no_wrap=True)
    return result


def _score(read: Cell) -> Callable[[ColumnSummary], str]:
    return lambda row: (_share if row.score_name == "accuracy" else spread)(read(row))


def _percent(read: Cell) -> Callable[[ColumnSummary], str]:
    return lambda row: _share(read(row))


def _share(figure: Figure | None) -> str:
    if figure is None:
        return "—"
    sd = "" if figure.sd is None else f" ± {100 * figure.sd:.1f}"
    return f"{100 * figure.mean:.1f}{sd} %"


def _number(read: Cell, digits: int = 3) -> Callable[[ColumnSummary], str]:
    return lambda row: spread(read(row), digits)


def _of(figure: Figure | None, whole: int | None) -> str:
    return "—" if figure is None else f"{figure.mean:.0f} of {whole}"


_LEARNT = (
    knob_text,
    _score(lambda row: row.train_score),
    _score(lambda row: row.held_out_score),
    _number(lambda row: row.held_out_loss),
    _number(lambda row: row.gap),
    _number(lambda row: row.stationary_gap, 2),
)
_SHRUNK: tuple[Callable[[ColumnSummary], str], ...] = (
    _percent(lambda row: row.zeros),
    _number(lambda row: row.l2),
    _number(lambda row: row.max_abs),
    _percent(lambda row: row.top10),
    _number(lambda row: row.penalty),
    lambda row: _of(row.units_dead, row.units),
    lambda row: _of(row.inputs_used, row.inputs),
)
