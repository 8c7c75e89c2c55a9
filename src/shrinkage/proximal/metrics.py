"""The step each optimizer takes per unit of gradient: the metric that a threshold must live in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from shrinkage.errors import AttachError

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


def sgd(group: Group, state: State) -> Metric:  # noqa: ARG001
    """lr·(1 − dampening)/(1 − μ): a momentum buffer repeats each gradient Σ μᵏ times.

    Source: the geometric series of torch.optim.SGD's buffer b ← μb + (1 − dampening)g;
    Nesterov's variant has the same limit.
    """
    momentum = float(group["momentum"])
    if momentum == 0:
        return Metric(float(group["lr"]))
    if momentum >= 1:
        raise AttachError(
            "momentum leaves no step size to threshold with",
            got=f"momentum={momentum:g}",
            expected="a momentum below 1",
            remedy="0.9 is usual; at 1 the optimizer never comes to rest.",
        )
    return Metric(float(group["lr"]) * (1 - float(group["dampening"])) / (1 - momentum))


def adam(group: Group, state: State) -> Metric:
    """lr/(√v̂ + ε) per weight, v̂ the bias-corrected (with amsgrad: largest) second moment.

    Where v̂ = 0 the step explodes (unused embedding rows), although Adam itself never moves a
    weight further than lr·max(1, (1−β₁)/√(1−β₂)). That bound is the reach. At a fixed point the
    penalty moves a weight exactly as far back as the optimizer moved it, so the bound holds
    there and moves no fixed point. Source: Kingma & Ba, Adam (2015), §2.1; for the prox in
    Adam's metric, Melchior, Joseph & Moolekamp, Proximal Adam (2019).
    """
    lr = float(group["lr"])
    beta1, beta2 = (float(beta) for beta in group["betas"])
    second: Tensor = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
    correction = 1 - beta2 ** float(state["step"])
    denominator = second.sqrt().div_(sqrt(correction)).add_(group["eps"])
    return Metric(lr / denominator, lr * max(1.0, (1 - beta1) / sqrt(1 - beta2)))


METRICS: dict[type[Optimizer], Callable[[Group, State], Metric]] = {
    SGD: sgd,
    Adam: adam,
    AdamW: adam,
}


def metric_of(optimizer: Optimizer) -> Callable[[Group, State], Metric]:
    """The metric of ``optimizer``, by its type or the nearest type it derives from.

    Raises :class:`AttachError` for an optimizer whose step is not known.
    """
    if not isinstance(optimizer, Optimizer):
        raise AttachError(
            "attach needs an optimizer",
            got=type(optimizer).__name__,
            expected="a torch.optim optimizer",
            remedy="Call attach(optimizer, plan), before any wrapper goes around the optimizer.",
        )
    for kind in type(optimizer).__mro__:
        if kind in METRICS:
            return METRICS[kind]
    raise AttachError(
        "the optimizer's step size per weight is not known",
        got=type(optimizer).__name__,
        expected=", ".join(kind.__name__ for kind in METRICS),
        remedy="Use one of these, or add plan.penalty() to the loss (which makes no exact zeros).",
    )


def was_skipped(optimizer: Optimizer) -> bool:
    """Whether AMP's GradScaler made a fused optimizer's step do nothing (infinite gradients).

    The scaler calls ``step()`` of a fused optimizer all the same, and so its hooks.
    """
    found_inf = getattr(optimizer, "found_inf", None)
    return found_inf is not None and bool(torch.as_tensor(found_inf).any())
