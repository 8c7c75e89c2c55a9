"""The lesson's claims on the live numbers: what each is judged by, and a sentence.

The networks on the page are what is judged, one of each column: a claim speaks of ``"networks"``.
"""

from collections.abc import Callable
from functools import wraps
from itertools import pairwise

from shrinkage.explorer.controls import DIAL_END
from shrinkage.explorer.looks import Standing
from shrinkage.explorer.tour.view import Check, View
from shrinkage.lesson import (
    Calmer,
    Compromise,
    Concentration,
    CostSplit,
    Coverage,
    DifferentWays,
    Ends,
    Overfitting,
    PenaltyTerm,
    ProportionalStep,
    Smaller,
    Sparsity,
    Stand,
    halved,
    worst,
)
from shrinkage.lesson.estimates import Difference
from shrinkage.reports.words import num, percent

_ABOUT = 0.9  # of the factor between two strengths: the dial has marks
_SETTLED = 300  # steps


def _of(*names: str) -> Callable[[Callable[..., Check]], Callable[[View], Check]]:
    """A check that is called with the newest standings of these columns, once there are some."""

    def made(check: Callable[..., Check]) -> Callable[[View], Check]:
        @wraps(check)
        def judged(view: View) -> Check:
            found = view.now(*names)
            return found if isinstance(found, Check) else check(view, *found)

        return judged

    return made


def _minus(a: float, b: float) -> Difference:
    """What one network has more than another."""
    return Difference(a - b, None, 1)


@_of("l1", "l2")
def cost(_view: View, l1: Standing, l2: Standing) -> Check:
    """Σ|w| and Σw² by hand give the penalties on screen."""
    by_l1, by_l2 = CostSplit(l1.penalty, l1.knob * l1.l1), CostSplit(l2.penalty, l2.knob * l2.l2**2)
    return Check(
        worst((by_l1.finding.verdict, by_l2.finding.verdict)),
        f"By hand: λ·Σ|w| = {num(l1.knob)} · {num(l1.l1, 4)} = {num(by_l1.by_hand, 4)}, shown "
        f"{num(l1.penalty, 4)}; λ·Σw² = {num(by_l2.by_hand, 4)}, shown {num(l2.penalty, 4)}.",
    )


@_of("l1")
def coverage(view: View, l1: Standing) -> Check:
    """All parameters are penalised."""
    return Check(
        Coverage(l1.left_out).finding.verdict,
        f"{l1.size:,} of {l1.n_parameters:,} parameters are penalised"
        + (", biases too." if view.controls.biases else "; biases are not."),
    )


@_of("none", "l1", "l2")
def smaller(_view: View, none: Standing, l1: Standing, l2: Standing) -> Check:
    """Sizes are below those of the network without a penalty."""
    judged = (
        Smaller(_minus(one.l1, none.l1), _minus(one.l2, none.l2), _minus(one.max_abs, none.max_abs))
        for one in (l1, l2)
    )
    sizes = (
        f"{symbol}: {num(getattr(none, key))} without, {num(getattr(l1, key))} under L1, "
        f"{num(getattr(l2, key))} under L2"
        for symbol, key in (("Σ|w|", "l1"), ("‖w‖", "l2"), ("max|w|", "max_abs"))
    )
    verdict = worst(one.finding.verdict for one in judged)
    but = " The largest weight does not shrink under both." if verdict == "partly" else ""
    return Check(verdict, f"{'; '.join(sizes)}.{but}")


def _generalises(one: Standing, none: Standing) -> Overfitting:
    gap, held = _minus(one.gap, none.gap), _minus(one.held, none.held)
    return Overfitting(gap, held, none.gap, about="networks")


@_of("none", "l1", "l2")
def overfitting(_view: View, none: Standing, l1: Standing, l2: Standing) -> Check:
    """The gap and the held-out loss are smaller than without a penalty."""
    findings = [_generalises(one, none).finding for one in (l1, l2)]
    verdict = worst(found.verdict for found in findings)
    if any(found.reason == "nothing to reduce" for found in findings):
        return Check(verdict, f"Not overfitted yet: without a penalty the gap is {num(none.gap)}.")
    return Check(
        verdict,
        f"Held-out loss − training loss: {num(none.gap)} without, {num(l1.gap)} under L1, "
        f"{num(l2.gap)} under L2; held-out loss {num(none.held)}, {num(l1.held)}, {num(l2.held)}.",
    )


