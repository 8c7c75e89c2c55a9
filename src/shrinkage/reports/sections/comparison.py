"""The plan table, the whole table of the columns, and dropout."""

from shrinkage.lesson.estimates import Difference
from shrinkage.reports.facts import Facts
from shrinkage.reports.figures import column_bars
from shrinkage.reports.sections.base import Plot, Section, paint, plan_table, table
from shrinkage.reports.seed_figures import Figure, figure
from shrinkage.reports.summary import ColumnSummary
from shrinkage.reports.table import knob_text
from shrinkage.reports.words import score_spread, signed, spread


def coverage(facts: Facts) -> Section:
    """Which parameters are penalised, and why."""
    html = plan_table(facts.config.plan)
    return Section("coverage", "What is penalised", ("coverage",), [], html)


def comparison(facts: Facts) -> Section:
    """Everything measured about every column, at its own choice."""
    held = facts.held_out
    head = (
        "column", "at", f"train {facts.score}", f"{held} {facts.score}", f"{held} loss",
        "… minus none", "gap", "… minus none", "exact zeros", "weights left", "Σ|w|", "‖w‖₂",
        "max|w|", "largest 10 %", "Gini", "penalty", "dead units", "inputs used"
    )  # fmt: skip
    rows = [_row(facts, row) for row in facts.rows.values()]
    how = (
        f"mean ± standard deviation over {facts.seeds} seeds; differences are paired by seed, "
        "± one standard error"
        if facts.seeds > 1
        else "one seed: no uncertainty"
    )
    choice = (
        "each column at its own choice on validation data"
        if facts.stage != "fitting"
        else "each column at the try with the lowest validation loss so far"
    )
    note = f'<p class="note">{choice.capitalize()}; {how}.</p>'
    return Section("table", "All columns side by side", ("in_different_ways",), [],
                   table(head, rows) + note)  # fmt: skip


def _row(facts: Facts, row: ColumnSummary) -> list[str]:
    name = row.name
    if not row.fits:
        why = " ".join(str(row.failed or "not run yet").split()).partition(":")[0]
        return [row.label, why]
    accuracy = facts.score == "accuracy"
    scores = _percent if accuracy else spread
    return [
        row.label,
        knob_text(row),
        scores(row.train_score),
        scores(figure(facts.values(name, facts.held_score))),
        spread(figure(facts.values(name, facts.held_loss))),
        _versus(facts, name, facts.against_base(name, facts.held_loss)),
        spread(figure(facts.values(name, facts.gap))),
        _versus(facts, name, facts.against_base(name, facts.gap)),
        _percent(row.zeros),
        "—" if row.nonzeros is None else f"{row.nonzeros.mean:,.0f}",
        spread(row.l1),
        spread(row.l2),
        spread(row.max_abs),
        _percent(row.top10),
        spread(row.gini),
        spread(row.penalty),
        _of(row.units_dead, row.units),
        _of(row.inputs_used, row.inputs),
    ]


def _versus(facts: Facts, name: str, found: Difference | None) -> str:
    return "" if name == facts.base else signed(found)


def _percent(figure: Figure | None) -> str:
    return "—" if figure is None else score_spread("accuracy", figure.mean, figure.sd)


def _of(part: Figure | None, whole: int | None) -> str:
    return "—" if part is None else f"{part.mean:,.0f} of {whole:,}"


def dropout(facts: Facts) -> Section:
    """Every column's held-out score and gap, dropout among them."""
    names = [name for name in facts.names if facts.chosen(name) is not None]
    bars = ", ± one standard deviation over seeds" if facts.seeds > 1 else ""
    plots = []
    for words, read in (
        (f"{facts.held_out.capitalize()} loss", facts.held_loss),
        (f"Gap: {facts.held_out} loss minus training loss", facts.gap),
    ):
        rows = [
            (facts.label(name), paint(facts, name), found.mean, found.sd)
            for name in names
            if (found := figure(facts.values(name, read))) is not None
        ]
        if rows:
            caption = f"{words} at each column's choice{bars}"
            plots.append(Plot(caption, column_bars(rows, x="")))
    return Section("dropout", "The next tool: dropout", ("dropout",), plots)
