"""Numbers → plotly figures; pure: nothing here reads a file or knows what a run is."""

from shrinkage.figures.bars import bars, column_bars, row_bars
from shrinkage.figures.curves import curves
from shrinkage.figures.features import frequency_paths, leaving_order
from shrinkage.figures.images import pixels
from shrinkage.figures.lines import Line, differences, lines
from shrinkage.figures.scatter import Dots, dots
from shrinkage.figures.style import LOSS, PENALTY, ZERO, colour, in_script, legend, to_json

__all__ = [
    "LOSS",
    "PENALTY",
    "ZERO",
    "Dots",
    "Line",
    "bars",
    "colour",
    "column_bars",
    "curves",
    "differences",
    "dots",
    "frequency_paths",
    "in_script",
    "leaving_order",
    "legend",
    "lines",
    "pixels",
    "row_bars",
    "to_json",
]
