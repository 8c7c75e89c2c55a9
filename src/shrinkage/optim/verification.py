"""Is a metric that of the optimizer? Tried on a copy of it, with weights and gradients of our own.

Where the loss has the gradient g = −s·sign(w), loss + s·|w| is stationary: the penalty must take
back exactly what the optimizer moves a weight. That is so if weights move by step·g, for every size
of g; if they do so on average where g varies from batch to batch; and if the optimizer goes on from
where the penalty has put a weight, instead of pulling it back to weights of its own.
"""

import copy
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from shrinkage.errors import AttachError, told, warn
from shrinkage.optim.metrics import BUILT_IN, MetricOf, asked, check_history

_MOST = 1000
_WINDOW = 20
_CLOSE = 0.05
"""Of a move, by which the metric may be off where the gradient is constant."""
_NOISY = 1 / 3
"""The same where it varies: steps that follow each gradient a little have a bias of their own."""
_SIZES = (1.0, -0.3, 4.0, -2.0, 0.1, 1.5)
_DECAYS = ("weight_decay", "lambd")


def check_metric(optimizer: Optimizer, metric: MetricOf) -> None:
    """Raise :class:`AttachError` unless training with ``metric`` has the right fixed points.

    Built-in metrics are taken as they are, and so are they for classes that derive from theirs
    and change nothing of the step. Warns where the optimizer cannot be tried.
    """
    if not _is_built_in(optimizer, metric):
        _try(optimizer, metric)
    check_history(optimizer, metric)


def _is_built_in(optimizer: Optimizer, metric: MetricOf) -> bool:
    """Whether the optimizer steps with the code that the built-in metric is of."""
    mine = type(optimizer)
    for kind in mine.__mro__:
        if BUILT_IN.get(kind) is metric:
            used = [name for name in ("step", "_init_group") if hasattr(kind, name)]
            return all(unwrap(getattr(mine, n)) is unwrap(getattr(kind, n)) for n in used)
    return False


def _try(optimizer: Optimizer, metric: MetricOf) -> None:
    try:
        found = mismatch(optimizer, metric)
    except AttachError:
        raise
    except Exception as error:  # the optimizer's own
        name = type(optimizer).__name__
        warn(
            f"the metric of {name} could not be tried on a small problem ({told(error)}): "
            "whether zeros are right depends on it alone",
        )
        return
    if found is not None:
        raise AttachError(
            f"the metric of {type(optimizer).__name__} is not that of its steps",
            got=found,
            expected="a step that times a constant gradient is the move of each weight",
            remedy="Correct what was passed to register_metric(), or use method='subgradient' "
            "(no exact zeros).",
        )


def mismatch(optimizer: Optimizer, metric: MetricOf) -> str | None:
    """What a copy of ``optimizer`` does that ``metric`` does not say; None where they agree."""
    if pulled := _pulled_back(optimizer, metric):
        return pulled
    constant = _Trial(optimizer, metric)
    moved, said, reach = constant.settled(lambda _: 1.0)
    if _differs(moved, said, _CLOSE):
        return _at_worst("a constant gradient", moved, said, constant.gradient, _sign_alone(moved))
    if bool((moved.abs() > reach * (1 + _CLOSE)).any()):
        return f"a reach of {float(reach.min()):.3g}, where a weight moves {_most(moved):.3g}"
    varying = _Trial(optimizer, metric)
    moved, said, _ = varying.settled(lambda k: 5.0 if k % 2 else -3.0)
    if _differs(moved, said, _NOISY):
        return _at_worst(
            "gradients that are 5, −3, 5, −3, … times", moved, said, varying.gradient, ""
        )
    return None


def _differs(moved: Tensor, said: Tensor, share: float) -> bool:
    return not bool(((moved - said).abs() <= share * moved.abs()).all())


def _at_worst(what: str, moved: Tensor, said: Tensor, gradient: Tensor, why: str) -> str:
    at = int(((moved - said).abs() / moved.abs().clamp(min=1e-300)).argmax())
    return (
        f"{what} {gradient.flatten()[at]:g} moves a weight {moved.flatten()[at]:.3g} a step, "
        f"where the metric says {said.flatten()[at]:.3g}{why}"
    )


def _sign_alone(moved: Tensor) -> str:
    """Said of steps that are as long for a small gradient as for a large one."""
    size = moved.abs()
    if float(size.max()) > 1.01 * float(size.min()):
        return ""
    return " (its steps follow the gradient's sign alone: a larger gradient moves no further)"


