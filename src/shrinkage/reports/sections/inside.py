"""Sections that look inside the chosen networks of the first seed."""

from collections.abc import Callable, Sequence
from html import escape
from math import prod
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrinkage.lesson.estimates import mean
from shrinkage.reports.claims.steps import moves, zeros_under_l2
from shrinkage.reports.claims.survival import SLOPES, slopes
from shrinkage.reports.facts import Facts, ReadFit, WeightMeasure, weight
from shrinkage.reports.figures import ZERO, Dots, bars, dots, pixels, row_bars
from shrinkage.reports.first_layer import FirstLayer
from shrinkage.reports.sections.base import Plot, Section, paint, penalised
from shrinkage.reports.wording import strength
from shrinkage.runs import ActivityRecord, FitRecord, RemovalRecord, WorthRecord
from shrinkage.runs.knobs import knob

_MOST_COLUMNS = 30
_FLOOR = 1e-3  # of the middle one of the penalty's slopes
_RATIOS = (-5.0, 20.0)
_LEAST = 1e-8  # of the largest weight


def _compared(facts: Facts) -> list[str]:
    """None and the columns under L1 or L2."""
    return [n for n in (facts.base, *facts.textbook) if n is not None]


def activations(facts: Facts) -> Section:
    """Activity per layer."""
    traces = {name: facts.trace(name) for name in _compared(facts)}
    known = {name: trace.activity for name, trace in traces.items() if trace is not None}
    plots = []
    if known:
        layers = [a.name for a in next(iter(known.values()))]
        strongest = "Share of the strongest filter or neuron per layer"
        for read, y, caption in (
            (_mean_abs, "mean |activation|", _MEAN_ABS),
            (_strongest_share, "share", strongest),
        ):
            values = {
                facts.label(name): (paint(facts, name), _by_layer(activity, layers, read))
                for name, activity in known.items()
            }
            plots.append(Plot(caption, bars(layers, values, y=y, percent=y == "share")))
    return Section("activations", "Activations", ("activations", "overpowering"), plots)


_MEAN_ABS = "Mean |activation| per layer, before its nonlinearity"


def _mean_abs(layer: ActivityRecord) -> float | None:
    return layer.mean_abs


def _strongest_share(layer: ActivityRecord) -> float | None:
    return layer.strongest_share


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
    shown = [n for n in (*_compared(facts), *penalised(facts)) if facts.chosen(n) is not None]
    shown = list(dict.fromkeys(shown))
    layers = _layers(facts, shown)
    if layers:
        values: dict[str, tuple[str, list[float | None]]] = {
            facts.label(name): (
                paint(facts, name),
                [facts.mean(name, _zeros_of(layer)) for layer in layers],
            )
            for name in shown
        }
        plots.append(
            Plot(
                "Share of exact zeros per parameter", bars(layers, values, y="zeros", percent=True)
            )
        )
    plots += [*_against_nonzeros(facts), *_selected(facts)]
    told = [text for name in facts.with_penalty("L2") if (text := zeros_under_l2(facts, name))]
    notes = "".join(f'<p class="note">{escape(text)}.</p>' for text in told)
    return Section("zeros", "Exact zeros and selection", ("selection", "pruning"), plots, notes)


def _layers(facts: Facts, names: list[str]) -> list[str]:
    for name in names:
        for fit in facts.of_try(name, facts.chosen(name) or 0):
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
    clouds = []
    for name in names:
        counts = facts.along(name, weight("nonzeros"))
        scores = dict(facts.along(name, facts.held_score))
        rows = [(mean(v.values()), mean(scores[k].values()), k) for k, v in counts if k in scores]
        rows = [row for row in rows if row[0]]
        symbol = knob(facts.columns[name].knob).before
        if rows:
            clouds.append(
                Dots(
                    facts.label(name),
                    paint(facts, name),
                    [x for x, _, _ in rows],
                    [y for _, y, _ in rows],
                    [symbol + strength(k) for _, _, k in rows],
                    joined=name not in cut,
                    open_=name in cut,
                )
            )
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


