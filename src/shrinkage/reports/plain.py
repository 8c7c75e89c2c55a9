"""Tables as text, the same wherever they are printed."""

import polars as pl
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from shrinkage.reports.words import num

_WIDTH = 10_000
"""Wider than a table ever is: nothing is cut or wrapped."""


def empty_table() -> Table:
    """A table without lines around its cells."""
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))


def plain(table: RenderableType, width: int = _WIDTH) -> str:
    """The table without colours, and without blanks at the ends of its lines."""
    console = Console(width=width, force_terminal=False, force_jupyter=False, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def frame_as_text(frame: pl.DataFrame, most: int) -> str:
    """The first ``most`` rows, numbers to the right."""
    table = empty_table()
    for series in frame.get_columns():
        side: JustifyMethod = "right" if series.dtype.is_numeric() else "left"
        table.add_column(Text(series.name), justify=side)
    for row in frame.head(most).iter_rows():
        cells = (num(cell) if isinstance(cell, float) else str(cell) for cell in row)
        table.add_row(*map(Text, cells))  # names may look like markup
    more = f"\nand {len(frame) - most:,} more" if len(frame) > most else ""
    return plain(table) + more
