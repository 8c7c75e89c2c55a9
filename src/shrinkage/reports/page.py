"""The report: one self-contained page from a run folder."""

from shrinkage.reports.table import table_text
from shrinkage.runs import RunView


def report_page(view: RunView) -> str:
    """The page as HTML text."""
    return f"<pre>{table_text(view)}</pre>"
