"""Sections that look inside the chosen networks of the first seed."""

from collections.abc import Callable, Sequence
from html import escape
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrinkage.lesson.estimates import mean
from shrinkage.reports.claims.steps import moves, zeros_under_l2
from shrinkage.reports.facts import Facts, ReadFit, WeightMeasure, weight
from shrinkage.reports.figures import Dots, bars, dots, pixels, row_bars
from shrinkage.reports.first_layer import FirstLayer
from shrinkage.reports.sections.base import Plot, Section, bar_groups, paint, penalised
from shrinkage.reports.summary import fits_of
from shrinkage.reports.words import strength
from shrinkage.runs import ActivityRecord, FitRecord
from shrinkage.runs.knobs import knob

_MOST_COLUMNS = 30


def _compared(facts: Facts) -> list[str]:
    """None and the columns under L1 or L2."""
    return [n for n in (facts.base, *facts.textbook) if n is not None]


def _fitted(facts: Facts) -> list[str]:
    """The same, and then the other columns with a λ."""
    return list(dict.fromkeys((*_compared(facts), *penalised(facts))))


def activations(facts: Facts) -> Section:
    """Activity per layer."""
    traces = {name: facts.trace(name) for name in _compared(facts)}
    known = {name: trace.activity for name, trace in traces.items() if trace is not None}
    plots = []
    if known:
        layers = [a.name for a in next(iter(known.values()))]
        levels = "Mean |activation| per layer, before its nonlinearity"
        strongest = "Share of the strongest filter or neuron per layer"
        for read, y, caption in (
            (lambda layer: layer.mean_abs, "mean |activation|", levels),
            (lambda layer: layer.strongest_share, "share", strongest),
        ):
            values = {name: _by_layer(each, layers, read) for name, each in known.items()}
            made = bars(layers, bar_groups(facts, values), y=y, percent=y == "share")
            plots.append(Plot(caption, made))
    return Section("activations", "Activations", ("activations", "overpowering"), plots)


def _by_layer(
    layers: Sequence[ActivityRecord],
    names: list[str],
    read: Callable[[ActivityRecord], float | None],
) -> list[float | None]:
    found = {layer.name: read(layer) for layer in layers}
    return [found.get(name) for name in names]


def steps(facts: Facts) -> Section:
    """What one real step takes from weights of different size."""
    plots = []
    for name in facts.textbook:
        step, rate = facts.step(name), facts.knob(name)
        found = moves(facts, name)
        if step is None or rate is None or found is None:
            continue
        ordered = sorted(w for w in step.after if w is not None)
        span = max(abs(ordered[0]), abs(ordered[-1]))
        line: tuple[str, list[float | None], list[float | None]]
        if facts.columns[name].penalty == "L2":
            line = ("−2λ·w", [-span, span], [2 * rate * span, -2 * rate * span])
        else:
            line = ("−λ·sign(w)", [-span, 0, None, 0, span], [rate, rate, None, -rate, -rate])
        cloud = Dots("measured, a dot per weight", paint(facts, name), step.after, step.delta)
        plots.append(
            Plot(
                f"{facts.label(name)}, λ = {strength(rate)}: Δw per unit of step size against w",
                dots([cloud], x="weight w", y="Δw / step size", expected=[line]),
            )
        )
    return Section(
        "steps",
        "One step: a constant amount, or a proportion",
        ("constant_step", "proportional_step"),
        plots,
    )


def zeros(facts: Facts) -> Section:
    """Exact zeros per layer, what is selected, and accuracy against nonzeros."""
    plots = []
    shown = _fitted(facts)
    layers = _layers(facts, shown)
    if layers:
        values = {name: [facts.mean(name, _zeros_of(layer)) for layer in layers] for name in shown}
        made = bars(layers, bar_groups(facts, values), y="zeros", percent=True)
        plots.append(Plot("Share of exact zeros per parameter", made))
    plots += [*_against_nonzeros(facts), *_selected(facts)]
    told = [text for name in facts.with_penalty("L2") if (text := zeros_under_l2(facts, name))]
    notes = "".join(f'<p class="note">{escape(text)}.</p>' for text in told)
    return Section("zeros", "Exact zeros and selection", ("selection", "pruning"), plots, notes)


def _layers(facts: Facts, names: list[str]) -> list[str]:
    for name in names:
        for fit in fits_of(facts.view, name, facts.chosen(name) or 0):
            return [layer.name for layer in fit.layers]
    return []


def _zeros_of(layer: str) -> ReadFit:
    def read(fit: FitRecord) -> float | None:
        found = next((part for part in fit.layers if part.name == layer), None)
        return None if found is None or not found.size else found.zeros / found.size

    return read


