"""The step each optimizer takes per unit of gradient: the metric that a threshold must live in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import unwrap
from math import inf, sqrt
from typing import Any

import torch
from torch import Tensor, optim
from torch.optim import Optimizer

from shrinkage.errors import AttachError, shown, told
from shrinkage.optim.wrappers import held_by

Group = Mapping[str, Any]
State = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """What one optimizer step did to one parameter, per unit of a constant gradient.

    ``step``: how far a constant gradient of 1 moves each weight (a number, or a tensor of the
    parameter's shape). A penalty applied with exactly this step has the stationary points of
    loss + penalty as its fixed points. ``reach``: the furthest the optimizer itself moves a
    weight in one step; the penalty may move it no further.
    """

    step: float | Tensor
    reach: float = inf


_LEAST_REACH = 1.5
"""Of the move of a constant gradient, for optimizers whose second moment may fall again."""


def sgd(group: Group, state: State, parameter: Tensor) -> Metric:  # noqa: ARG001
    """lr·(1 − dampening)/(1 − μ): a momentum buffer repeats each gradient Σ μᵏ times.

    Source: the geometric series of torch.optim.SGD's buffer b ← μb + (1 − dampening)g;
    Nesterov's variant has the same limit.
    """
    momentum = float(group["momentum"])
    if momentum == 0:
        return Metric(float(group["lr"]))
    return Metric(float(group["lr"]) * (1 - float(group["dampening"])) / _rest_of(momentum))


def asgd(group: Group, state: State, parameter: Tensor) -> Metric:  # noqa: ARG001
    """η = lr/(1 + λ·lr·(t − 1))^α, the step that torch.optim.ASGD has just taken.

    Its decay λ (``lambd``) adds (λ/2)·Σw² to the cost. The average ``ax`` is not touched. Where a
    scheduler changes lr, ASGD steps with the last one, and the threshold is one change ahead.
    """
    lr, lambd = float(group["lr"]), float(group["lambd"])
    return Metric(lr / (1 + lambd * lr * (float(state["step"]) - 1)) ** float(group["alpha"]))


def adam(group: Group, state: State, parameter: Tensor) -> Metric:  # noqa: ARG001
    """lr/(√v̂ + ε) per weight, v̂ the bias-corrected (with amsgrad: largest) second moment.

    Where v̂ = 0 the step explodes (unused embedding rows), although Adam itself hardly moves a
    weight further than lr·max(1, (1−β₁)/√(1−β₂)). That is the reach, and 1.5·lr at least: at a
    fixed point the penalty takes back what the optimizer moved, lr, and a little more or less
    while v̂ varies; a bound of lr would cut off the more alone. Source: Kingma & Ba, Adam (2015),
    §2.1; for the prox in Adam's metric, Melchior, Joseph & Moolekamp, Proximal Adam (2019).
    """
    lr = float(group["lr"])
    beta1, beta2 = (float(beta) for beta in group["betas"])
    second: Tensor = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
    step = _over_root(lr, second, 1 - beta2 ** float(state["step"]), group["eps"])
    return Metric(step, lr * max(_LEAST_REACH, (1 - beta1) / sqrt(1 - beta2)))


def nadam(group: Group, state: State, parameter: Tensor) -> Metric:  # noqa: ARG001
    """lr·((1 − μ)/(1 − Πμ) + μ'(1 − β₁ᵗ)/(1 − Πμ·μ'))/(√v̂ + ε), with NAdam's scheduled μ, μ'.

    Source: Dozat, Incorporating Nesterov Momentum into Adam (2016), as torch.optim.NAdam has it.
    """
    lr, t = float(group["lr"]), float(state["step"])
    beta1, beta2 = (float(beta) for beta in group["betas"])
    now, later = (
        beta1 * (1 - 0.5 * 0.96 ** (k * float(group["momentum_decay"]))) for k in (t, t + 1)
    )
    product = float(state["mu_product"])
    fresh, kept = (1 - now) / (1 - product), later / (1 - product * later)
    length = lr * (fresh + kept * (1 - beta1**t))
    reach = lr * max(_LEAST_REACH * (fresh + kept), (fresh + kept * (1 - beta1)) / sqrt(1 - beta2))
    return Metric(_over_root(length, state["exp_avg_sq"], 1 - beta2**t, group["eps"]), reach)


def radam(group: Group, state: State, parameter: Tensor) -> Metric:  # noqa: ARG001
    """lr·r/(√v̂ + ε) with the rectification r; lr alone in the first steps, which have no r.

    Source: Liu et al., On the Variance of the Adaptive Learning Rate (2020), algorithm 2.
    """
    lr, t = float(group["lr"]), float(state["step"])
    beta1, beta2 = (float(beta) for beta in group["betas"])
    correction = 1 - beta2**t
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / correction
    if length <= 5:
        return Metric(lr)
    rectified = lr * sqrt(
        (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    )
    root = state["exp_avg_sq"].sqrt().add_(group["eps"]).div_(sqrt(correction))
    return Metric(rectified / root, rectified * max(_LEAST_REACH, (1 - beta1) / sqrt(1 - beta2)))


def adamax(group: Group, state: State, parameter: Tensor) -> Metric:  # noqa: ARG001
    """lr/u per weight, u the decayed largest |gradient|. Source: Kingma & Ba (2015), §7.1."""
    lr = float(group["lr"])
    beta1, beta2 = (float(beta) for beta in group["betas"])
    longest = (1 - beta1) / (1 - beta1 / beta2) if beta1 < beta2 else inf
    return Metric(lr / state["exp_inf"], lr * max(_LEAST_REACH, longest))


def rmsprop(group: Group, state: State, parameter: Tensor) -> Metric:  # noqa: ARG001
    """lr/((1 − μ)(√(v [− m²]) + ε)) per weight; the variance v − m² where it is centered.

    A centered RMSprop divides by next to nothing where the gradient does not vary: its own steps
    explode there, and so does the threshold. Source: Hinton's lecture 6e; Graves (2013), §4.2.
    """
    lr, rest = float(group["lr"]), _rest_of(float(group["momentum"]))
    second: Tensor = state["square_avg"]
    if group["centered"]:
        second = second.addcmul(state["grad_avg"], state["grad_avg"], value=-1)
        return Metric(lr / rest / second.sqrt().add_(group["eps"]))
    reach = lr / rest * max(_LEAST_REACH, 1 / sqrt(1 - float(group["alpha"])))
    return Metric(lr / rest / second.sqrt().add_(group["eps"]), reach)


def adagrad(group: Group, state: State, parameter: Tensor) -> Metric:  # noqa: ARG001
    """lr/((1 + (t − 1)·decay)(√Σg² + ε)) per weight. Source: Duchi, Hazan & Singer (2011)."""
    lr = float(group["lr"]) / (1 + (float(state["step"]) - 1) * float(group["lr_decay"]))
    return Metric(lr / state["sum"].sqrt().add_(group["eps"]), lr)


def adadelta(group: Group, state: State, parameter: Tensor) -> Metric:
    """lr·√(a + ε)/√(v + ε) per weight, a the mean square of the moves *before* this one.

    The state holds a' = ρa + (1 − ρ)(a + ε)r with r = g²/(v + ε), which is solved for a.
    Source: Zeiler, ADADELTA (2012), algorithm 1.
    """
    assert parameter.grad is not None  # noqa: S101  (attach asks only where there is one)
    rho, eps = float(group["rho"]), float(group["eps"])
    second = state["square_avg"] + eps
    ratio = parameter.grad.square() / second
    moved = (state["acc_delta"] - (1 - rho) * eps * ratio) / (rho + (1 - rho) * ratio)
    return Metric(float(group["lr"]) * (moved.clamp(min=0) + eps).sqrt() / second.sqrt())


def adafactor(group: Group, state: State, parameter: Tensor) -> Metric:
    """α/(√V̂·max(1, RMS(update)/d)) per weight, V̂ of rank one for matrices.

    α = max(ε₂, RMS(w))·min(lr, 1/√t), read after the step (off by O(lr), relatively). Source:
    Shazeer & Stern, Adafactor (2018), algorithms 4 and 5, as torch.optim.Adafactor has them.
    """
    assert parameter.grad is not None  # noqa: S101  (attach asks only where there is one)
    eps1, eps2 = group["eps"]
    eps1 = torch.finfo(parameter.dtype).eps if eps1 is None else eps1
    if parameter.grad.dim() > 1:
        row, column = state["row_var"], state["col_var"]
        second = (row @ column) / row.mean(dim=-2, keepdim=True).clamp(min=eps1)
    else:
        second = state["variance"]
    inverse = second.clamp(min=eps1 * eps1).rsqrt()
    size = parameter.numel() ** 0.5
    excess = float((inverse * parameter.grad).norm()) / (size * float(group["d"]))
    alpha = max(eps2, float(parameter.norm()) / size)
    alpha *= min(float(group["lr"]), float(state["step"]) ** -0.5)
    return Metric(inverse * (alpha / max(1.0, excess)), alpha * size * float(group["d"]))


def _over_root(length: float, second: Tensor, correction: float, eps: float) -> Tensor:
    """length/(√(second/correction) + ε), with one new tensor and few passes over it."""
    factor = sqrt(correction)
    return second.sqrt().add_(eps * factor).reciprocal_().mul_(length * factor)


def _rest_of(momentum: float) -> float:
    """1 − μ; :class:`AttachError` where nothing is left."""
    if momentum >= 1:
        raise AttachError(
            "momentum leaves no step size to threshold with",
            got=f"momentum={momentum:g}",
            expected="a momentum below 1",
            remedy="0.9 is usual; at 1 the optimizer never comes to rest.",
        )
    return 1 - momentum


MetricOf = Callable[[Group, State, Tensor], Metric]


def asked(of: MetricOf, group: Group, state: State, parameter: Tensor) -> Metric:
    """What ``of`` says; :class:`AttachError` where it stops, or gives anything but a metric."""
    try:
        metric = of(group, state, parameter)
    except Exception as error:  # the metric may be a user's
        raise _unfit(told(error)) from error
    if not isinstance(metric, Metric):
        raise _unfit(f"{shown(metric)} from the metric")
    return metric


def _unfit(got: str) -> AttachError:
    return AttachError(
        "the metric does not fit its optimizer",
        got=got,
        expected="f(group, state, parameter) that gives a Metric from what this optimizer keeps",
        remedy="Correct what was passed to register_metric(), or use method='subgradient' "
        "(no exact zeros).",
    )


@dataclass
class Reading:
    """A metric that is computed only if somebody asks for it, and then once."""

    of: MetricOf
    group: Group
    state: State
    parameter: Tensor
    _metric: Metric | None = None

    @property
    def metric(self) -> Metric:
        """What the optimizer's last step did to the parameter."""
        if self._metric is None:
            self._metric = asked(self.of, self.group, self.state, self.parameter)
        return self._metric

    @property
    def rate(self) -> float:
        """See :func:`rate_of`."""
        return rate_of(self.group)


