"""What must hold before a plan acts through an optimizer, and what is said where it does not."""

import weakref
from collections.abc import Container, Iterable, Mapping, Sequence
from math import prod
from typing import Protocol

from torch import Tensor
from torch.optim import LBFGS, Adafactor, Muon, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from shrinkage.errors import AttachError, PlanError, shown, warn
from shrinkage.optim.memory import PER_WEIGHT, SAVED_KEYS, Saved
from shrinkage.optim.wrappers import calls_hooks, held_by
from shrinkage.penalties import Penalty
from shrinkage.plans import Entry, Plan, Rules


class AtWork(Protocol):
    """A plan at work on an optimizer."""

    plan: Plan
    optimizer: Optimizer

    @property
    def method(self) -> str:
        """How it acts."""


_AT_WORK: "weakref.WeakKeyDictionary[Optimizer, weakref.WeakSet[AtWork]]" = (
    weakref.WeakKeyDictionary()
)
"""The handles on each optimizer: two on one parameter would each undo what the other does."""


def check_arguments(optimizer: object, plan: object) -> None:
    """Raise :class:`AttachError` unless it is an optimizer and a plan, with the line that is right.

    What is easily mistaken for them: a penalty, a network, a scheduler, a wrapper, the other order.
    """
    if isinstance(optimizer, Plan) and isinstance(plan, Optimizer):
        raise _not_these("the arguments are in the other order", optimizer, "optimizer, plan")
    if not isinstance(optimizer, Optimizer):
        held = held_by(optimizer)
        right = "optimizer" if held is None else f"{_word(optimizer)}.{held[0]}"
        raise _not_these("attach needs an optimizer", optimizer, f"{right}, {_plan(plan)}")
    if not isinstance(plan, Plan):
        raise _not_these("attach needs a plan", plan, f"optimizer, {_plan(plan)}")


def check_alone(optimizer: object, plan: object, more: tuple[object, ...]) -> None:
    """Raise :class:`AttachError` for further arguments: the parts of a plan, or a method."""
    if not more:
        return
    given = (optimizer, plan, *more)
    if isinstance(plan, Plan) and len(more) == 1:
        right = f"optimizer, plan, method={shown(more[0]) if isinstance(more[0], str) else '…'}"
    else:
        rules = (one for one in given if isinstance(one, Penalty | Mapping | Rules | type))
        right = f"optimizer, {_plan(next(rules, None))}"
    kinds = ", ".join(_shown(one) for one in given)
    raise _not_these("attach has too many arguments", kinds, right)


def _not_these(what: str, got: object, right: str) -> AttachError:
    return AttachError(
        what,
        got=got if isinstance(got, str) else _shown(got),
        expected="the optimizer that trains the network, and a Plan of what is penalised",
        remedy=f"Write sh.attach({right}).",
    )


def _shown(thing: object) -> str:
    """A class or a penalty as it is, of everything else the type alone."""
    if isinstance(thing, Penalty):
        return repr(thing)
    return f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__


def _word(wrapper: object) -> str:
    return "scheduler" if isinstance(wrapper, LRScheduler) else "wrapper"


def _plan(given: object) -> str:
    if isinstance(given, Penalty):
        return f"sh.Plan(model, sh.{given!r})"
    if isinstance(given, Mapping | Rules):
        return "sh.Plan(model, rules)"
    return "plan" if isinstance(given, Plan) else "sh.Plan(model, sh.L1(1e-4))"


def check_hooks(optimizer: Optimizer) -> None:
    """Raise :class:`AttachError` where ``optimizer.step()`` would call no hook of ours."""
    if calls_hooks(optimizer):
        return
    held = held_by(optimizer)
    raise AttachError(
        f"the step of {type(optimizer).__name__} calls no hooks",
        got="an optimizer that Optimizer.__init__ has not prepared",
        expected="hooks around step(), through which a plan acts",
        remedy="Call super().__init__(params, defaults) when it is made."
        if held is None
        else f"Attach to the one that it steps: sh.attach(optimizer.{held[0]}, plan).",
    )


def claim(handle: AtWork) -> None:
    """Note that ``handle`` is at work; :class:`PlanError` where another has its parameters."""
    others = _AT_WORK.setdefault(handle.optimizer, weakref.WeakSet())
    taken = {id(p) for other in others for _, _, p in other.plan.bound_blocks()}
    handle.plan.claim(handle, handle.method)
    for entry, _penalty, parameter in handle.plan.bound_blocks():
        if id(parameter) in taken:
            handle.plan.release(handle)
            raise PlanError(
                f"parameter {entry.name!r} has a penalty at work already",
                got="a second plan for it on the same optimizer",
                expected="one plan per parameter",
                remedy="Call remove() on the first handle, or put both penalties into one plan.",
            )
    others.add(handle)


def release(handle: AtWork) -> None:
    """The inverse of :func:`claim`."""
    handle.plan.release(handle)
    _AT_WORK.get(handle.optimizer, weakref.WeakSet()).discard(handle)


def check_state(state: object) -> None:
    """Raise :class:`AttachError` unless ``state`` has the form of what a handle saves."""
    if not _is_state(state):
        raise AttachError(
            "not the state of a handle",
            got=shown(dict.fromkeys(state, ...) if isinstance(state, dict) else state),
            expected="scale, warmup, method (a name) and blocks (by parameter name)",
            remedy="Pass what handle.state_dict() gave.",
        )


