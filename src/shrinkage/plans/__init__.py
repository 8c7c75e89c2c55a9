"""Which parameter gets which penalty, in which groups: rules, binding, plan."""

from shrinkage.graph.layers import Role, register_layer
from shrinkage.plans.binding import Entry
from shrinkage.plans.normalisation import Invariance
from shrinkage.plans.plan import Plan
from shrinkage.plans.rules import Rule, Rules

__all__ = ["Entry", "Invariance", "Plan", "Role", "Rule", "Rules", "register_layer"]