def rate_of(group: Group) -> float:
    """The learning rate, which every step is proportional to (1 where there is none)."""
    return float(group.get("lr", 1.0))


METRICS: dict[type[Optimizer], MetricOf] = {
    optim.SGD: sgd,
    optim.ASGD: asgd,
    optim.Adam: adam,
    optim.AdamW: adam,
    optim.NAdam: nadam,
    optim.RAdam: radam,
    optim.Adamax: adamax,
    optim.RMSprop: rmsprop,
    optim.Adagrad: adagrad,
    optim.Adadelta: adadelta,
    optim.Adafactor: adafactor,
}

OF_GROUP: frozenset[MetricOf] = frozenset({sgd})
"""Those that depend on the group alone: one reading does for all its parameters."""

REFUSED: Mapping[type[Optimizer], str] = {
    optim.Rprop: "its steps follow the gradient's sign alone, and no threshold balances them",
    optim.LBFGS: "its steps mix all weights",
    optim.Muon: "its steps mix all weights of a matrix",
    optim.SparseAdam: "it leaves out weights without a gradient, which must be shrunk all the same",
}


_STEPS: dict[type[Optimizer], object] = {kind: unwrap(kind.step) for kind in METRICS}
"""The functions whose moves the metrics describe."""

BUILT_IN: Mapping[type[Optimizer], MetricOf] = dict(METRICS)
"""What is known to be right; others are tried on a small problem."""

