"""Numbers → plotly figures; pure: nothing here reads a file or knows what a run is."""

from shrinkage.reports.figures.bars import bars, column_bars, row_bars
from shrinkage.reports.figures.curves import curves
from shrinkage.reports.figures.fans import fan, upright
from shrinkage.reports.figures.features import frequency_paths, leaving_order
from shrinkage.reports.figures.images import pixels
from shrinkage.reports.figures.lines import Line, differences, lines
from shrinkage.reports.figures.pairs import side_by_side
from shrinkage.reports.figures.scatter import Dots, dots
from shrinkage.reports.figures.style import (
    LOSS,
    PENALTY,
    QUIET,
    ZERO,
    colour,
    in_script,
    legend,
    palette,
    to_json,
    unzip,
)
from shrinkage.reports.figures.ticks import log_axis

__all__ = [
    "LOSS",
    "PENALTY",
    "QUIET",
    "ZERO",
    "Dots",
    "Line",
    "bars",
    "colour",
    "column_bars",
    "curves",
    "differences",
    "dots",
    "fan",
    "frequency_paths",
    "in_script",
    "leaving_order",
    "legend",
    "lines",
    "log_axis",
    "palette",
    "pixels",
    "row_bars",
    "side_by_side",
    "to_json",
    "unzip",
    "upright"
]  # fmt: skip
