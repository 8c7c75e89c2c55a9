"""Strengths, the choice among them, and the engines that work through many fits."""

from shrinkage.paths.choice import Choice, choose
from shrinkage.paths.engines import work
from shrinkage.paths.strengths import checked_grid, strengths

__all__ = ["Choice", "checked_grid", "choose", "strengths", "work"]
