"""Strengths, the choice among them, and the engines that work through many fits."""

from shrinkage.paths.choice import Choice, choose
from shrinkage.paths.engines import Workers, work
from shrinkage.paths.strengths import checked_grid, strengths, weakest_for

__all__ = ["Choice", "Workers", "checked_grid", "choose", "strengths", "weakest_for", "work"]
