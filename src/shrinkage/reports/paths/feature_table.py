"""The table of features in the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from shrinkage.reports.paths.words import lam
from shrinkage.reports.plain import empty_table, plain
from shrinkage.reports.words import num, percent

_MOST = 20
"""Rows."""


def feature_table(rows: Sequence[dict[str, Any]], most: int = _MOST) -> str:
    """The first ``most`` rows of ``RegularizationPath.features()``."""
    columns = {
        "frequency": ("half samples\nusing it", percent),
        "stable": ("stable", lambda stable: "✓" if stable else ""),
        "leaves": ("used up to\nλ", lambda scale: "never" if scale is None else lam(scale)),
        "size": ("norm of\nits weights", num),
        "weight": ("weight", num),
    }
    known = [name for name in columns if any(row.get(name) is not None for row in rows)]
    table = empty_table()
    table.add_column("feature", vertical="bottom")
    for name in known:
        table.add_column(columns[name][0], justify="right", no_wrap=True, vertical="bottom")
    for row in rows[:most]:
        table.add_row(Text(row["feature"]), *(columns[name][1](row.get(name)) for name in known))
    more = f"\nand {len(rows) - most} more features" if len(rows) > most else ""
    return plain(table) + more
