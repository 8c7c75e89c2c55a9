"""The columns of a contrast, and lanes of the live page: a file and a row of the table each."""

from shrinkage.experiments.columns.base import Column
from shrinkage.experiments.columns.early_stopping import BestEpoch
from shrinkage.experiments.columns.table import COLUMNS, LESSON, columns_named

__all__ = ["COLUMNS", "LESSON", "BestEpoch", "Column", "columns_named"]
