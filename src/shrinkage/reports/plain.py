"""Tables as text, the same wherever they are printed."""

from rich.console import Console
from rich.table import Table

_WIDTH = 200
"""Wider than a table ever is: nothing is cut or wrapped."""


def plain(table: Table) -> str:
    """The table without colours, and without blanks at the ends of its lines."""
    console = Console(width=_WIDTH, force_terminal=False, force_jupyter=False, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
