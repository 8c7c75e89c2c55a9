"""Copies of networks, also of those whose weights a hook computes."""

import copy

from torch import Tensor, nn


def deepcopied(model: nn.Module) -> nn.Module:
    """A deep copy; raises whatever what the network holds does then."""
    computed = [  # as torch.nn.utils.prune leaves them; the hook computes them anew
        value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    return copy.deepcopy(model, {id(t): t.detach().clone() for t in computed})
