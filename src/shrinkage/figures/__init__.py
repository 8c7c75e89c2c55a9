"""Numbers → plotly figures; pure: nothing here reads a file or knows what a run is."""

from shrinkage.figures.bars import bars, column_bars, row_bars
from shrinkage.figures.curves import curves
from shrinkage.figures.fans import fan, upright
from shrinkage.figures.features import frequency_paths, leaving_order
from shrinkage.figures.images import pixels
from shrinkage.figures.lines import Line, differences, lines
from shrinkage.figures.pairs import side_by_side
from shrinkage.figures.scatter import Dots, dots
from shrinkage.figures.style import (
    LOSS,
    PENALTY,
    QUIET,
    ZERO,
    colour,
    in_script,
    legend,
    palette,
    to_json,
)
from shrinkage.figures.ticks import log_axis

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
    "upright",
]
