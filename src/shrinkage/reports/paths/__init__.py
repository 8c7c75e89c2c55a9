"""A path's run folder → rows, a table, figures and one page."""

from shrinkage.reports.paths.feature_table import feature_table
from shrinkage.reports.paths.notebook import path_figure
from shrinkage.reports.paths.page import path_page
from shrinkage.reports.paths.rows import path_rows
from shrinkage.reports.paths.table import path_table

__all__ = ["feature_table", "path_figure", "path_page", "path_rows", "path_table"]
