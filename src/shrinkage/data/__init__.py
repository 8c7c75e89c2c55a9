"""Where examples come from, and how they are cut into training, validation and test."""

from shrinkage.data._load import examples, from_user, load
from shrinkage.data._split import Split, split
from shrinkage.data._stream import Stream, stream
from shrinkage.data.examples import Examples, Spec, swapped
from shrinkage.data.source import Data

__all__ = [
    "Data",
    "Examples",
    "Spec",
    "Split",
    "Stream",
    "examples",
    "from_user",
    "load",
    "split",
    "stream",
    "swapped",
]
