"""Whether the weights left are worth what they cost, in the chosen networks of the first seed."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import TypeVar

from shrinkage.reports.claims.survival import SLOPES, Slope, slopes
from shrinkage.reports.facts import Facts
from shrinkage.reports.figures import ZERO, Dots, dots, unzip
from shrinkage.reports.sections.base import Plot, Section, paint
from shrinkage.reports.words import strength
from shrinkage.runs import RemovalRecord, WorthRecord

R = TypeVar("R", Slope, tuple[float, float])
_FLOOR = 1e-3  # of the middle one of the penalty's slopes
_RATIOS = (-5.0, 20.0)
_LEAST = 1e-8  # of the largest weight
_NOTE = (
    '<p class="note">Left: at rest the slope of the loss is that of the penalty, λ (L1) or '
    "2λ|w| (L2), at every weight left, and at most λ at L1's zeros. Right: above the line a "
    "weight is worth what it costs.</p>"
)


def survival(facts: Facts) -> Section:
    """Slopes of the loss at the weights, and what setting one to zero costs and saves."""
    plots = []
    for name in facts.with_penalty(*SLOPES):
        trace = facts.trace(name)
        if trace is None or trace.worth is None or not slopes(facts, name, trace.worth):
            continue
        plots.append(_slopes(facts, name, trace.worth))
        plots.append(_removals(facts, name, trace.worth.survivors))
    title, note = "What a weight must be worth", _NOTE if plots else ""
    return Section("survival", title, ("survival",), plots, note, pairs=True)


def _slopes(facts: Facts, name: str, worth: WorthRecord) -> Plot:
    """Slope of the loss against size, both logarithmic; exact zeros at the left edge."""
    whole = slopes(facts, name, worth)
    known = _drawable(whole)
    floor = _floor(known)
    rows = [(w, max(g, floor), d) for w, g, d in known]
    sizes, alive = unzip((w, g) for w, g, _ in rows if w)
    zeros = [g for w, g, _ in rows if not w]
    edge = min(sizes, default=1.0) / 3
    clouds = [Dots("weights left", paint(facts, name), sizes, alive)]
    if zeros:
        clouds.append(Dots("exact zeros, at the left edge", ZERO, [edge] * len(zeros), zeros))
    line = (SLOPES[facts.columns[name].penalty or ""], *_demanded(rows, edge, floor))
    made = dots(clouds, x="|w|", y="|∂loss/∂w|", expected=[line], log_x=True, log_y=True)
    caption = (
        f"{facts.label(name)}, λ = {strength(facts.knob(name))}: slope of the loss against |w|"
    )
    below = sum(slope < floor for _, slope, _ in known)
    notes = [*_counted(below, "below the scale are drawn at its end"), *_left_out(whole, known)]
    return Plot(caption + _shown(worth, len(alive), len(zeros), notes), made)


def _floor(rows: Sequence[Slope]) -> float:
    """The smallest slope that is drawn."""
    return _FLOOR * median([d for _, _, d in rows if d] or [1.0])  # L2 demands 0 of its zeros


def _demanded(rows: Sequence[Slope], edge: float, floor: float) -> tuple[list[float], list[float]]:
    """The penalty's slope along the sizes, as far as the axis reaches."""
    return unzip(sorted({(w or edge, d) for w, _, d in rows if d >= floor}))


def _drawable(rows: Sequence[R]) -> list[R]:
    """Rows whose weights a logarithmic axis has room for beside the largest; zeros stay."""
    least = _LEAST * max((row[0] for row in rows), default=0.0)
    return [row for row in rows if not 0 < row[0] < least]


def _counted(count: int, what: str) -> list[str]:
    """How many weights are not drawn where they are; nothing of none."""
    return [f"{count} {what}"] if count else []


def _left_out(whole: Sequence[R], known: Sequence[R]) -> list[str]:
    return _counted(len(whole) - len(known), "below 10⁻⁸ of the largest are left out")


def _shown(worth: WorthRecord, alive: int, zeros: int, notes: list[str]) -> str:
    """How many of how many are drawn; runs that did not count all say nothing."""
    whole = worth.of
    parts = list(notes)
    if whole is not None:
        counts = [f"{alive:,} of {whole.survivors:,} weights left"]
        counts += [f"{zeros:,} of {whole.zeros:,} zeros"] if whole.zeros else []
        parts.insert(0, " and ".join(counts))
    return f" ({'; '.join(parts)})" if parts else ""


def _removals(facts: Facts, name: str, survivors: Iterable[RemovalRecord]) -> Plot:
    """Rise in loss per penalty saved, against size."""
    rows = _ratios(survivors)
    known = _drawable(rows)
    sizes, ratios = unzip(known)
    low, high = _RATIOS
    shown = [min(max(ratio, low), high) for ratio in ratios]
    cloud = Dots(
        "a weight set to zero",
        paint(facts, name),
        sizes,
        shown,
        [f"rise / saved = {ratio:.3g}" for ratio in ratios],
    )
    ends = [min(sizes, default=0.1), max(sizes, default=1.0)]
    made = dots(
        [cloud],
        x="|w|",
        y="rise in loss / penalty saved",
        expected=[("equal", ends, [1.0, 1.0])],
        log_x=True,
    )
    cut = sum(not low <= ratio <= high for ratio in ratios)
    notes = [*_counted(cut, "beyond the scale are drawn at its end"), *_left_out(rows, known)]
    return Plot("; ".join([f"{facts.label(name)}: rise in loss per penalty saved", *notes]), made)


def _ratios(survivors: Iterable[RemovalRecord]) -> list[tuple[float, float]]:
    """Size, and rise in loss per penalty saved, of every weight that was set to zero."""
    return [
        (abs(s.w), s.rise / s.saved)
        for s in survivors
        if s.w is not None and s.rise is not None and s.saved is not None and s.saved > 0
    ]
