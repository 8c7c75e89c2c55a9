"""Which parameter gets which penalty, in which groups: rules, binding, plan."""

from shrinkage.plans.binding import Entry
from shrinkage.plans.layers import Role
from shrinkage.plans.plan import Plan
from shrinkage.plans.rules import Rule, Rules

__all__ = ["Entry", "Plan", "Role", "Rule", "Rules"]