def _against_nonzeros(facts: Facts) -> list[Plot]:
    cut = {fit.column for fit in facts.fits.values() if fit.keep is not None}
    names = [n for n in facts.names if n in cut or (n in penalised(facts) and n != facts.l2)]
    clouds = [c for name in names if (c := _tries(facts, name, is_cut=name in cut)).x]
    if not clouds:
        return []
    made = dots(
        clouds,
        x="weights that are not zero",
        y=facts.score,
        log_x=True,
        percent_y=facts.score == "accuracy",
    )
    caption = f"{facts.held_out.capitalize()} {facts.score} against weights left, every try"
    return [Plot(caption, made)]


def _tries(facts: Facts, name: str, *, is_cut: bool) -> Dots:
    """Held-out score against the weights left; open dots where weights were cut afterwards."""
    scores = dict(facts.along(name, facts.held_score))
    counts = [
        (k, mean(v), scores[k]) for k, v in facts.along(name, weight("nonzeros")) if k in scores
    ]
    rows = [(knob, left, mean(v)) for knob, left, v in counts if left]
    symbol = knob(facts.columns[name].knob).before
    return Dots(
        facts.label(name),
        paint(facts, name),
        [left for _, left, _ in rows],
        [score for _, _, score in rows],
        [symbol + strength(k) for k, _, _ in rows],
        joined=not is_cut,
        open_=is_cut,
    )


def _selected(facts: Facts) -> list[Plot]:
    """Pixels or input columns by the weight that leaves them, where the first layer is dense."""
    layer = FirstLayer.of_run(facts.config)
    if layer is None or layer.kind == "kernels":
        return []
    draw = _pixels_used if layer.kind == "neurons" else _columns_used
    found = [(name, _input_sums(facts, name, layer)) for name in _compared(facts)]
    return [draw(facts, name, layer, sums) for name, sums in found if sums is not None]


def _pixels_used(facts: Facts, name: str, layer: FirstLayer, sums: NDArray[Any]) -> Plot:
    image = sums.reshape(layer.image).sum(axis=0)
    cells = [[float(v) if v > 0 else None for v in row] for row in image]
    used = f"{int((image > 0).sum())} of {image.size}"
    caption = f"{facts.label(name)}: pixels by Σ|w|, {used} used; empty ones are exactly 0"
    return Plot(caption, pixels(cells, colour=paint(facts, name)))


def _columns_used(facts: Facts, name: str, layer: FirstLayer, sums: NDArray[Any]) -> Plot:
    order = [k for k in np.argsort(-sums, kind="stable")[:_MOST_COLUMNS] if sums[k] > 0]
    names, values = [layer.columns[k] for k in order], [float(sums[k]) for k in order]
    caption = (
        f"{facts.label(name)}: input columns by Σ|w|, {int((sums > 0).sum())} of {len(sums)} used"
    )
    return Plot(caption, row_bars(names, values, colour=paint(facts, name), x="Σ|w|"))


def _input_sums(facts: Facts, name: str, layer: FirstLayer) -> NDArray[Any] | None:
    tensors = facts.view.weights_left(f"{name}/{facts.chosen(name)}/0")
    if tensors is None or layer.path not in tensors:
        return None
    found: NDArray[Any] = tensors[layer.path].float().abs().sum(dim=0).numpy()
    return found if found.shape == (prod(layer.image),) else None


def concentration(facts: Facts) -> Section:
    """Concentration, and the score without the largest weights."""
    plots = []
    names = _fitted(facts)
    measures: dict[str, WeightMeasure] = {
        "largest 1 %": "top1", "largest 10 %": "top10", "Gini index": "gini"
    }  # fmt: skip
    if names:
        values = {n: [facts.mean(n, weight(key)) for key in measures.values()] for n in names}
        caption = "Share of Σ|w| in the largest 1 % and 10 % of all weights, and the Gini index"
        made = bars(list(measures), bar_groups(facts, values), y="share", percent=True)
        plots.append(Plot(caption, made))
    without = {name: _without(facts, name) for name in names}
    known = {name: row for name, row in without.items() if row is not None}
    if known:
        plots.append(
            Plot(
                f"Test {facts.score} whole, and without the largest 1 % and 10 % of the weights "
                "left (first seed)",
                bars(
                    ["whole", "without 1 %", "without 10 %"],
                    bar_groups(facts, known),
                    y=facts.score,
                    percent=facts.score == "accuracy",
                ),
            )
        )
    return Section("concentration", "Few connections carry the network", ("concentration",), plots)


def _without(facts: Facts, name: str) -> list[float | None] | None:
    trace = facts.trace(name)
    if trace is None or not trace.history.test_score:
        return None
    removed = trace.without_top
    return [trace.history.test_score[-1], removed.get("0.01"), removed.get("0.1")]
