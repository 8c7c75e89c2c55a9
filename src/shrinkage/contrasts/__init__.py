"""Several columns side by side: same seeds, same budget, equal tries, chosen on validation."""

from shrinkage.contrasts.columns import COLUMNS, Column
from shrinkage.contrasts.contrasting import Contrast, contrast
from shrinkage.contrasts.settings import Setting

__all__ = ["COLUMNS", "Column", "Contrast", "Setting", "contrast"]
