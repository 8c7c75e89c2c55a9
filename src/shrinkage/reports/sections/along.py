"""Sections that follow the strength λ: cost, sizes, overfitting, the exchange rate."""

from collections.abc import Sequence

from shrinkage.lesson.estimates import mean
from shrinkage.reports.claims.sizes import penalty_sum
from shrinkage.reports.facts import Facts, ReadFit, WeightMeasure, train_loss, weight
from shrinkage.reports.figures import (
    LOSS,
    PENALTY,
    Dots,
    Line,
    curves,
    differences,
    dots,
    lines,
    unzip,
)
from shrinkage.reports.sections.base import Plot, Section, along, paint, penalised, ring
from shrinkage.reports.words import strength


def cost(facts: Facts) -> Section:
    """The two parts of the cost."""
    plots = []
    shares = along(facts, lambda fit: fit.penalty_share, facts.textbook, base=False)
    if shares:
        made = lines(shares, y="share", percent=True)
        plots.append(Plot("Share of the penalty in the cost", made))
    for name in facts.textbook[-2:]:
        parts = [
            _part(facts, name, "loss", LOSS, train_loss),
            _part(facts, name, "penalty", PENALTY, lambda fit: fit.penalty),
        ]
        made = lines(parts, y="part of the cost")
        plots.append(Plot(f"{facts.label(name)}: the two parts", made))
    return Section("cost", "The cost has two parts", ("cost_split", "penalty_share"), plots)


def _part(facts: Facts, name: str, label: str, colour: str, read: ReadFit) -> Line:
    path = facts.along(name, read)
    return Line(label, colour, [k for k, _ in path], [mean(v.values()) for _, v in path])


def sizes(facts: Facts) -> Section:
    """Norms along λ."""
    measures: dict[str, WeightMeasure] = {"Σ|w|": "l1", "‖w‖₂": "l2", "max|w|": "max_abs"}
    plots = [
        Plot(f"{symbol} of the penalised weights", lines(series, y=symbol))
        for symbol, key in measures.items()
        if (series := along(facts, weight(key), facts.textbook))
    ]
    return Section("sizes", "Weights get smaller", ("smaller",), plots)


def overfitting(facts: Facts) -> Section:
    """The gap, held-out loss and score along λ, and training histories."""
    part, plots = facts.held_out, []
    names = facts.textbook or penalised(facts)
    gaps = along(facts, facts.gap, names)
    if gaps:
        series, percent = along(facts, facts.held_score, names), facts.score == "accuracy"
        scores = lines(series, y=facts.score, percent=percent)
        scores.update_layout(yaxis_rangemode="normal")
        plots = [
            Plot(f"Gap: {part} loss minus training loss", lines(gaps, y="gap")),
            Plot(f"{part.capitalize()} {facts.score}", scores),
        ]
    against = [line for name in names if (line := _against(facts, name)).x]
    if against:
        top = _top(facts)
        bars = ", 95 % intervals" if facts.seeds > 1 else " (one seed: no uncertainty)"
        plots.insert(
            1,
            Plot(
                f"{part.capitalize()} loss minus that of none, paired by seed{bars}; "
                f"below the line is better{'; the largest lie outside' if top else ''}",
                differences(against, y="difference", top=top),
            ),
        )
    return Section("overfitting", "Overfitting", ("overfitting",), [*plots, *_histories(facts)])


def _top(facts: Facts) -> float | None:
    """An upper end for the differences, where a few tries are far worse than all the choices."""
    found = [
        (index == facts.chosen(name), d)
        for name in facts.textbook or penalised(facts)
        for index in range(len(facts.columns[name].knobs))
        if (d := facts.against_base(name, facts.held_loss, index)) is not None
    ]
    usual = max((abs(d.mean) + (d.half_width or 0) for chosen, d in found if chosen), default=0.0)
    largest = max((d.mean for _, d in found), default=0.0)
    return 5 * usual if 0 < 8 * usual < largest else None


def _against(facts: Facts, name: str) -> Line:
    found = [
        (knob, facts.against_base(name, facts.held_loss, index))
        for index, knob in enumerate(facts.columns[name].knobs)
    ]
    knobs, known = unzip((knob, d) for knob, d in found if d is not None)
    return Line(
        facts.label(name),
        paint(facts, name),
        knobs,
        [d.mean for d in known],
        error=[d.half_width for d in known],
        chosen=ring(facts, name, knobs),
    )


def _histories(facts: Facts) -> list[Plot]:
    """Training and held-out loss of the first seed's networks, on one scale."""
    names = [facts.base, facts.exact_l1, facts.l2]
    found = [(n, h) for n in names if n is not None and (h := _history(facts, n)) is not None]
    starts, ends = ([_larger(h, at) for _, h in found] for at in (0, -1))
    top = min(1.05 * max(starts), 3.0 * max(ends)) if found and max(ends) > 0 else None
    return [
        Plot(
            f"{facts.label(name)}: training and {part} loss, first seed",
            curves(epochs, train, held, colour=paint(facts, name), held_name=part, top=top),
        )
        for name, (epochs, train, held, part) in found
    ]


Losses = Sequence[float | None]
History = tuple[Sequence[float], Losses, Losses, str]


def _larger(history: History, at: int) -> float:
    """The larger of both losses at one end."""
    _, train, held, _ = history
    return max(train[at] or 0, held[at] or 0)


def _history(facts: Facts, name: str) -> History | None:
    trace = facts.trace(name)
    if trace is not None and trace.history.test_loss:
        seen = trace.history
        return seen.epoch, seen.train_loss, trace.history.test_loss, "test"
    fit = facts.fits.get(f"{name}/{facts.chosen(name)}/0")
    if fit is None or not fit.history.epoch:
        return None
    seen = fit.history
    return seen.epoch, seen.train_loss, seen.validation_loss or (), "validation"


def exchange(facts: Facts) -> Section:
    """Loss against the sum over the weights, over all strengths."""
    plots = []
    for symbol in ("Σ|w|", "Σw²"):
        names = [name for name in facts.textbook if penalty_sum(facts, name)[0] == symbol]
        clouds = [cloud for name in names if (cloud := _trade(facts, name)).x]
        if clouds:
            caption = f"Training loss against {symbol}; along a line λ grows to the left"
            plots.append(Plot(caption, dots(clouds, x=symbol, y="training loss")))
    return Section("exchange", "λ is an exchange rate", ("compromise",), plots)


def _trade(facts: Facts, name: str) -> Dots:
    _, read = penalty_sum(facts, name)
    sizes, losses = facts.along(name, read), dict(facts.along(name, train_loss))
    rows = [(k, mean(v.values()), mean(losses[k].values())) for k, v in sizes if k in losses]
    knobs = [k for k, _, _ in rows]
    return Dots(
        facts.label(name),
        paint(facts, name),
        [x for _, x, _ in rows],
        [y for _, _, y in rows],
        [f"λ = {strength(k)}" for k in knobs],
        joined=True,
        chosen=ring(facts, name, knobs),
    )
