"""Data, from the options that say how they are read."""

from typing import TYPE_CHECKING

from shrinkage.experiments.options import ReadingOptions

if TYPE_CHECKING:
    from shrinkage.data import Data


def loaded(data: str, reading: ReadingOptions) -> "Data":
    """What :func:`load` makes of them; it checks the words."""
    from shrinkage.data import load

    return load(data, **vars(reading))
