"""Copies of networks, also of those whose weights a hook computes."""

import copy

from torch import Tensor, nn

from shrinkage.errors import CompactionError, told


def copied(model: nn.Module) -> nn.Module:
    """A deep copy; :class:`CompactionError` where there is none."""
    computed = [  # as torch.nn.utils.prune leaves them; the hook computes them anew
        value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    try:
        return copy.deepcopy(model, {id(t): t.detach().clone() for t in computed})
    except Exception as error:  # what a network holds decides what deepcopy raises
        raise CompactionError(
            "the network cannot be copied",
            got=told(error),
            expected="a network that copy.deepcopy takes",
            remedy="Take off what holds it together: old weight_norm, open files, locks.",
        ) from error
