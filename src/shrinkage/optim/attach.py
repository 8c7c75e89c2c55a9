"""attach: a plan acts through an optimizer, in two lines."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NoReturn, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from shrinkage.arguments import as_choice
from shrinkage.errors import AttachError
from shrinkage.optim.assignment import MethodName, acting
from shrinkage.optim.checkpoint import Checkpoint
from shrinkage.optim.checks import (
    check_all_updated,
    check_alone,
    check_arguments,
    check_hooks,
    check_saved,
    check_state,
    claim,
    lost,
    refuse_maximized,
    release,
    warn_of_no_line_search,
    warn_of_strangers,
    warn_of_weight_decay,
)
from shrinkage.optim.crew import Crew
from shrinkage.optim.methods import Averaged
from shrinkage.optim.metrics import (
    OF_GROUP,
    Group,
    Reading,
    metric_of,
    was_skipped,
)
from shrinkage.optim.stacked import stacked
from shrinkage.optim.verification import check_metric
from shrinkage.optim.warmup import Warmup, as_warmup, saved_warmup
from shrinkage.optim.witness import ForeignWrites
from shrinkage.optim.wrappers import Wrappers, inside, is_nested, steps_nest
from shrinkage.penalties.base import check_factor, check_size, check_sizes
from shrinkage.plans import Plan
from shrinkage.plans.coupled import Term

_REST = 10
"""Steps that every parameter goes by itself after something unusual: making a crew takes time."""


def attach(
    optimizer: Optimizer,
    plan: Plan,
    *more: object,
    method: MethodName = "auto",
    warmup: int | Warmup | None = None,
) -> "Handle":
    """Let ``plan`` act at every ``optimizer.step()``: exact zeros, in any training loop.

    ``method``: ``"averaged"`` keeps latent weights (dual averaging), so that minibatch noise
    does not wake zeros up; ``"prox"`` applies the proximal map after each step; ``"auto"`` takes
    ``averaged`` for penalties that make zeros and ``prox`` for smooth ones; ``"subgradient"``
    is the textbook's loss term, for comparison.

    ``warmup``: λ rises linearly over so many optimizer steps, to min(k/warmup, 1)·λ in step k; or
    a :class:`Warmup` of another shape. A strong penalty empties a network that has learnt nothing
    yet; raised slowly it leaves the weights that matter (docs/warmup.md). Steps that AMP skips and
    those under ``scale`` 0 do not count.

    After every step that the optimizer takes, zeros of the network are exactly ``0.0``, and the
    fixed points are the stationary points of loss + penalty in the optimizer's own metric. Steps
    that AMP skips do nothing. Parameters without a gradient are left alone, as the optimizer
    does. Gradient clipping scales the gradient and not the threshold: where it is active, the
    penalty is relatively stronger.

    ``averaged`` keeps one number per penalised weight, and two more under optimizers with a step
    per weight (Adam and its kin), whose step it reads anew every ten steps once it has settled;
    ``prox`` keeps none. A write from outside (``load_state_dict``, a restored checkpoint) is
    noticed by comparing up to 1024 weights of each parameter, evenly spread, and averaging starts
    anew from it; a write to single rows of a parameter with more than 1024 of them may be missed.
    A copied or unpickled optimizer has no hooks (PyTorch leaves them out), another optimizer none
    of ours, and a ``step`` that is replaced later calls none: attach to what trains. With
    ``"prox"`` what rounding takes is lost: in half precision small thresholds do nothing there,
    which ``"averaged"`` adds up.

    What a wrapper keeps inside (accelerate, Lookahead) is what the plan is attached to; zeros stay
    where the wrapper writes after it. ``torch.compile(optimizer.step)`` leaves the penalty out of
    its graph. With ``"subgradient"`` what a closure returns has the penalty added, as its gradient
    has.

    Raises :class:`AttachError` for an unknown optimizer or method, what is no warmup, a step that a
    subclass overrides, and for a plan with parameters that this optimizer does not update;
    :class:`PlanError` for a plan that is attached already, and where another plan acts on one of
    its parameters.
    Warns of ``weight_decay`` beside a plan, and of weights that are written again and again.
    """
    check_alone(optimizer, plan, more)
    check_arguments(optimizer, plan)
    return Handle(inside(optimizer), plan, method, warmup)


class Handle:
    """A plan at work on an optimizer; made by :func:`attach`.

    ``scale`` multiplies every strength and may be set at any time, at every step if you like: zeros
    stay where their average gradient keeps them and leave where it no longer does. 0 switches
    the plan off and forgets. During a ``warmup`` the strengths are multiplied by its share as well;
    ``factor`` is both together. ``remove()`` takes the penalty off and leaves the weights as they
    are.

    The optimizer's own ``state_dict()`` carries the handle's, in its first parameter group, so that
    every checkpoint has it; ``optimizer.load_state_dict()`` gives it back, before or after the plan
    is attached. What saves optimizers in its own way needs :meth:`state_dict` beside them; so do
    the flattened checkpoints of ``torch.distributed.checkpoint``, which give every parameter a copy
    of what its group holds and do not load it. A checkpoint without any of it is told of once.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        plan: Plan,
        method: MethodName,
        warmup: int | Warmup | None = None,
    ) -> None:
        check_arguments(optimizer, plan)
        remedy = 'Leave it at "auto".'
        as_choice("method", method, get_args(MethodName), remedy=remedy, error=AttachError)
        check_hooks(optimizer)
        plan.check_placed()
        self._metric = None if method == "subgradient" else metric_of(optimizer)
        if self._metric is not None:
            check_metric(optimizer, self._metric)
        self.plan, self.optimizer, self.method = plan, optimizer, method
        self.warmup = as_warmup(warmup)
        self._scale, self._taken = 1.0, 0  # optimizer steps, as far as they count for the warmup
        self._wrappers = Wrappers(optimizer, self._put_back)
        self._writes = ForeignWrites(self._wrappers, method)
        self._nests = steps_nest(optimizer)
        self._zeros: list[tuple[nn.Parameter, Tensor]] = []  # while a wrapper steps
        self._methods = {
            term.entry.name: acting(
                method, term.entry, term.penalty, self._writes, rescale=plan.rules.rescale
            )
            for term in plan.bound_terms()
        }
        self._terms, self._places = tuple(plan.bound_terms()), plan.places()
        self._penalties = {term.penalty for term in self._terms}
        self._crew: Crew | None = None  # made at the end of a step
        self._rest = 0  # steps until one is made again
        check_all_updated(plan, _groups(optimizer))
        if method == "subgradient":
            refuse_maximized(optimizer)
        warn_of_strangers(plan)
        if method == "subgradient":
            warn_of_no_line_search(optimizer, self._penalties)
        self._decaying: list[bool] = []
        self._look_at_decay(optimizer)
        claim(self)
        self._hooks: tuple[RemovableHandle, ...] = (
            optimizer.register_step_pre_hook(_uncompiled(self._before)),
            optimizer.register_step_post_hook(_uncompiled(self._after)),
        )
        self._checkpoint = Checkpoint(self)
        self._checkpoint.take()

    def __reduce__(self) -> NoReturn:
        """A copy of a handle would act on nothing."""
        raise AttachError(
            "a handle cannot be copied or pickled",
            got="copy or pickle of a handle",
            expected="its state_dict() in the checkpoint",
            remedy="Attach a plan to the other optimizer, then load_state_dict().",
        )

    def __repr__(self) -> str:
        kind = type(self.optimizer).__name__
        acts = f"method {self.method!r}, scale {self._scale:g}" if self._hooks else "removed"
        if self._hooks and self._taken < self.warmup.steps:
            acts += f", step {self._taken} of a warmup of {self.warmup.steps}"
        return f"<Handle: {self.plan!r} on {kind}, {acts}>"

    @property
    def scale(self) -> float:
        """Multiplies every strength of the plan; ≥ 0."""
        return self._scale

    @scale.setter
    def scale(self, factor: float) -> None:
        if not self._hooks:
            raise AttachError(
                "the handle was removed",
                got=f"scale = {factor!r} after remove()",
                expected="a handle that acts",
                remedy="Attach the plan again.",
            )
        factor = check_factor(factor, "scale")
        check_size("scale", factor)
        for penalty in self._penalties:
            check_sizes(penalty.scaled(factor))
        self._scale = factor

    @property
    def factor(self) -> float:
        """What multiplies every strength in the next step: the scale and the warmup's share."""
        return self._scale * self.warmup.share(self._taken + 1)

    def state_dict(self) -> dict[str, Any]:
        """Scale, warmup, method and latent weights by parameter name: tensors and numbers only."""
        return {
            "scale": self._scale,
            "warmup": {**asdict(self.warmup), "taken": self._taken},
            "method": self.method,
            "blocks": {
                name: {key: value for method in methods for key, value in method.state().items()}
                for name, methods in self._methods.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave, for the same plan and method.

        The saved scale and warmup take the place of this handle's. A state of version 0.1 knows no
        warmup: λ was constant, and stays so.
        Raises :class:`AttachError` for anything else, and leaves the handle as it is.
        """
        belongs, blocks = self.is_of(state), state["blocks"]
        if not belongs:
            unknown = sorted(set(blocks) ^ set(self._methods))
            raise AttachError(
                "the saved handle belongs to another plan or method",
                got=f"method {state['method']!r}, differing parameters {unknown[:3]}",
                expected=f"method {self.method!r} and the plan's {len(self._methods)} parameters",
                remedy="Attach the same plan with the same method before loading.",
            )
        scale, (warmup, taken) = check_factor(state["scale"]), saved_warmup(state)
        for term in self.plan.bound_terms():
            check_saved(term.entry, blocks[term.entry.name])
        self._scale, self.warmup, self._taken = scale, warmup, taken
        for term in self.plan.bound_terms():
            for method in self._methods[term.entry.name]:
                method.load(blocks[term.entry.name], term.parameters[0].device)
        self._checkpoint.found()

    def is_of(self, state: Mapping[str, Any]) -> bool:
        """Whether a handle of the same parameters and method has saved this state.

        Raises :class:`AttachError` for what no handle has saved.
        """
        check_state(state)
        return state["method"] == self.method and set(state["blocks"]) == set(self._methods)

    @property
    def remembers(self) -> bool:
        """Whether a step depends on those before it: by averages, or by a warmup."""
        methods = (method for methods in self._methods.values() for method in methods)
        return bool(self.warmup.steps) or any(isinstance(m, Averaged) for m in methods)

    def remove(self) -> None:
        """Stop acting; the weights stay as they are and the plan is free again."""
        for hook in (*self._hooks, *self._checkpoint.hooks):
            hook.remove()
        self._hooks = ()
        self._wrappers.remove()
        self._writes.end()
        release(self)

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Prepare each parameter; where a closure makes the gradients, right after it."""
        if self._nests and is_nested(optimizer):
            return None
        closure: Callable[[], Any] | None = kwargs.get("closure", args[1] if args[1:] else None)
        if closure is None:
            self._prepare(optimizer)
            return None

        def then_prepare() -> Any:
            loss = closure()
            self._prepare(optimizer)
            # A line search compares values: they must be those of what the gradient is of.
            return loss if self._metric is not None else self._added(loss)

        return args[:1], {**kwargs, "closure": then_prepare}

    @torch.no_grad()
    def _added(self, loss: Any) -> Any:
        """The loss and the penalty whose slope the gradients have."""
        terms = [term for term in self._terms if term.has_gradients()]
        if loss is None or not terms or not self._scale:
            return loss
        penalty = self.factor * sum(float(term.value(term.parameters)) for term in terms)
        return loss + penalty

    def _prepare(self, optimizer: Optimizer) -> None:
        self._writes.step += 1
        self._checkpoint.warn_if_missing()
        factor = self.factor
        loss_scale: Tensor | float = vars(optimizer).get("grad_scale") or 1.0
        ready = self._look(factor)
        for term in self._terms:
            if term.entry.name in ready or term.is_frozen():  # momentum may move what is frozen
                continue
            if self.method == "subgradient":
                self._add_slope(term, factor, loss_scale)
                continue
            tensor = term.read()
            for method in self._methods[term.entry.name]:
                method.before(tensor, factor, loss_scale)

    def _look(self, factor: float) -> frozenset[str]:
        """Find what was replaced or written; the names of those that the crew has looked at."""
        if self._are_replaced():
            self._terms, self._places = tuple(self.plan.bound_terms()), self.plan.places()
            self._dismiss()
        if self._crew is not None and not self._crew.look(factor):
            self._dismiss()
        return frozenset() if self._crew is None else self._crew.names

    def _are_replaced(self) -> bool:
        """Whether the network has other parameters than those in the terms."""
        for place, name, known in self._places:  # noqa: SIM110  (no generator: at every step)
            if place.get(name) is not known:
                return True
        return False

    def _dismiss(self) -> None:
        """Leave everything to each parameter for a while: what happened may happen again."""
        self._crew, self._rest = None, _REST

    def _add_slope(self, term: Term, factor: float, loss_scale: Tensor | float) -> None:
        """The textbook's form: the slope reaches the gradient of every trained parameter."""
        if not term.has_gradients():
            return
        tensor, gradients = term.read(), [p.grad for p in term.parameters if p.grad is not None]
        if term.group is not None:
            tensor.grad = term.gathered(gradients)
        for method in self._methods[term.entry.name]:
            method.before(tensor, factor, loss_scale)
        if tensor.grad is not None:
            term.write(tensor.grad, gradients)

    @torch.no_grad()
    def _after(self, optimizer: Optimizer, *_: object) -> None:
        if was_skipped(optimizer) or (self._nests and is_nested(optimizer)):
            return
        self._look_at_decay(optimizer)
        groups = _groups(optimizer)
        done = self._act_together(groups)
        for term in self._terms:
            if term.entry.name not in done and term.has_gradients():
                self._act(term, groups)
        self._taken += self._scale > 0
        self._gather()
        self._writes.look_around(self._first_kinked)
        if self._wrappers.running:
            self._note_zeros()

    def _note_zeros(self) -> None:
        """For :meth:`_put_back`."""
        if self._scale and self._metric is not None:
            kinked = (term for term in self._terms if term.penalty.slope)
            self._zeros = [(p, p == 0) for term in kinked for p in term.parameters]

    def _act_together(self, groups: Mapping[int, Group]) -> frozenset[str]:
        """The crew's share of a step; the names of those done."""
        if self._crew is None:
            return frozenset()
        if not self._crew.heed():
            self._dismiss()
            return frozenset()
        return self._crew.step(self._reader(groups))

    def _gather(self) -> None:
        """Make a crew for the next step, where nothing unusual has happened for a while."""
        if self._crew is not None and not self._crew.together and self._crew.replaced():
            self._crew = None
        self._rest = max(0, self._rest - 1)
        if self._crew is None and self._scale and not self._rest:
            self._crew = Crew(self._terms, self._methods)

    def _look_at_decay(self, optimizer: Optimizer) -> None:
        """Of groups that are new, or begin to decay; a schedule of it is told once."""
        decaying = [bool(group.get("weight_decay")) for group in optimizer.param_groups]
        if decaying != self._decaying:
            self._decaying = decaying
            warn_of_weight_decay(optimizer, {id(p) for _, _, p in self.plan.blocks()})

    def _first_kinked(self) -> nn.Parameter | None:
        """A trained parameter whose zeros are made."""
        kinked = (t.parameters[0] for t in self._terms if t.penalty.slope and t.has_gradients())
        return next(kinked, None)

    @torch.no_grad()
    def _put_back(self) -> None:
        """What was zero stays zero where a wrapper (Lookahead) writes after our optimizer."""
        for parameter, zero in self._zeros:
            parameter.masked_fill_(zero, 0.0)
        self._zeros = []
        for term in self._terms:
            tensor = term.read()
            for method in self._methods[term.entry.name]:
                method.rewritten(tensor)

    def _act(self, term: Term, groups: Mapping[int, Group]) -> None:
        """On one parameter by itself, or on coupled groups."""
        if any(id(p) not in groups for p in term.parameters):
            raise lost(term.entry)
        if self._metric is None:
            return  # the textbook's form has acted before the step
        readings = [self._read(parameter, groups) for parameter in term.parameters]
        reading = readings[0] if term.group is None else stacked(term, readings)
        tensor, methods = term.read(), self._methods[term.entry.name]
        factor = self.factor
        for method in methods:
            method.after(tensor, reading, factor)
        for method in methods[:-1]:
            method.rewritten(tensor)
        term.write(tensor)

    def _reader(self, groups: Mapping[int, Group]) -> Callable[[nn.Parameter], Reading | None]:
        """Readings, of which one does for a whole group where the metric depends on no more."""
        known: dict[int, Reading] = {}
        shared = self._metric in OF_GROUP

        def read(parameter: nn.Parameter) -> Reading | None:
            group = groups.get(id(parameter))
            if group is None or not shared:
                return None if group is None else self._read(parameter, groups)
            if id(group) not in known:
                known[id(group)] = self._read(parameter, groups)
            return known[id(group)]

        return read

    def _read(self, parameter: nn.Parameter, groups: Mapping[int, Group]) -> Reading:
        assert self._metric is not None  # noqa: S101  (narrowing)
        state = self.optimizer.state.get(parameter, {})
        return Reading(self._metric, groups[id(parameter)], state, parameter)


def _uncompiled(hook: Callable[..., Any]) -> Callable[..., Any]:
    """``hook`` as it is written, also where ``optimizer.step`` is compiled."""
    disabled: Callable[..., Any] = torch.compiler.disable(hook, reason="a plan acts here")  # type: ignore[no-untyped-call]

    def called(optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        if torch.compiler.is_dynamo_compiling():  # what is disabled takes longer to call
            return disabled(optimizer, args, kwargs)
        return hook(optimizer, args, kwargs)

    return called


def _groups(optimizer: Optimizer) -> dict[int, Group]:
    return {id(p): group for group in optimizer.param_groups for p in group["params"]}
