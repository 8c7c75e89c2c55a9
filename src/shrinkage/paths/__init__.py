"""The whole path of strengths: warm-started chains, the choice, and the engines behind them."""

from shrinkage.paths.choice import Choice, choose
from shrinkage.paths.engines import Staff, Workers
from shrinkage.paths.pathing import path
from shrinkage.paths.result import PathPoint, RegularizationPath
from shrinkage.paths.strengths import checked_grid, strengths, weakest_for

__all__ = [
    "Choice",
    "PathPoint",
    "RegularizationPath",
    "Staff",
    "Workers",
    "checked_grid",
    "choose",
    "path",
    "strengths",
    "weakest_for",
]
