"""Where examples come from, and how they are cut into training, validation and test."""

from shrinkage.data.examples import Examples, Spec, swapped
from shrinkage.data.loading import examples, from_user, load
from shrinkage.data.source import Data
from shrinkage.data.splitting import Split, split
from shrinkage.data.streaming import Stream, stream

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