def _selected(facts: Facts) -> list[Plot]:
    """Pixels or input columns by the weight that leaves them, where the first layer is dense."""
    layer = FirstLayer.of_run(facts.config)
    plots = []
    for name in _compared(facts) if layer is not None and layer.kind != "kernels" else []:
        sums = _input_sums(facts, name, layer)
        if layer is None or sums is None:
            continue
        used = f"{int((sums > 0).sum())} of {len(sums)}"
        if layer.kind == "neurons":
            image = sums.reshape(layer.image).sum(axis=0)
            cells = [[float(v) if v > 0 else None for v in row] for row in image]
            used = f"{int((image > 0).sum())} of {image.size}"
            caption = f"{facts.label(name)}: pixels by Σ|w|, {used} used; empty ones are exactly 0"
            plots.append(Plot(caption, pixels(cells, colour=paint(facts, name))))
        else:
            order = np.argsort(-sums, kind="stable")[:_MOST_COLUMNS]
            names = [layer.columns[k] for k in order if sums[k] > 0]
            values = [float(sums[k]) for k in order if sums[k] > 0]
            caption = f"{facts.label(name)}: input columns by Σ|w|, {used} used"
            plots.append(
                Plot(caption, row_bars(names, values, colour=paint(facts, name), x="Σ|w|"))
            )
    return plots


def _input_sums(facts: Facts, name: str, layer: FirstLayer | None) -> NDArray[Any] | None:
    tensors = facts.view.weights_left(f"{name}/{facts.chosen(name)}/0")
    if tensors is None or layer is None or layer.path not in tensors:
        return None
    found: NDArray[Any] = tensors[layer.path].float().abs().sum(dim=0).numpy()
    return found if found.shape == (prod(layer.image),) else None


