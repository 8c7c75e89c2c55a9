"""Where examples come from, and how they are cut into training, validation and test."""

from shrinkage.data.examples import Examples, Spec
from shrinkage.data.loading import examples, from_user, load
from shrinkage.data.source import Data
from shrinkage.data.splitting import Split, split

__all__ = ["Data", "Examples", "Spec", "Split", "examples", "from_user", "load", "split"]
