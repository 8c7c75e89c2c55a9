"""A run folder → tables and one page; knows nothing else."""

from shrinkage.reports.page import report_page
from shrinkage.reports.summary import summary
from shrinkage.reports.table import table, table_text

__all__ = ["report_page", "summary", "table", "table_text"]
