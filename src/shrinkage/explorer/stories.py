"""Why a weight or a unit is zero or survives: one computed sentence per network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from shrinkage.analysis.measures import Loss, evaluate, settled
from shrinkage.data import Examples
from shrinkage.explorer.lanes import Lane
from shrinkage.graph.untouched import brought, home, untouched
from shrinkage.penalties import Penalty
from shrinkage.plans import Entry
from shrinkage.plans.grouping import Grouping
from shrinkage.reports.words import capital, num

_AT_REST = 0.1
_HOPS = 20.0  # a weight this few steps from zero is one that hops around it
_BATCH = 512
_CUT_OFF = (
    "not worth its price. What lies before or behind it is zero or never fires, so no gradient "
    "reaches it, and while that is so it stays exactly zero"
)
_NOTHING = 1e-7  # float32 knows a loss no better


@dataclass(frozen=True)
class Target:
    """A weight (``row`` None) or a unit, a row of ``units``, of the parameter at ``path``."""

    path: str
    name: str
    index: int
    units: Grouping | None = None

    @property
    def is_unit(self) -> bool:
        """Whether a whole filter or neuron is meant."""
        return self.units is not None

    def of(self, weight: Tensor) -> Tensor:
        """Its weights, flat."""
        return weight.reshape(-1)[self._places(weight)]

    def size(self, weight: Tensor) -> float:
        """The number to follow over time: the weight, or the norm of the unit."""
        own = self.of(weight)
        return float(torch.linalg.vector_norm(own)) if self.is_unit else float(own[0])

    def without(self, weight: Tensor) -> Tensor:
        """The parameter with the target set to zero, a copy."""
        copy = weight.detach().clone()
        copy.view(-1)[self._places(weight)] = 0.0
        return copy

    def _places(self, weight: Tensor) -> Tensor:
        if self.units is None:
            return torch.tensor([self.index])
        return self.units.view(torch.arange(weight.numel()).reshape(weight.shape))[self.index]


@dataclass(frozen=True)
class Story:
    """What is known of a target in one network.

    ``gradient``: ∂loss/∂w (of a unit: the norm); ``price``: the slope of the penalty there, what
    a further unit of |w| costs; ``rise``: what the loss gains when the target is set to zero,
    ``saved``: the penalty that goes with it. All on ``n`` training examples.
    """

    name: str
    value: float
    gradient: float
    price: float
    rise: float
    saved: float
    n: int
    is_zero: bool
    sentence: str


def tell(lane: Lane, target: Target, train: Examples, loss: Loss | None, lr: float) -> Story:
    """The story of a target in a lane, from its full gradient on ``train``."""
    weight = lane.model.get_parameter(target.path)
    (gradient,) = gradients(lane, [weight], train, loss)
    entry = next(e for e in lane.plan.entries if e.path == target.path)
    penalty = None if entry.penalty is None or not lane.strength else lane.penalty
    own, slopes = target.of(weight.detach()), target.of(gradient)
    prices = _prices(entry, penalty, weight.detach(), target)
    rise, saved = removal(lane, entry, penalty, target, train, loss)
    facts = _Facts(lane, target, entry, own, slopes, prices, rise, saved, lr)
    return Story(
        name=lane.name,
        value=target.size(weight.detach()),
        gradient=float(torch.linalg.vector_norm(slopes)) if target.is_unit else float(slopes[0]),
        price=float(prices.max()),
        rise=rise,
        saved=saved,
        n=len(train),
        is_zero=not bool(own.any()),
        sentence=_sentence(facts, penalty),
    )


@dataclass(frozen=True, eq=False)
class _Facts:
    """What a sentence is made of: weights, ∂loss/∂w and prices of the target, flat."""

    lane: Lane
    target: Target
    entry: Entry
    w: Tensor
    grad: Tensor
    price: Tensor
    rise: float
    saved: float
    lr: float

    @property
    def what(self) -> str:
        """What a unit is called."""
        return "filter" if len(self.entry.shape) > 2 else "neuron"

    def priced(self, price: float) -> str:
        """A price with its symbol where it is λ itself."""
        symbol = "λ" if abs(price - self.lane.strength) <= 1e-6 * price else "its price"
        return f"{symbol} = {num(price)}" if symbol == "λ" else f"{symbol} {num(price)}"

    @property
    def without(self) -> str:
        """What the loss does when the target is set to zero."""
        if abs(self.rise) < _NOTHING:
            return "set to zero, the loss would stay as it is"
        verb = "rise" if self.rise > 0 else "fall"
        return f"set to zero, the loss would {verb} by {num(abs(self.rise))}"

    @property
    def balance(self) -> str:
        """Loss against penalty without the target."""
        if self.rise >= self.saved:
            verdict = "it is worth its price"
        elif self.lane.is_term:
            verdict = "not worth its price, but no step lands on zero"
        else:
            verdict = "not worth its price"
        return f"{capital(self.without)} and the penalty fall by {num(self.saved)}: {verdict}"


def _sentence(f: _Facts, penalty: Penalty | None) -> str:
    if penalty is None:
        return _free(f)
    grouped = f.entry.grouping.group_size > 1
    if f.target.is_unit:
        return _group(f, penalty) if grouped else _unit(f, penalty)
    if grouped:
        return f"Group L1 charges the whole {f.what}, not this weight: click the {f.what}."
    return _weight(f, penalty)


def _free(f: _Facts) -> str:
    """No price: only the loss moves it."""
    if not bool(f.w.any()):
        if not bool(f.grad.any()):
            return (
                "Zero, and no gradient reaches it: what lies before or behind it is zero or never "
                "fires. It stays so until that moves, or the column is woken."
            )
        return "Zero still, and nothing holds it there: its gradient will move it."
    if f.target.is_unit:
        return f"No price on it, only the loss moves it: {f.without}."
    slope = num(float(f.grad[0]))
    return f"No price on it, only the loss moves it, by its slope {slope}: {f.without}."


def _weight(f: _Facts, penalty: Penalty) -> str:
    w, grad, price = float(f.w[0]), float(f.grad[0]), float(f.price[0])
    if not w:
        if not grad:
            return f"|∂loss/∂w| = 0 ≤ {f.priced(price)}: {_CUT_OFF}."
        if abs(grad) <= price:
            return (
                f"|∂loss/∂w| = {num(abs(grad))} ≤ {f.priced(price)}: not worth its price, "
                "so it stays exactly zero."
            )
        return (
            f"|∂loss/∂w| = {num(abs(grad))} > {f.priced(price)}: worth its price. It leaves zero "
            "as soon as the average over the steps says so, too."
        )
    pull = (-grad if w > 0 else grad) + 0.0  # never −0
    if penalty.slope == 0:
        return (
            f"Its price 2λ|w| = {num(price)} fades as the weight shrinks, so it never gets to "
            f"zero; the loss pulls back with {num(pull)}. {f.balance}."
        )
    if f.lane.is_term and abs(w) <= _HOPS * f.lr * f.lane.strength:
        return (
            f"It hops around zero and never lands: every step takes lr·λ = "
            f"{num(f.lr * f.lane.strength)} from a weight of |w| = {num(abs(w))}, and overshoots."
        )
    if abs(pull - price) <= _AT_REST * price:
        return (
            f"At rest: the loss pays {num(pull)} for a bit more |w|, which is {f.priced(price)}. "
            f"{f.balance}."
        )
    than, moves = ("more", "grows") if pull > price else ("less", "shrinks")
    return (
        f"The loss pays {num(pull)} for a bit more |w|, {than} than {f.priced(price)}: it {moves}. "
        f"{f.balance}."
    )


def _unit(f: _Facts, penalty: Penalty) -> str:
    count, zeros = f.w.numel(), int((f.w == 0).sum())
    if zeros == count:
        most = float(f.grad.abs().max())
        slope = penalty.slope
        if not most:
            return (
                f"All {count} weights are exactly zero, and every |∂loss/∂w| is 0 ≤ "
                f"{f.priced(slope)}: {_CUT_OFF}."
            )
        if most <= slope:
            return (
                f"All {count} weights are exactly zero: the largest |∂loss/∂w| among them is "
                f"{num(most)} ≤ {f.priced(slope)}, so none is worth its price."
            )
        return (
            f"All {count} weights are exactly zero, but the largest |∂loss/∂w| among them is "
            f"{num(most)} > {f.priced(slope)}: it is on its way back."
        )
    part = f"{zeros or 'None'} of its {count} weights {'is' if zeros < 2 else 'are'} exactly zero. "
    fades = "" if penalty.slope or f.rise >= f.saved else ", but a price that fades makes no zero"
    return f"{part}{f.balance}{fades}."


def _group(f: _Facts, penalty: Penalty) -> str:
    m = f.entry.grouping.group_size
    kink, norm = penalty.slope * m**0.5, float(torch.linalg.vector_norm(f.w))
    if not norm:
        pull = float(torch.linalg.vector_norm(f.grad))
        if not pull:
            return f"‖∂loss/∂w‖ = 0 ≤ λ·√{m} = {num(kink)}: {_CUT_OFF}."
        sign, verdict = (
            ("≤", f"the {f.what} as a whole is not worth its price, and is exactly zero")
            if pull <= kink
            else (">", "worth its price: it leaves zero once the average says so, too")
        )
        return f"‖∂loss/∂w‖ = {num(pull)} {sign} λ·√{m} = {num(kink)}: {verdict}."
    pull = -float(f.grad @ f.w) / norm
    return (
        f"The loss pays {num(pull)} for a bit more ‖w‖, its price is λ·√{m} = {num(kink)}. "
        f"{f.balance}."
    )


def gradients(
    lane: Lane, weights: Sequence[Tensor], train: Examples, loss: Loss | None
) -> list[Tensor]:
    """∂loss/∂w of some parameters on all of ``train``, in eval mode; the network stays as it is."""
    criterion, totals = settled(loss, lane.model, train), [torch.zeros_like(w) for w in weights]
    whole = criterion.weight(train.y) or 1.0
    with untouched(lane.model), torch.enable_grad():
        at = home(lane.model)
        for x, y in train.batches(criterion.at_once(len(train), _BATCH)):
            value = criterion(lane.model(brought(x, at)), brought(y, at))
            parts = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
            for total, part in zip(totals, parts, strict=True):
                total += part * (criterion.weight(y) / whole)
    return totals


def _prices(entry: Entry, penalty: Penalty | None, weight: Tensor, target: Target) -> Tensor:
    """What a further unit of |w| costs, per weight of the target; at zero the slope of the kink."""
    if penalty is None:
        return target.of(torch.zeros_like(weight))
    rows = entry.grouping.view(weight)
    price = penalty.distance(rows, torch.zeros_like(rows)).expand_as(rows)
    kink = penalty.slope * entry.grouping.group_size**0.5
    is_zero = (rows == 0).all(dim=-1, keepdim=True) if entry.grouping.group_size > 1 else rows == 0
    return target.of(entry.grouping.restore(torch.where(is_zero, kink, price)))


def removal(
    lane: Lane,
    entry: Entry,
    penalty: Penalty | None,
    target: Target,
    train: Examples,
    loss: Loss | None,
) -> tuple[float, float]:
    """(rise of the loss, penalty saved) when the target is set to zero."""
    weight = lane.model.get_parameter(target.path)
    if not bool(target.of(weight.detach()).any()):
        return 0.0, 0.0
    base = evaluate(lane.model, train, loss).loss
    view, without = entry.grouping.view, target.without(weight)
    with _replaced(weight, without):
        rise = evaluate(lane.model, train, loss).loss - base
    if penalty is None:
        return rise, 0.0
    full = weight.detach().double()
    return rise, float(penalty.value(view(full)) - penalty.value(view(without.double())))


@contextmanager
def _replaced(parameter: Tensor, value: Tensor) -> Iterator[None]:
    """``value`` in place of the parameter's; afterwards bit for bit what it was."""
    kept = parameter.detach().clone()
    with torch.no_grad():
        parameter.copy_(value)
    try:
        yield
    finally:
        with torch.no_grad():
            parameter.copy_(kept)
