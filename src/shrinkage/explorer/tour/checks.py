"""The lesson's claims, judged on the live numbers: a function and a sentence each."""

from itertools import pairwise

from shrinkage.explorer.controls import DIAL_END
from shrinkage.explorer.looks import Standing
from shrinkage.explorer.tour.claims import Check, View
from shrinkage.reports.wording import num, percent

_CLOSE = 0.02
_ENOUGH = 0.9
_SETTLED = 300  # steps


def cost(view: View) -> Check:
    """Σ|w| and Σw² by hand give the penalties on screen."""
    found = view.now("l1", "l2")
    if isinstance(found, Check):
        return found
    l1, l2 = found
    by_hand = l1.knob * l1.l1, l2.knob * l2.l2**2
    agree = all(
        abs(a - s.penalty) <= 1e-5 * max(a, 1e-12) for a, s in zip(by_hand, found, strict=True)
    )
    return Check(
        agree,
        f"By hand: λ·Σ|w| = {num(l1.knob)} · {num(l1.l1, 4)} = {num(by_hand[0], 4)}, shown "
        f"{num(l1.penalty, 4)}; λ·Σw² = {num(by_hand[1], 4)}, shown {num(l2.penalty, 4)}.",
    )  # fmt: skip


def coverage(view: View) -> Check:
    """All parameters are penalised."""
    found = view.now("l1")
    if isinstance(found, Check):
        return found
    (l1,) = found
    return Check(
        l1.size == l1.n_parameters,
        f"{l1.size:,} of {l1.n_parameters:,} parameters are penalised"
        + (", biases too." if view.controls.biases else "; biases are not."),
    )


def smaller(view: View) -> Check:
    """Sizes are below those of the network without a penalty."""
    found = view.now("none", "l1", "l2")
    if isinstance(found, Check):
        return found
    none, l1, l2 = found
    return Check(
        l1.l1 < none.l1 and l2.l2 < none.l2,
        f"Σ|w|: {num(none.l1)} without, {num(l1.l1)} under L1; "
        f"‖w‖: {num(none.l2)} without, {num(l2.l2)} under L2.",
    )


def overfitting(view: View) -> Check:
    """The gap and the held-out loss are smaller than without a penalty."""
    found = view.now("none", "l1", "l2")
    if isinstance(found, Check):
        return found
    none, l1, l2 = found
    if none.gap < 0.1:
        return Check(None, f"Not overfitted yet: without a penalty the gap is {num(none.gap)}.")
    return Check(
        l1.gap < none.gap and l2.gap < none.gap and max(l1.held, l2.held) < none.held,
        f"Held-out loss − training loss: {num(none.gap)} without, {num(l1.gap)} under L1, "
        f"{num(l2.gap)} under L2; held-out loss {num(none.held)}, {num(l1.held)}, {num(l2.held)}.",
    )


def activity(view: View) -> Check:
    """Activations are smaller, those of the strongest filters too."""
    found = view.now("none", "l2")
    if isinstance(found, Check):
        return found
    none, l2 = found
    return Check(
        l2.activity < none.activity and l2.loudest < none.loudest,
        f"Mean |activation|: {num(none.activity)} without, {num(l2.activity)} under L2; of each "
        f"layer's strongest filter {num(none.loudest)} and {num(l2.loudest)}. Its share of the "
        f"layer, {percent(none.strongest)} and {percent(l2.strongest)}, differs from run to run.",
    )


def share(view: View) -> Check:
    """The penalty is more than half of L1's cost."""
    found = view.now("l1", "l2")
    if isinstance(found, Check):
        return found
    l1, l2 = found
    return Check(
        l1.share > 0.5,
        f"At λ = {num(l1.knob)} the penalty is {percent(l1.share)} of L1's cost and "
        f"{percent(l2.share)} of L2's.",
    )


def constant(view: View) -> Check:
    """One step takes the same from every weight."""
    found = view.now("l1")
    if isinstance(found, Check):
        return found
    (l1,) = found
    if l1.steady is None:
        return Check(None, "No weight left to look at, or λ is 0.")
    low, high = l1.steady
    return Check(
        high - low <= _CLOSE and abs(low - 1) <= _CLOSE,
        f"One step takes {_span(low, high)} lr·λ from every weight, large or small.",
    )


def proportional(view: View) -> Check:
    """One step takes as much as a weight is large."""
    found = view.now("l2")
    if isinstance(found, Check):
        return found
    (l2,) = found
    if l2.fading is None:
        return Check(None, "No weight left to look at, or λ is 0.")
    low, high = l2.fading
    return Check(
        high - low <= _CLOSE and abs(low - 1) <= _CLOSE,
        f"One step takes {_span(low, high)} lr·2λ·|w|: much from a large weight, "
        "next to nothing from a small one.",
    )


def _span(low: float, high: float) -> str:
    ends = num(low), num(high)
    if ends[0] != ends[1]:
        return f"{ends[0]} to {ends[1]} times"
    return "exactly" if ends[0] == "1" else f"{ends[0]} times"


def zeros(view: View) -> Check:
    """Most weights are exactly zero under exact L1, and none elsewhere."""
    found = view.now("l1_term", "l1", "l2")
    if isinstance(found, Check):
        return found
    term, l1, l2 = found
    return Check(
        l1.zeros > l1.size / 2 and term.zeros == l2.zeros == 0,
        f"Exactly zero: {percent(l1.zeros / l1.size)} under exact L1, {term.zeros:,} weights as "
        f"a loss term, {l2.zeros:,} under L2.",
    )