def concentration(facts: Facts) -> Section:
    """Concentration, and the score without the largest weights."""
    plots = []
    names = [n for n in (*_compared(facts), *penalised(facts)) if facts.chosen(n) is not None]
    names = list(dict.fromkeys(names))
    measures: dict[str, WeightMeasure] = {
        "largest 1 %": "top1",
        "largest 10 %": "top10",
        "Gini index": "gini",
    }
    if names:
        values: dict[str, tuple[str, list[float | None]]] = {
            facts.label(name): (
                paint(facts, name),
                [facts.mean(name, weight(key)) for key in measures.values()],
            )
            for name in names
        }
        plots.append(
            Plot(
                "Share of Σ|w| in the largest 1 % and 10 % of all weights, and the Gini index",
                bars(list(measures), values, y="share", percent=True),
            )
        )
    without = {name: _without(facts, name) for name in names}
    known = {name: row for name, row in without.items() if row is not None}
    if known:
        plots.append(
            Plot(
                f"Test {facts.score} whole, and without the largest 1 % and 10 % of the weights "
                "left (first seed)",
                bars(
                    ["whole", "without 1 %", "without 10 %"],
                    {facts.label(n): (paint(facts, n), row) for n, row in known.items()},
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


def survival(facts: Facts) -> Section:
    """Slopes of the loss at the weights, and what setting one to zero costs and saves."""
    plots = []
    for name in facts.with_penalty(*SLOPES):
        trace = facts.trace(name)
        if trace is None or trace.worth is None or not slopes(facts, name, trace.worth):
            continue
        plots.append(_slopes(facts, name, trace.worth))
        plots.append(_removals(facts, name, trace.worth.survivors))
    note = (
        '<p class="note">Left: at rest the slope of the loss is that of the penalty, λ (L1) or '
        "2λ|w| (L2), at every weight left, and at most λ at L1's zeros. Right: above the line a "
        "weight is worth what it costs.</p>"
        if plots
        else ""
    )
    return Section(
        "survival", "What a weight must be worth", ("survival",), plots, note, pairs=True
    )


def _slopes(facts: Facts, name: str, worth: WorthRecord) -> Plot:
    """Slope of the loss against size, both logarithmic; exact zeros at the left edge."""
    whole = slopes(facts, name, worth)
    known = [row for row in whole if not _is_tiny(row[0], whole)]
    floor = _FLOOR * median([d for _, _, d in known if d] or [1.0])  # L2 demands 0 of its zeros
    rows = [(w, max(g, floor), d) for w, g, d in known]
    below = sum(g < floor for _, g, _ in known)
    alive, zeros = [row for row in rows if row[0]], [row for row in rows if not row[0]]
    top = max((w for w, _, _ in alive), default=1.0)
    edge = min((w for w, _, _ in alive), default=top) / 3
    clouds = [
        Dots("weights left", paint(facts, name), [w for w, _, _ in alive],
             [g for _, g, _ in alive]),
    ]  # fmt: skip
    if zeros:
        label = "exact zeros, at the left edge"
        clouds.append(Dots(label, ZERO, [edge] * len(zeros), [g for _, g, _ in zeros]))
    path = sorted({(w or edge, d) for w, _, d in rows if d >= floor})
    line = (
        SLOPES[facts.columns[name].penalty or ""],
        [w for w, _ in path],
        [d for _, d in path],
    )
    made = dots(clouds, x="|w|", y="|∂loss/∂w|", expected=[line], log_x=True, log_y=True)
    caption = (
        f"{facts.label(name)}, λ = {strength(facts.knob(name))}: slope of the loss against |w|"
    )
    notes = [f"{below} below the scale are drawn at its end"] if below else []
    notes += _left_out(len(whole) - len(known))
    return Plot(caption + _shown(worth, len(alive), len(zeros), notes), made)


def _is_tiny(size: float, rows: Sequence[tuple[float, ...]]) -> bool:
    """Whether a logarithmic axis has no room for a weight beside the largest of the rows."""
    return 0 < size < _LEAST * max(row[0] for row in rows)


def _left_out(count: int) -> list[str]:
    """That weights are too small for the axis."""
    return [f"{count} below 10⁻⁸ of the largest are left out"] if count else []


def _shown(worth: WorthRecord, alive: int, zeros: int, notes: list[str]) -> str:
    """How many of how many are drawn; runs that did not count all say nothing."""
    whole = worth.of
    parts = list(notes)
    if whole is not None:
        counts = [f"{alive:,} of {whole.survivors:,} weights left"]
        counts += [f"{zeros:,} of {whole.zeros:,} zeros"] if whole.zeros else []
        parts.insert(0, " and ".join(counts))
    return f" ({'; '.join(parts)})" if parts else ""


def _removals(facts: Facts, name: str, survivors: Sequence[RemovalRecord]) -> Plot:
    """Rise in loss per penalty saved, against size."""
    rows = [
        (abs(s.w), s.rise / s.saved)
        for s in survivors
        if s.w is not None and s.rise is not None and s.saved is not None and s.saved > 0
    ]
    known = [row for row in rows if not _is_tiny(row[0], rows)]
    shown = [(w, min(max(ratio, _RATIOS[0]), _RATIOS[1])) for w, ratio in known]
    cut = sum(row not in shown for row in known)
    cloud = Dots(
        "a weight set to zero",
        paint(facts, name),
        [w for w, _ in shown],
        [ratio for _, ratio in shown],
        [f"rise / saved = {ratio:.3g}" for _, ratio in known],
    )
    ends = [min((w for w, _ in known), default=0.1), max((w for w, _ in known), default=1.0)]
    made = dots(
        [cloud],
        x="|w|",
        y="rise in loss / penalty saved",
        expected=[("equal", ends, [1.0, 1.0])],
        log_x=True,
    )
    notes = [f"{cut} beyond the scale are drawn at its end"] if cut else []
    notes += _left_out(len(rows) - len(known))
    return Plot("; ".join([f"{facts.label(name)}: rise in loss per penalty saved", *notes]), made)
