"""Copies of networks, or one error of ours."""

from torch import nn

from shrinkage.errors import CompactionError, told
from shrinkage.graph._copy import deepcopied


def copied(model: nn.Module) -> nn.Module:
    """A deep copy; :class:`CompactionError` where there is none."""
    try:
        return deepcopied(model)
    except Exception as error:  # what a network holds decides what deepcopy raises
        raise CompactionError(
            "the network cannot be copied",
            got=told(error),
            expected="a network that copy.deepcopy takes",
            remedy="Take off what holds it together: old weight_norm, open files, locks.",
        ) from error
