"""The whole path of strengths: warm-started chains, the choice, and the engines behind them."""

from shrinkage.paths.choice import Choice, choose
from shrinkage.paths.engines import Staff, Workers
from shrinkage.paths.pathing import path
from shrinkage.paths.result import PathPoint, RegularizationPath
from shrinkage.paths.selection import Wanted, select
from shrinkage.paths.strengths import checked_grid, strengths, weakest_for

__all__ = [
    "Choice",
    "PathPoint",
    "RegularizationPath",
    "Staff",
    "Wanted",
    "Workers",
    "checked_grid",
    "choose",
    "path",
    "select",
    "strengths",
    "weakest_for",
]