_HISTORY: Mapping[MetricOf, Callable[[Group], float]] = {
    **dict.fromkeys((adam, nadam, radam, adamax), lambda group: float(group["betas"][1])),
    rmsprop: lambda group: float(group["alpha"]),
    adadelta: lambda group: float(group["rho"]),
}


def check_history(optimizer: Optimizer, metric: MetricOf) -> None:
    """Raise :class:`AttachError` where nothing of earlier gradients is in the second moment.

    Steps follow each gradient's sign alone then, and no threshold balances them.
    """
    share = _HISTORY.get(metric)
    if share is not None and not all(map(share, optimizer.param_groups)):
        raise AttachError(
            f"{type(optimizer).__name__} has no step size per weight here",
            got="a second moment of the last gradient alone: steps follow its sign",
            expected="a share of earlier gradients (betas[1], alpha, rho) above 0",
            remedy="0.99 is usual; or use method='subgradient' (no exact zeros).",
        )


def register_metric(kind: type[Optimizer], metric: MetricOf | type[Optimizer]) -> None:
    """Teach :func:`attach` an optimizer: how far did it move each weight per unit of gradient?

    ``metric(param_group, state, parameter)`` is asked after each step; ``state`` is the
    optimizer's for this parameter, ``parameter.grad`` the gradient. It returns a
    :class:`Metric`. Another optimizer's class instead says that ``kind`` steps as that one does.
    Derived classes are covered unless they have their own, or a ``step`` of their own.
    :func:`attach` tries the metric on a copy of the optimizer with weights of its own, and
    refuses one under which fixed points of training would not be stationary points of the cost.
    Raises :class:`AttachError` for a kind that is no optimizer and a metric that cannot be called.

    >>> class Mine(torch.optim.SGD): ...
    >>> register_metric(Mine, lambda group, state, parameter: Metric(group["lr"]))
    >>> register_metric(Mine, torch.optim.SGD)
    """
    of = METRICS.get(metric) if isinstance(metric, type) else metric
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)) or not callable(of):
        raise AttachError(
            "a metric needs an optimizer's class and a function",
            got=f"{shown(kind)} and {shown(metric)}",
            expected="a subclass of torch.optim.Optimizer, and f(group, state, parameter) or "
            "another optimizer that is known",
            remedy="For instance register_metric(MyAdam, lambda g, s, p: Metric(...)).",
        )
    METRICS[kind], _STEPS[kind] = of, unwrap(kind.step)