def concentration(view: View) -> Check:
    """The largest weights carry more than without a penalty."""
    found = view.now("none", "l1")
    if isinstance(found, Check):
        return found
    none, l1 = found
    return Check(
        l1.top10 > none.top10,
        f"The largest 10 % of the weights carry {percent(l1.top10)} of Σ|w| under L1, "
        f"{percent(none.top10)} without.",
    )


def survival(view: View) -> Check:
    """Large weights raise the loss by more than they cost, and zeros would not."""
    found, worth = view.now("l1"), view.worth
    if isinstance(found, Check):
        return found
    if worth is None:
        return Check(None, "Single weights are not judged here: λ is 0, or groups are penalised.")
    if worth.zeros_within is None or not worth.large:
        return Check(None, "There must be zeros and survivors: λ is too small or too large.")
    return Check(
        worth.zeros_within >= _ENOUGH and worth.paying >= _ENOUGH * worth.large,
        f"On {worth.n:,} examples {worth.paying} of the {worth.large} largest weights raise the "
        f"loss by more than the penalty saved when set to zero, and "
        f"{percent(worth.zeros_within)} of the zeros have |∂loss/∂w| ≤ λ.",
    )


def _held(points: list[Standing], begun: int) -> dict[float, int]:
    """For every λ > 0 over how many steps it was held."""
    steps = {point.knob: 0 for point in points if point.knob > 0}
    if points and points[0].knob > 0:
        steps[points[0].knob] = points[0].step - begun
    for before, after in pairwise(points):
        if before.knob == after.knob > 0:
            steps[after.knob] += after.step - before.step
    return steps


def _ends(view: View, factor: int) -> tuple[Standing, Standing] | Check:
    """The last standings at a small λ and one ``factor`` times as large (about: the dial has
    marks), both held until the network had settled; until then, what is to be done.
    """
    points = view.points.get("l1", [])
    steps = _held(points, view.begun)
    settled = sorted(knob for knob, held in steps.items() if held >= _SETTLED)
    if settled and settled[-1] >= _ENOUGH * factor * settled[0]:
        last = {point.knob: point for point in points}
        return last[settled[0]], last[settled[-1]]
    now = points[-1].knob if points else 0.0
    far = all(max(now, k) >= _ENOUGH * factor * min(now, k) for k in settled)
    if now > 0 and now not in settled and far:
        return Check(
            None, f"Let it settle at λ = {num(now)}: {steps[now]} of {_SETTLED} steps so far."
        )
    if not settled:
        return Check(None, "Turn λ to a small value above 0, and let the network settle.")
    up = factor * settled[0] <= DIAL_END * (1 + 1e-9)
    goal = settled[0] * factor if up else settled[0] / factor
    words = f"{factor} times as much" if up else f"1/{factor} of it"
    return Check(
        None,
        f"Settled at λ = {num(settled[0])}. Now turn the dial to {num(goal)}, {words}, "
        "and let it settle there.",
    )


def compromise(view: View) -> Check:
    """A stronger λ gave smaller weights and a higher loss."""
    pair = _ends(view, 10)
    if isinstance(pair, Check):
        return pair
    small, large = pair
    return Check(
        small.train < large.train and small.l1 > large.l1,
        f"λ = {num(small.knob)}: loss {num(small.train)}, Σ|w| {num(small.l1)}. "
        f"λ = {num(large.knob)}: loss {num(large.train)}, Σ|w| {num(large.l1)}.",
    )


def extremes(view: View) -> Check:
    """Between a small λ and one a hundred times as large lie two different networks."""
    pair = _ends(view, 100)
    if isinstance(pair, Check):
        return pair
    small, large = pair
    return Check(
        small.train < large.train and small.l1 > 2 * large.l1,
        f"λ = {num(small.knob)}: loss {num(small.train)} with Σ|w| = {num(small.l1)}. "
        f"λ = {num(large.knob)}: Σ|w| = {num(large.l1)}, and the loss is {num(large.train)}.",
    )


def differ(view: View) -> Check:
    """L1 has zeros and large weights, L2 neither."""
    found = view.now("l1", "l2")
    if isinstance(found, Check):
        return found
    l1, l2 = found
    return Check(
        l1.zeros > 0 == l2.zeros and l1.gini > l2.gini and l2.max_abs < l1.max_abs,
        f"L1: {percent(l1.zeros / l1.size)} zeros, largest weight {num(l1.max_abs)}. "
        f"L2: {percent(l2.zeros / l2.size)} zeros, largest weight {num(l2.max_abs)}.",
    )


def dropout(view: View) -> Check:
    """Dropout narrows the gap, without zeros."""
    found = view.now("none", "dropout")
    if isinstance(found, Check):
        return found
    none, dropout = found
    if none.gap < 0.1:
        return Check(None, f"Not overfitted yet: without it the gap is {num(none.gap)}.")
    return Check(
        dropout.gap < none.gap and dropout.held < none.held,
        f"Held-out loss − training loss: {num(none.gap)} without, {num(dropout.gap)} under "
        f"dropout (held-out loss {num(none.held)}, {num(dropout.held)}), which makes "
        f"{dropout.zeros:,} zeros.",
    )