@_of("none", "l2")
def activity(_view: View, none: Standing, l2: Standing) -> Check:
    """Activations are smaller, and the strongest filters carry less of them."""
    pairs = list(zip(l2.layers, none.layers, strict=True))
    levels, shares = (Calmer([(a[k], b[k]) for a, b in pairs], about="networks") for k in (0, 1))
    return Check(
        halved(levels.finding.verdict, shares.finding.verdict),
        f"Mean |activation|: {num(none.activity)} without, {num(l2.activity)} under L2, smaller in "
        f"{levels.smaller} of {len(pairs)} layers; of each layer's strongest filter "
        f"{num(none.loudest)} and {num(l2.loudest)}. Its share of the layer, "
        f"{percent(none.strongest)} and {percent(l2.strongest)}, is smaller in {shares.smaller} "
        "and differs from run to run.",
    )


@_of("l1", "l2")
def share(_view: View, l1: Standing, l2: Standing) -> Check:
    """The penalty is most of L1's cost."""
    return Check(
        PenaltyTerm([{0: l1.penalty}], l1.share).finding.verdict,
        f"At λ = {num(l1.knob)} the penalty is {percent(l1.share)} of L1's cost and "
        f"{percent(l2.share)} of L2's.",
    )


_NOTHING_MOVES = Check.waiting("No weight left to look at, or λ is 0.")


@_of("l1")
def constant(_view: View, l1: Standing) -> Check:
    """One step takes the same from every weight."""
    fit = l1.constant
    if fit is None or not fit.n:
        return _NOTHING_MOVES
    return Check(
        fit.finding.verdict,
        f"One step takes {_span(fit.low, fit.high)} lr·λ from every weight, large or small.",
    )


@_of("l2")
def proportional(view: View, l2: Standing) -> Check:
    """One step takes as much as a weight is large."""
    fit = l2.proportional
    if fit is None or not fit.n:
        return _NOTHING_MOVES
    none = view.points.get("none")
    without = none[-1].zeros / none[-1].size if none else None
    judged = ProportionalStep(fit, l2.zeros / l2.size, without, view.controls.optimizer)
    return Check(
        judged.finding.verdict,
        f"One step takes {_span(fit.low, fit.high)} lr·2λ·|w|: much from a large weight, "
        "next to nothing from a small one.",
    )


def _span(low: float, high: float) -> str:
    ends = num(low), num(high)
    if ends[0] != ends[1]:
        return f"{ends[0]} to {ends[1]} times"
    return "exactly" if ends[0] == "1" else f"{ends[0]} times"


@_of("l1_term", "l1", "l2")
def zeros(_view: View, term: Standing, l1: Standing, l2: Standing) -> Check:
    """Most weights are exactly zero under exact L1, and fewer elsewhere."""
    own, others = l1.zeros / l1.size, max(one.zeros / one.size for one in (term, l2))
    return Check(
        Sparsity(own, _minus(own, others)).finding.verdict,
        f"Exactly zero: {percent(own)} under exact L1, {term.zeros:,} weights as "
        f"a loss term, {l2.zeros:,} under L2.",
    )


@_of("none", "l1")
def concentration(_view: View, none: Standing, l1: Standing) -> Check:
    """The largest weights carry more than without a penalty."""
    top10, gini = _minus(l1.top10, none.top10), _minus(l1.gini, none.gini)
    return Check(
        Concentration(top10, gini, about="networks").finding.verdict,
        f"The largest 10 % of the weights carry {percent(l1.top10)} of Σ|w| under L1, "
        f"{percent(none.top10)} without; Gini index {num(l1.gini)} and {num(none.gini)}.",
    )