def _is_state(state: object) -> bool:
    if not isinstance(state, Mapping) or set(state) - {"warmup"} != {"scale", "method", "blocks"}:
        return False
    method, blocks = state["method"], state["blocks"]
    if not isinstance(method, str) or not isinstance(blocks, Mapping):
        return False
    return all(isinstance(k, str) and isinstance(v, Mapping) for k, v in blocks.items())


def check_saved(entry: Entry, saved: Saved) -> None:
    """Raise :class:`AttachError` unless ``saved`` is empty or fits the parameter."""
    is_tensor = isinstance(saved.get("residual"), Tensor)
    rows = saved["residual"].numel() if is_tensor else None
    fits = set(saved) == SAVED_KEYS and rows == prod(entry.shape)
    fits = fits and all(saved[key].shape in ((), saved["residual"].shape) for key in PER_WEIGHT)
    if saved and not fits:
        raise AttachError(
            f"the saved state of {entry.name!r} does not fit",
            got=f"keys {', '.join(saved)}" + ("" if rows is None else f", {rows} weights"),
            expected=f"keys {', '.join(sorted(SAVED_KEYS))}, {prod(entry.shape)} weights",
            remedy="Pass what handle.state_dict() gave for this network.",
        )


def check_all_updated(plan: Plan, updated: Container[int]) -> None:
    """Raise :class:`AttachError` unless every penalised parameter is among those, by id."""
    missing = [entry.name for entry, _, p in plan.blocks() if id(p) not in updated]
    if missing:
        raise AttachError(
            "the optimizer does not update every penalised parameter",
            got=f"{len(missing)} missing, first {missing[0]!r}",
            expected="an optimizer over all parameters of the plan",
            remedy="Pass model.parameters() of the plan's own network to the optimizer, or make "
            "one plan per optimizer.",
        )


def warn_of_strangers(plan: Plan) -> None:
    """Warn (:class:`ShrinkageWarning`) of trained parameters that came after the plan."""
    known = {entry.path for entry in plan.entries}
    named = [(name, p) for name, p in plan.model.named_parameters() if name not in known]
    new = [name for name, parameter in named if parameter.requires_grad]
    if new:
        warn(
            f"the plan does not know {len(new)} parameters of its network, first {new[0]!r}: they "
            "came after it and have no penalty. Make the plan once the network is whole",
        )


def warn_of_no_line_search(optimizer: Optimizer, penalties: Iterable[Penalty]) -> None:
    """Warn (:class:`ShrinkageWarning`) where LBFGS takes kinks for curvature, and nothing looks."""
    blind = any(group.get("line_search_fn") is None for group in optimizer.param_groups)
    if isinstance(optimizer, LBFGS) and blind and any(penalty.slope for penalty in penalties):
        warn(
            "LBFGS without a line search takes the penalty's kinks for curvature, and the cost may "
            "climb. Make it with line_search_fn='strong_wolfe'"
        )


def lost(entry: Entry) -> AttachError:
    """What is raised where a parameter has been replaced, or unfrozen, since."""
    if entry.frozen:
        return AttachError(
            f"parameter {entry.name!r} is trained now and the optimizer does not update it",
            got="a layer that was unfrozen after attach()",
            expected="an optimizer over all trained parameters of the plan",
            remedy="Call optimizer.add_param_group() with the layer's parameters.",
        )
    return AttachError(
        f"parameter {entry.name!r} is no longer the one the optimizer updates",
        got="a network whose parameter was replaced after attach()",
        expected="the parameter that was passed to the optimizer",
        remedy="Load weights with load_state_dict(..., assign=False); or call remove() on the "
        "handle, make a new optimizer and attach the plan to it.",
    )


_DECAYS = ("weight_decay", "lambd")
"""Names of decays in optimizers' parameter groups; ASGD has the second, 1e-4 by default."""
_ADDED = "adds (d/2)·Σw² to the plan's cost"
_DECOUPLED = (
    "is the gradient of no penalty: the fixed point is not the minimiser of the plan's cost"
)


def refuse_maximized(optimizer: Optimizer) -> None:
    """Raise :class:`AttachError` for a loss term that the optimizer would make large."""
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise AttachError(
            "the loss term cannot be maximized",
            got="an optimizer with maximize=True",
            expected="an optimizer that minimises loss + penalty",
            remedy="Minimise the negative loss, or use the exact form (method='auto').",
        )


def _is_decoupled(optimizer: Optimizer, groups: Sequence[Mapping[str, object]]) -> bool:
    decaying = [group for group in groups if any(map(group.get, _DECAYS))]
    named = any(group.get("decoupled_weight_decay") for group in decaying)
    return named or isinstance(optimizer, Adafactor | Muon)


def warn_of_weight_decay(optimizer: Optimizer, penalised: set[int]) -> None:
    """Warn (:class:`ShrinkageWarning`) where the optimizer decays penalised parameters as well."""
    penalises = [
        g for g in optimizer.param_groups if not penalised.isdisjoint(map(id, g["params"]))
    ]
    decays = [(float(g.get(name) or 0.0), name) for g in penalises for name in _DECAYS]
    worst, name = max(decays, default=(0.0, ""))
    if not worst:
        return
    what = _DECOUPLED if _is_decoupled(optimizer, penalises) else _ADDED
    warn(
        f"{name}={worst:g} beside a plan: {type(optimizer).__name__}'s decay "
        f"{what}. Set {name}=0 and put an L2 into the plan (from_weight_decay)",
    )