def _pulled_back(optimizer: Optimizer, metric: MetricOf) -> str | None:
    """Two copies, one of which is moved from outside: does it stay moved?"""
    still, shifted = _Trial(optimizer, metric), _Trial(optimizer, metric)
    for trial in (still, shifted):  # short steps: some grow with the weights
        (group,) = trial.optimizer.param_groups
        if "lr" in group:
            group["lr"] = 0.01 * group["lr"]
    for k in range(_MOST // 10):
        if k == _WINDOW:
            shift = 1e-3 * shifted.weight.detach().abs().mean()
            with torch.no_grad():
                shifted.weight.add_(shift)
        for trial in (still, shifted):
            trial.step(1.0)
    left = float(((shifted.weight - still.weight) / shift).detach().mean())
    if left >= 1 - _NOISY:
        return None
    return (
        f"of a shift from outside {left:.0%} is left after {_MOST // 10 - _WINDOW} steps: it keeps "
        "weights of its own, and pulls back what a penalty has taken off"
    )


def _most(moved: Tensor) -> float:
    return float(moved.abs().max())


@dataclass
class _Trial:
    """A copy of an optimizer in its first steps, on one matrix of weights."""

    optimizer: Optimizer
    metric: MetricOf

    def __post_init__(self) -> None:
        device = self.optimizer.param_groups[0]["params"][0].device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.gradient = torch.tensor([_SIZES, _SIZES[::-1]], dtype=dtype, device=device)
        self.weight = nn.Parameter(torch.ones_like(self.gradient) + 0.1 * self.gradient)
        self.optimizer = _copied(self.optimizer, self.weight)

    def settled(self, factor: Callable[[int], float]) -> tuple[Tensor, Tensor, Tensor]:
        """Mean move downhill, what the metric says of it, and its reach, once both are steady."""
        before: Tensor | None = None
        for _ in range(_MOST // _WINDOW):
            moves, steps, reaches = zip(*self._window(factor), strict=True)
            moved, step = torch.stack(moves).mean(0), torch.stack(steps).mean(0)
            mean = self.gradient * (factor(0) + factor(1)) / 2
            if before is not None and not _differs(moved, before, 1e-4):
                break
            before = moved
        return moved, step * mean, torch.stack(reaches).amax(0)

    def _window(self, factor: Callable[[int], float]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for k in range(_WINDOW):
            yield self.held(factor(k))

    @torch.no_grad()
    def held(self, factor: float) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`step`, after which the weights are put back: some steps grow with them."""
        start = self.weight.detach().clone()
        found = self.step(factor)
        self.weight.copy_(start)
        return found

    @torch.no_grad()
    def step(self, factor: float) -> tuple[Tensor, Tensor, Tensor]:
        """Move downhill, step and reach of one step."""
        old = self.weight.detach().clone()
        self.weight.grad = factor * self.gradient
        self.optimizer.step()
        (group,) = self.optimizer.param_groups
        state = self.optimizer.state.get(self.weight, {})
        found = asked(self.metric, group, state, self.weight)
        sign = -1.0 if group.get("maximize") or vars(self.optimizer).get("maximize") else 1.0
        step, reach = (
            torch.as_tensor(v).detach().to(old).expand(old.shape) for v in (found.step, found.reach)
        )
        return sign * (old - self.weight), step, reach


def _copied(optimizer: Optimizer, weight: nn.Parameter) -> Optimizer:
    """As it was made: its class, attributes and first group, without hooks, state and decay."""
    fresh = object.__new__(type(optimizer))
    hooks = {k: OrderedDict[Any, Any]() for k, v in vars(optimizer).items() if _are_hooks(k, v)}
    first = optimizer.param_groups[0]
    group = {k: copy.deepcopy(v) for k, v in first.items() if k != "params"}
    group |= {"params": [weight], **dict.fromkeys(group.keys() & set(_DECAYS), 0.0)}
    if not float(group.get("lr", 1.0)):  # a warm-up begins there
        group["lr"] = float(group.get("initial_lr", 0.0)) or 1e-3
    fresh.__dict__.update(vars(optimizer) | hooks)
    fresh.__dict__.pop("step", None)  # a scheduler's, bound to the other
    fresh.__dict__.update(state=defaultdict(dict), param_groups=[group])
    return fresh


def _are_hooks(name: str, value: object) -> bool:
    return name.startswith("_optimizer_") and isinstance(value, dict)