def metric_of(optimizer: Optimizer) -> MetricOf:
    """The metric of ``optimizer``, by its type or the type whose step it has.

    Raises :class:`AttachError` for an optimizer whose step is not known, or is no diagonal metric.
    """
    mine = type(optimizer)
    for kind in mine.__mro__:
        if kind in METRICS:
            if unwrap(optimizer.step) is not _STEPS.get(kind, unwrap(kind.step)):
                raise _own_step(mine, kind)
            return METRICS[kind]
        if kind in REFUSED:
            raise AttachError(
                f"{kind.__name__} has no step size per weight",
                got=REFUSED[kind],
                expected=_known(),
                remedy="Use one of these, or "
                + ("line_search_fn='strong_wolfe' and " if kind is optim.LBFGS else "")
                + "method='subgradient' (which makes no exact zeros), and polish() afterwards.",
            )
    held = held_by(optimizer)
    raise AttachError(
        "the optimizer's step size per weight is not known",
        got=mine.__name__,
        expected=_known(),
        remedy="Tell it with register_metric(), or use method='subgradient' (no exact zeros)."
        if held is None
        else f"If it steps the optimizer that it holds: sh.attach(optimizer.{held[0]}, plan).",
    )


def _own_step(mine: type[Optimizer], kind: type[Optimizer]) -> AttachError:
    if mine is kind:
        return AttachError(
            f"the step of {kind.__name__} was replaced",
            got="an optimizer whose step() is another function",
            expected=f"{kind.__name__}.step as its class has it",
            remedy="Write the new step as a subclass and register_metric() it, or use "
            "method='subgradient' (no exact zeros).",
        )
    name, parent = mine.__name__, kind.__name__
    return AttachError(
        f"{name} has a step of its own",
        got=f"a subclass of {parent} that overrides step()",
        expected=f"the step of {parent}, or a step size per weight that is known",
        remedy=f"Where it moves weights as {parent} does, call register_metric({name}, {parent}); "
        "else tell register_metric() how far it moves them, or use method='subgradient' "
        "(no exact zeros).",
    )


def _known() -> str:
    return ", ".join(kind.__name__ for kind in METRICS if kind.__module__.startswith("torch."))


def was_skipped(optimizer: Optimizer) -> bool:
    """Whether AMP's GradScaler made a fused optimizer's step do nothing (infinite gradients).

    The scaler calls ``step()`` of a fused optimizer all the same, and so its hooks.
    """
    found_inf = vars(optimizer).get("found_inf")
    return found_inf is not None and bool(torch.as_tensor(found_inf).any())
