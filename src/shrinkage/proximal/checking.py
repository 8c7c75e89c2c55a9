"""What must hold before a plan acts through an optimizer, and what is said where it does not."""

import warnings
import weakref
from collections.abc import Container, Mapping
from math import prod
from typing import Protocol

from torch import Tensor
from torch.optim import Adafactor, Muon, Optimizer

from shrinkage.errors import AttachError, PlanError, ShrinkageWarning, shown
from shrinkage.plans import Entry, Plan
from shrinkage.proximal.memory import PER_WEIGHT, SAVED_KEYS, Saved


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


def claim(handle: AtWork) -> None:
    """Note that ``handle`` is at work; :class:`PlanError` where another has its parameters."""
    others = _AT_WORK.setdefault(handle.optimizer, weakref.WeakSet())
    taken = {id(p) for other in others for _, _, p in other.plan.blocks()}
    handle.plan.claim(handle, handle.method)
    for entry, _penalty, parameter in handle.plan.blocks():
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
    is_state = isinstance(state, Mapping) and set(state) == {"scale", "method", "blocks"}
    blocks = state["blocks"] if isinstance(state, Mapping) and is_state else None
    if (
        not isinstance(state, Mapping)
        or not isinstance(blocks, Mapping)
        or not isinstance(state["method"], str)
        or not all(isinstance(k, str) and isinstance(v, Mapping) for k, v in blocks.items())
    ):
        raise AttachError(
            "not the state of a handle",
            got=shown(dict.fromkeys(state, ...) if isinstance(state, dict) else state),
            expected="scale, method (a name) and blocks (by parameter name)",
            remedy="Pass what handle.state_dict() gave.",
        )


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
            remedy="Pass model.parameters() to the optimizer, or make one plan per optimizer.",
        )


def lost(entry: Entry) -> AttachError:
    """What is raised where a parameter has been replaced since."""
    return AttachError(
        f"parameter {entry.name!r} is no longer the one the optimizer updates",
        got="a network whose parameter was replaced after attach()",
        expected="the parameter that was passed to the optimizer",
        remedy="Load weights with load_state_dict(..., assign=False), or make a new optimizer.",
    )


_DECAYS = ("weight_decay", "lambd")
"""Names of decays in optimizers' parameter groups; ASGD has the second, 1e-4 by default."""


def warn_of_weight_decay(optimizer: Optimizer, penalised: set[int]) -> None:
    """Warn (:class:`ShrinkageWarning`) where the optimizer decays penalised parameters as well."""
    decaying = [
        group
        for group in optimizer.param_groups
        if any(map(group.get, _DECAYS)) and any(id(p) in penalised for p in group["params"])
    ]
    if decaying:
        name, worst = max(
            ((key, float(group.get(key) or 0.0)) for group in decaying for key in _DECAYS),
            key=lambda pair: pair[1],
        )
        decoupled = any(
            group.get("decoupled_weight_decay") or isinstance(optimizer, Adafactor | Muon)
            for group in decaying
        )
        what = (
            "is the gradient of no penalty: the fixed point is not the minimiser of the plan's cost"
            if decoupled
            else "adds (d/2)·Σw² to the plan's cost"
        )
        warnings.warn(
            f"{name}={worst:g} beside a plan: {type(optimizer).__name__}'s decay "
            f"{what}. Set {name}=0 and put an L2 into the plan (from_weight_decay)",
            ShrinkageWarning,
            stacklevel=4,
        )
