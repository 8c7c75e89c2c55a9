"""attach: a plan acts through an optimizer, in two lines."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.optim import Optimizer

from shrinkage.errors import AttachError, ShrinkageWarning, did_you_mean
from shrinkage.penalties import Penalty
from shrinkage.penalties.base import check_factor
from shrinkage.plans import Entry, Plan
from shrinkage.proximal.methods import Averaged, Method, Prox, Saved, Subgradient
from shrinkage.proximal.metrics import Group, metric_of, was_skipped

MethodName = Literal["auto", "prox", "averaged", "subgradient"]


def attach(optimizer: Optimizer, plan: Plan, *, method: MethodName = "auto") -> "Handle":
    """Let ``plan`` act at every ``optimizer.step()``: exact zeros, in any training loop.

    ``method``: ``"averaged"`` keeps latent weights (dual averaging), so that minibatch noise
    does not wake zeros up; ``"prox"`` applies the proximal map after each step; ``"auto"`` takes
    ``averaged`` for penalties that make zeros and ``prox`` for smooth ones; ``"subgradient"``
    is the textbook's loss term, for comparison. Under Adam without gradient noise (full batches)
    and with wide groups, ``averaged`` comes to rest slowly; ``prox`` does not.

    After every step that the optimizer takes, zeros of the network are exactly ``0.0``, and the
    fixed points are the stationary points of loss + penalty in the optimizer's own metric. Steps
    that AMP skips do nothing. Parameters without a gradient are left alone, as the optimizer
    does. Gradient clipping scales the gradient and not the threshold: where it is active, the
    penalty is relatively stronger.

    Raises :class:`AttachError` for an unknown optimizer or method and for a plan with parameters
    that this optimizer does not update; :class:`PlanError` for a plan that is attached already.
    Warns of ``weight_decay`` beside a plan.
    """
    if method not in get_args(MethodName):
        raise AttachError(
            "method is unknown",
            got=repr(method),
            expected=", ".join(get_args(MethodName)),
            remedy=did_you_mean(str(method), get_args(MethodName)) + 'Leave it at "auto".',
        )
    return Handle(optimizer, plan, method)


class Handle:
    """A plan at work on an optimizer; made by :func:`attach`.

    ``scale`` multiplies every strength and may be set at any time. ``state_dict`` and
    ``load_state_dict`` belong into the checkpoint beside the model's and the optimizer's.
    ``remove()`` takes the penalty off and leaves the weights as they are.
    """

    def __init__(self, optimizer: Optimizer, plan: Plan, method: MethodName) -> None:
        self._metric = metric_of(optimizer)
        self.plan, self.optimizer, self.method = plan, optimizer, method
        self._scale = 1.0
        self._methods = {
            entry.name: _method(method, penalty)(entry, penalty)
            for entry, penalty, _ in plan.blocks()
        }
        groups = _groups(optimizer)
        missing = [e.name for e, _, p in plan.blocks() if id(p) not in groups]
        if missing:
            raise AttachError(
                "the optimizer does not update every penalised parameter",
                got=f"{len(missing)} missing, first {missing[0]!r}",
                expected="an optimizer over all parameters of the plan",
                remedy="Pass model.parameters() to the optimizer, or make one plan per optimizer.",
            )
        if method == "subgradient" and any(g.get("maximize") for g in optimizer.param_groups):
            raise AttachError(
                "the loss term cannot be maximized",
                got="an optimizer with maximize=True",
                expected="an optimizer that minimises loss + penalty",
                remedy="Minimise the negative loss, or use the exact form (method='auto').",
            )
        _warn_of_weight_decay(optimizer, {id(p) for _, _, p in plan.blocks()})
        plan.claim(self, method)
        self._hooks = (
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        )

    def __repr__(self) -> str:
        kind = type(self.optimizer).__name__
        return f"<Handle: {self.plan!r} on {kind}, method {self.method!r}, scale {self._scale:g}>"

    @property
    def scale(self) -> float:
        """Multiplies every strength of the plan; ≥ 0."""
        return self._scale

    @scale.setter
    def scale(self, factor: float) -> None:
        factor = check_factor(factor)
        if factor != self._scale:
            self._scale = factor
            for method in self._methods.values():
                method.forget()

    def state_dict(self) -> dict[str, Any]:
        """Scale, method and latent weights by parameter name: tensors and numbers only."""
        return {
            "scale": self._scale,
            "method": self.method,
            "blocks": {name: method.state() for name, method in self._methods.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave, for the same plan and method.

        Raises :class:`AttachError` where parameters or method differ.
        """
        blocks: Mapping[str, Saved] = state["blocks"]
        if state["method"] != self.method or set(blocks) != set(self._methods):
            unknown = sorted(set(blocks) ^ set(self._methods))
            raise AttachError(
                "the saved handle belongs to another plan or method",
                got=f"method {state['method']!r}, differing parameters {unknown[:3]}",
                expected=f"method {self.method!r} and the plan's {len(self._methods)} parameters",
                remedy="Attach the same plan with the same method before loading.",
            )
        self._scale = check_factor(state["scale"])
        for entry, _penalty, parameter in self.plan.blocks():
            self._methods[entry.name].load(blocks[entry.name], parameter.device)

    def remove(self) -> None:
        """Stop acting; the weights stay as they are and the plan is free again."""
        for hook in self._hooks:
            hook.remove()
        self.plan.release(self)

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Prepare each parameter; where a closure makes the gradients, right after it."""
        closure: Callable[[], Any] | None = kwargs.get("closure", args[1] if args[1:] else None)
        if closure is None:
            self._prepare(optimizer)
            return None

        def then_prepare() -> Any:
            loss = closure()
            self._prepare(optimizer)
            return loss

        return args[:1], {**kwargs, "closure": then_prepare}

    @torch.no_grad()
    def _prepare(self, optimizer: Optimizer) -> None:
        loss_scale: Tensor | float = getattr(optimizer, "grad_scale", None) or 1.0
        for entry, _penalty, parameter in self.plan.blocks():
            self._methods[entry.name].before(parameter, self._scale, loss_scale)

    @torch.no_grad()
    def _after(self, optimizer: Optimizer, *_: object) -> None:
        if was_skipped(optimizer):
            return
        groups = _groups(optimizer)
        for entry, _penalty, parameter in self.plan.blocks():
            if parameter.grad is None:
                continue
            if id(parameter) not in groups:
                raise _lost(entry)
            metric = self._metric(groups[id(parameter)], optimizer.state.get(parameter, {}))
            self._methods[entry.name].after(parameter, metric, self._scale)


def _method(name: MethodName, penalty: Penalty) -> type[Method]:
    if penalty == penalty.scaled(0):
        return Prox  # of no strength, and so the identity to the last bit
    match name:
        case "auto":
            return Averaged if penalty.slope > 0 else Prox
        case "averaged":
            return Averaged
        case "prox":
            return Prox
        case "subgradient":
            return Subgradient


def _groups(optimizer: Optimizer) -> dict[int, Group]:
    return {id(p): group for group in optimizer.param_groups for p in group["params"]}


def _lost(entry: Entry) -> AttachError:
    return AttachError(
        f"parameter {entry.name!r} is no longer the one the optimizer updates",
        got="a network whose parameter was replaced after attach()",
        expected="the parameter that was passed to the optimizer",
        remedy="Load weights with load_state_dict(..., assign=False), or make a new optimizer.",
    )


def _warn_of_weight_decay(optimizer: Optimizer, penalised: set[int]) -> None:
    decaying = [
        group
        for group in optimizer.param_groups
        if group.get("weight_decay") and any(id(p) in penalised for p in group["params"])
    ]
    if decaying:
        worst = max(float(group["weight_decay"]) for group in decaying)
        decoupled = any(group.get("decoupled_weight_decay") for group in decaying)
        what = (
            "is the gradient of no penalty: the fixed point is not the minimiser of the plan's cost"
            if decoupled
            else "adds (d/2)·Σw² to the plan's cost"
        )
        warnings.warn(
            f"weight_decay={worst:g} beside a plan: {type(optimizer).__name__}'s decay "
            f"{what}. Set weight_decay=0 and put an L2 into the plan (from_weight_decay)",
            ShrinkageWarning,
            stacklevel=4,
        )
