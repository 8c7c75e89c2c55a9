"""Several columns side by side: same seeds, same budget, equal tries, chosen on validation."""

from shrinkage.experiments.columns import COLUMNS, Column
from shrinkage.experiments.contrasts._contrast import Contrast, contrast
from shrinkage.experiments.contrasts.settings import ContrastSetting

__all__ = ["COLUMNS", "Column", "Contrast", "ContrastSetting", "contrast"]
