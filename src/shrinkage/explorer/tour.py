"""The lesson's claims as a guided tour: controls to set, where to look, and a live check."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from shrinkage.explorer.controls import FIRST, Controls
from shrinkage.explorer.looks import Standing
from shrinkage.explorer.worth import Worth
from shrinkage.reports.wording import num, percent

_MIN_STEPS = 30
_CLOSE = 0.02
_ENOUGH = 0.9


@dataclass(frozen=True)
class View:
    """What a check may read: standings by column since the step of the tour was set, the controls,
    and what weights are worth, where asked for.
    """

    points: Mapping[str, list[Standing]]
    controls: Controls
    worth: Worth | None = None
    begun: int = 0

    def now(self, *names: str) -> list[Standing] | None:
        """The newest standings of these columns; None where one is missing or hardly trained."""
        found = [self.points[name][-1] for name in names if self.points.get(name)]
        ready = all(s.step >= self.begun + _MIN_STEPS for s in found) and len(found) == len(names)
        return found if ready else None


@dataclass(frozen=True)
class Check:
    """``seen``: True or False as the live numbers say, None while there is nothing to judge."""

    seen: bool | None
    sentence: str


_WAIT = Check(None, "Let it train for a moment.")
_COLUMNS = Check(None, "This step needs its own columns: set the controls again.")


@dataclass(frozen=True)
class Claim:
    """One step of the tour.

    ``sets``: changes of the controls (see :meth:`Controls.changed`); ``look``: what to watch, in
    words; ``focus``: the part of the page; ``anew``: whether training begins anew for it;
    ``deep``: whether the check needs what weights are worth, which is costly.
    """

    title: str
    sets: Mapping[str, Any]
    look: str
    focus: str
    check: Callable[[View], Check]
    anew: bool = False
    deep: bool = False


def _cost(view: View) -> Check:
    found = view.now("l1", "l2")
    if found is None:
        return _WAIT
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


def _coverage(view: View) -> Check:
    found = view.now("l1")
    if found is None:
        return _WAIT
    (l1,) = found
    return Check(
        l1.size == l1.n_parameters,
        f"{l1.size:,} of {l1.n_parameters:,} parameters are penalised"
        + (", biases too." if view.controls.biases else "; biases are not."),
    )


def _smaller(view: View) -> Check:
    found = view.now("none", "l1", "l2")
    if found is None:
        return _WAIT
    none, l1, l2 = found
    return Check(
        l1.l1 < none.l1 and l2.l2 < none.l2,
        f"Σ|w|: {num(none.l1)} without, {num(l1.l1)} under L1; "
        f"‖w‖: {num(none.l2)} without, {num(l2.l2)} under L2.",
    )


def _overfitting(view: View) -> Check:
    found = view.now("none", "l1", "l2")
    if found is None:
        return _WAIT
    none, l1, l2 = found
    if none.gap < 0.1:
        return Check(None, f"Not overfitted yet: without a penalty the gap is {num(none.gap)}.")
    return Check(
        l1.gap < none.gap and l2.gap < none.gap and max(l1.held, l2.held) < none.held,
        f"Held-out loss − training loss: {num(none.gap)} without, {num(l1.gap)} under L1, "
        f"{num(l2.gap)} under L2; held-out loss {num(none.held)}, {num(l1.held)}, {num(l2.held)}.",
    )


def _activity(view: View) -> Check:
    found = view.now("none", "l2")
    if found is None:
        return _WAIT
    none, l2 = found
    return Check(
        l2.activity < none.activity and l2.strongest <= none.strongest,
        f"Mean |activation|: {num(none.activity)} without, {num(l2.activity)} under L2; the "
        f"strongest filter carries {percent(none.strongest)} and {percent(l2.strongest)}.",
    )


def _share(view: View) -> Check:
    found = view.now("l1", "l2")
    if found is None:
        return _WAIT
    l1, l2 = found
    return Check(
        l1.share > 0.5,
        f"At λ = {num(l1.knob)} the penalty is {percent(l1.share)} of L1's cost and "
        f"{percent(l2.share)} of L2's.",
    )


def _constant(view: View) -> Check:
    found = view.now("l1")
    if found is None:
        return _WAIT
    (l1,) = found
    if l1.steady is None:
        return Check(None, "No weight left to look at, or λ is 0.")
    low, high = l1.steady
    return Check(
        high - low <= _CLOSE and abs(low - 1) <= _CLOSE,
        f"One step takes {_span(low, high)} lr·λ from every weight, large or small.",
    )


def _proportional(view: View) -> Check:
    found = view.now("l2")
    if found is None:
        return _WAIT
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
    return f"{ends[0]} times" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} times"


def _zeros(view: View) -> Check:
    found = view.now("l1_term", "l1", "l2")
    if found is None:
        return _WAIT
    term, l1, l2 = found
    return Check(
        l1.zeros > l1.size / 2 and term.zeros == l2.zeros == 0,
        f"Exactly zero: {percent(l1.zeros / l1.size)} under exact L1, {term.zeros:,} weights as "
        f"a loss term, {l2.zeros:,} under L2.",
    )


def _concentration(view: View) -> Check:
    found = view.now("none", "l1")
    if found is None:
        return _WAIT
    none, l1 = found
    return Check(
        l1.top10 > none.top10,
        f"The largest 10 % of the weights carry {percent(l1.top10)} of Σ|w| under L1, "
        f"{percent(none.top10)} without.",
    )


def _survival(view: View) -> Check:
    worth = view.worth
    if view.now("l1") is None or worth is None:
        return _WAIT
    if worth.zeros_within is None or not worth.large:
        return Check(None, "There must be zeros and survivors: λ is too small or too large.")
    return Check(
        worth.zeros_within >= _ENOUGH and worth.paying >= _ENOUGH * worth.large,
        f"On {worth.n:,} examples {worth.paying} of the {worth.large} largest weights raise the "
        f"loss by more than the penalty saved when set to zero, and "
        f"{percent(worth.zeros_within)} of the zeros have |∂loss/∂w| ≤ λ.",
    )


def _ends(points: list[Standing]) -> tuple[Standing, Standing] | None:
    """The last standings at the smallest and at the largest λ > 0 that was held for a while."""
    last: dict[float, Standing] = {}
    counts: dict[float, int] = {}
    for point in points:
        last[point.knob], counts[point.knob] = point, counts.get(point.knob, 0) + 1
    held = sorted(k for k, n in counts.items() if n >= 3 and k > 0)
    return (last[held[0]], last[held[-1]]) if len(held) > 1 else None


def _compromise(view: View) -> Check:
    pair = _ends(view.points.get("l1", []))
    if pair is None:
        return Check(None, "Now hold the dial for a moment at a λ ten times as large.")
    small, large = pair
    return Check(
        small.train < large.train and small.l1 > large.l1,
        f"λ = {num(small.knob)}: loss {num(small.train)}, Σ|w| {num(small.l1)}. "
        f"λ = {num(large.knob)}: loss {num(large.train)}, Σ|w| {num(large.l1)}.",
    )


def _extremes(view: View) -> Check:
    pair = _ends(view.points.get("l1", []))
    if pair is None or pair[1].knob < 100 * pair[0].knob:
        return Check(None, "Now turn the dial to the right until λ is a hundred times as large.")
    small, large = pair
    return Check(
        small.train < 0.5 * large.train and small.l1 > 2 * large.l1,
        f"λ = {num(small.knob)}: loss {num(small.train)} with Σ|w| = {num(small.l1)}. "
        f"λ = {num(large.knob)}: Σ|w| = {num(large.l1)}, and the loss is {num(large.train)}.",
    )


def _differ(view: View) -> Check:
    found = view.now("l1", "l2")
    if found is None:
        return _WAIT
    l1, l2 = found
    return Check(
        l1.zeros > 0 == l2.zeros and l1.gini > l2.gini and l2.max_abs < l1.max_abs,
        f"L1: {percent(l1.zeros / l1.size)} zeros, largest weight {num(l1.max_abs)}. "
        f"L2: {percent(l2.zeros / l2.size)} zeros, largest weight {num(l2.max_abs)}.",
    )


def _dropout(view: View) -> Check:
    if "dropout" not in view.points:
        return _COLUMNS
    found = view.now("none", "dropout")
    if found is None:
        return _WAIT
    none, dropout = found
    if none.gap < 0.1:
        return Check(None, f"Not overfitted yet: without it the gap is {num(none.gap)}.")
    return Check(
        dropout.gap < none.gap and dropout.held < none.held,
        f"Held-out loss − training loss: {num(none.gap)} without, {num(dropout.gap)} under "
        f"dropout (held-out loss {num(none.held)}, {num(dropout.held)}), which makes "
        f"{dropout.zeros:,} zeros.",
    )


def _sets(strength: float, **others: Any) -> Mapping[str, Any]:
    plain = {"columns": list(FIRST), "strength": strength, "label_noise": 0.0, "biases": False,
             "optimizer": "sgd"}  # fmt: skip
    return MappingProxyType({**plain, **others})


TOUR: tuple[Claim, ...] = (
    Claim(
        "L1 adds λ·Σ|w| to the loss, L2 adds λ·Σw².",
        _sets(1e-3),
        "The bar on top of each column: grey is the loss, orange is λ · penalty.",
        "cost",
        _cost,
    ),
    Claim(
        "Both constrain all parameters: weights and biases of convolutional and dense layers.",
        _sets(1e-3, biases=True),
        "Biases are penalised too now: the number of weights under the histogram.",
        "weights",
        _coverage,
    ),
    Claim(
        "Both push weights toward smaller values.",
        _sets(1e-3),
        "The histograms: without a penalty they stay wide, the others draw together.",
        "weights",
        _smaller,
    ),
    Claim(
        "That reduces overfitting.",
        _sets(3e-3, train_size=200, label_noise=0.1),
        "Few examples and one wrong label in ten. The curves: a gap opens between training "
        "(thin) and held-out loss (thick), widest without a penalty.",
        "curves",
        _overfitting,
    ),
    Claim(
        "Smaller weights reduce the effect on the activations: no filter overpowers the others.",
        _sets(3e-3),
        "The activation shares: a bar per filter, as much as it carries of its layer's activity.",
        "active",
        _activity,
    ),
    Claim(
        "λ controls the effect; a large λ makes the penalty term large.",
        _sets(1e-2),
        "The cost bars: orange takes over. Turn the dial back and it shrinks at once.",
        "cost",
        _share,
    ),
    Claim(
        "L1 shrinks every weight by a constant amount toward zero.",
        _sets(1e-3),
        "What one step takes, against the weight's size: a flat line on either side of zero.",
        "step",
        _constant,
    ),
    Claim(
        "L2 shrinks in proportion to the weight: large ones hard, small ones hardly at all.",
        _sets(1e-3),
        "The same picture for L2: a line through zero.",
        "step",
        _proportional,
    ),
    Claim(
        "L1 takes unimportant weights all the way to zero: a sparse model.",
        _sets(1e-3),
        "The red bar, counted apart: exactly zero. It grows under exact L1 alone; L1 as a term "
        "in the loss hops over zero and never lands.",
        "weights",
        _zeros,
    ),
    Claim(
        "L1 concentrates the network into few, highly important connections.",
        _sets(1e-3),
        "The connections: lines vanish, few strong ones stay.",
        "links",
        _concentration,
    ),
    Claim(
        "A large weight survives only if it improves the loss enough.",
        _sets(1e-3),
        "Click a filter or a line: it tells why it is zero, or what it is worth.",
        "links",
        _survival,
        deep=True,
    ),
    Claim(
        "It is a compromise between small weights and low loss; λ sets the exchange rate.",
        _sets(3e-4),
        "Loss against Σ|w|. Let it settle, then turn λ to ten times as much: the network walks "
        "along the curve, to smaller weights and a higher loss.",
        "plane",
        _compromise,
        anew=True,
    ),
    Claim(
        "A small λ prefers the original loss, a large λ prefers small weights.",
        _sets(1e-4),
        "Begin at the left end of the dial, let it settle, and go to the right end.",
        "plane",
        _extremes,
        anew=True,
    ),
    Claim(
        "L1 and L2 work in different ways.",
        _sets(1e-3),
        "L1 beside L2, from the same start on the same batches: few large weights and exact "
        "zeros here, many small ones and no zero there.",
        "weights",
        _differ,
    ),
    Claim(
        "Dropout is the next tool of the same family.",
        _sets(1e-3, columns=["none", "l1", "l2", "dropout"], train_size=200, label_noise=0.1),
        "Dropout in the last column: no price on weights, another way to the same end.",
        "curves",
        _dropout,
    ),
)


def for_data(claim: Claim, n_train: int) -> dict[str, Any]:
    """The changes of a claim for so many training examples: a tenth where it wants few."""
    sets = dict(claim.sets)
    few = sets.get("train_size")
    sets["train_size"] = n_train if few is None else min(n_train, few)
    return sets
