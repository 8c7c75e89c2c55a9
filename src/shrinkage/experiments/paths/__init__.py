"""The whole path of strengths: warm-started chains, the choice, and the engines behind them."""

from shrinkage.experiments.paths._path import path
from shrinkage.experiments.paths.choice import Choice, choose
from shrinkage.experiments.paths.result import PathPoint, RegularizationPath
from shrinkage.experiments.paths.selection import Wanted, select
from shrinkage.experiments.paths.strengths import checked_grid, strengths, weakest_for

__all__ = [
    "Choice",
    "PathPoint",
    "RegularizationPath",
    "Wanted",
    "checked_grid",
    "choose",
    "path",
    "select",
    "strengths",
    "weakest_for",
]