@_of("l1")
def survival(view: View, _l1: Standing) -> Check:
    """Large weights raise the loss by more than they cost, and zeros would not."""
    if view.worth is None:
        return Check.waiting("Single weights are not judged here: λ is 0, or groups are penalised.")
    judged = view.worth.survival
    slopes = judged.slopes
    if slopes.within is None or not judged.large:
        return Check.waiting("There must be zeros and survivors: λ is too small or too large.")
    moving = (
        f" But the median large weight is held with {num(slopes.pull)} λ only: it still shrinks."
        if slopes.is_moving
        else ""
    )
    return Check(
        judged.finding.verdict,
        f"On {view.worth.n:,} examples {judged.paying} of the {judged.large} largest weights raise "
        f"the loss by more than the penalty saved when set to zero, and "
        f"{percent(slopes.within)} of the zeros have |∂loss/∂w| ≤ λ.{moving}",
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
    if settled and settled[-1] >= _ABOUT * factor * settled[0]:
        last = {point.knob: point for point in points}
        return last[settled[0]], last[settled[-1]]
    return _to_settle(points[-1].knob if points else 0.0, steps, settled, factor)


def _to_settle(now: float, steps: dict[float, int], settled: list[float], factor: int) -> Check:
    """What is still to be done with the dial, which stands at ``now``."""
    far = all(max(now, k) >= _ABOUT * factor * min(now, k) for k in settled)
    if now > 0 and now not in settled and far:
        return Check.waiting(
            f"Let it settle at λ = {num(now)}: {steps[now]} of {_SETTLED} steps so far."
        )
    if not settled:
        return Check.waiting("Turn λ to a small value above 0, and let the network settle.")
    up = factor * settled[0] <= DIAL_END * (1 + 1e-9)
    goal = settled[0] * factor if up else settled[0] / factor
    words = f"{factor} times as much" if up else f"1/{factor} of it"
    return Check.waiting(
        f"Settled at λ = {num(settled[0])}. Now turn the dial to {num(goal)}, {words}, "
        "and let it settle there."
    )


def compromise(view: View) -> Check:
    """A stronger λ gave smaller weights and a higher loss."""
    pair = _ends(view, 10)
    if isinstance(pair, Check):
        return pair
    small, large = pair
    judged = Compromise(_minus(large.l1, small.l1), _minus(large.train, small.train))
    return Check(
        judged.finding.verdict,
        f"λ = {num(small.knob)}: loss {num(small.train)}, Σ|w| {num(small.l1)}. "
        f"λ = {num(large.knob)}: loss {num(large.train)}, Σ|w| {num(large.l1)}.",
    )


def extremes(view: View) -> Check:
    """Between a small λ and one a hundred times as large lie two different networks."""
    pair = _ends(view, 100)
    if isinstance(pair, Check):
        return pair
    small, large = pair
    weak, strong = (Stand(one.knob, one.train, one.l1) for one in pair)
    return Check(
        Ends(weak, strong).finding.verdict,
        f"λ = {num(small.knob)}: loss {num(small.train)} with Σ|w| = {num(small.l1)}. "
        f"λ = {num(large.knob)}: Σ|w| = {num(large.l1)}, and the loss is {num(large.train)}.",
    )


@_of("l1", "l2")
def differ(_view: View, l1: Standing, l2: Standing) -> Check:
    """L1 has zeros that L2 does not have."""
    zeros = _minus(l1.zeros / l1.size, l2.zeros / l2.size)
    return Check(
        DifferentWays(zeros).finding.verdict,
        f"L1: {percent(l1.zeros / l1.size)} zeros, largest weight {num(l1.max_abs)}. "
        f"L2: {percent(l2.zeros / l2.size)} zeros, largest weight {num(l2.max_abs)}.",
    )


@_of("none", "dropout")
def dropout(_view: View, none: Standing, dropout: Standing) -> Check:
    """Dropout narrows the gap, without zeros."""
    found = _generalises(dropout, none).finding
    if found.reason == "nothing to reduce":
        return Check(found.verdict, f"Not overfitted yet: without it the gap is {num(none.gap)}.")
    return Check(
        found.verdict,
        f"Held-out loss − training loss: {num(none.gap)} without, {num(dropout.gap)} under "
        f"dropout (held-out loss {num(none.held)}, {num(dropout.held)}), which makes "
        f"{dropout.zeros:,} zeros.",
    )
