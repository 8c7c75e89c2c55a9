"""Numbers → plotly figures; pure: nothing here reads a file or knows what a run is."""

from shrinkage.figures.bars import bars, row_bars
from shrinkage.figures.curves import curves
from shrinkage.figures.images import pixels
from shrinkage.figures.lines import Line, differences, lines
from shrinkage.figures.scatter import Dots, dots
from shrinkage.figures.style import LOSS, PENALTY, ZERO, colour, to_json

__all__ = [
    "LOSS",
    "PENALTY",
    "ZERO",
    "Dots",
    "Line",
    "bars",
    "colour",
    "curves",
    "differences",
    "dots",
    "lines",
    "pixels",
    "row_bars",
    "to_json",
]
