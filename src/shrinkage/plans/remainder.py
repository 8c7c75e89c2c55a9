"""A plan for what is left of a network, in which every group weighs what it weighs in the whole."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import starmap

from torch import nn

from shrinkage.errors import PlanError, ShrinkageWarning
from shrinkage.penalties import Penalty
from shrinkage.plans.plan import Plan
from shrinkage.plans.rules import Rule


def remaining(plan: Plan, small: nn.Module, example_inputs: object = None) -> Plan:
    """The plan's rules bound to ``small``, which was cut from the plan's network.

    What was cut out is zero, so that both plans have the same value. A group of which m of M
    weights are left keeps its factor √M: its parameter gets a rule of its own, with the penalty of
    a part (:meth:`Penalty.of_part`). Raises :class:`PlanError` where ``small`` would have other
    groups, for instance because a coupled unit is the last of its kind.
    """
    rules = plan.rules
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShrinkageWarning)  # they were shown for the plan
        bound = Plan(small, rules, example_inputs=example_inputs)
        if _outline(bound) != _outline(plan):
            raise _other("groups over other parameters")
        parts = starmap(Rule, dict(_parts(plan, bound)).items())
        widened = replace(rules, rules=(*parts, *rules.rules))
        if widened != rules:
            bound = Plan(small, widened, example_inputs=example_inputs)
    before, after = plan.value(), bound.value()
    if abs(before - after) > 1e-9 * abs(before):
        raise _other(f"a penalty of {after:.10g} where the whole network has {before:.10g}")
    return bound


def _outline(plan: Plan) -> object:
    """What must not change: which parameters, which groups over several of them, which spheres."""
    entries = [(e.name, e.coupled, e.sphere is None) for e in plan.entries]
    return entries, [[(p.entry.name, p.dim) for p in group.parts] for group in plan.coupled]


def _parts(plan: Plan, bound: Plan) -> Iterator[tuple[str, Penalty]]:
    """By parameter: the penalty of groups that are smaller than in the whole network."""
    for old, new in zip(plan.entries, bound.entries, strict=True):
        share = new.grouping.group_size / old.grouping.group_size
        if old.penalty is not None and not old.coupled and share < 1:
            yield old.name, old.penalty.of_part(share)
    for whole, left in zip(plan.coupled, bound.coupled, strict=True):
        share = left.entry.grouping.group_size / whole.entry.grouping.group_size
        for part in whole.parts:
            penalty = part.entry.penalty
            if penalty is not None and penalty.coupled and share < 1:
                yield part.entry.name, penalty.of_part(share)


def _other(got: str) -> PlanError:
    return PlanError(
        "what is left of the network has other groups",
        got=got,
        expected="the groups of the whole network, smaller or fewer",
        remedy="Train the network whole.",
    )
