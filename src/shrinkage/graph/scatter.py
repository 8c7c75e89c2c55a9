"""Back from a cut network into the whole one: the inverse of cutting."""

import torch
from torch import Tensor, nn

from shrinkage.graph.cut import Cuts, cut_weight


@torch.no_grad()
def scatter_back(small: nn.Module, whole: nn.Module, cuts: Cuts) -> None:
    """Write the state of a cut network into the network it was cut from, in place.

    What was cut out stays as it is in ``whole``.
    """
    state = whole.state_dict()
    for name, tensor in small.state_dict().items():
        at = places(name, state[name], cuts)
        if at is None:
            state[name].copy_(tensor)
        else:
            state[name].copy_(
                state[name].flatten().index_copy(0, at, tensor.flatten()).view_as(state[name])
            )


@torch.no_grad()
def zero_removed(whole: nn.Module, cuts: Cuts) -> None:
    """Set the parameters of what ``cuts`` takes away to zero, in place.

    Statistics stay, and so do frozen parameters.
    """
    for name, parameter in whole.named_parameters():
        at = places(name, parameter, cuts)
        if at is not None and parameter.requires_grad:
            stays = torch.zeros(parameter.numel(), dtype=torch.bool, device=parameter.device)
            parameter.masked_fill_(~stays.index_fill(0, at, True).view_as(parameter), 0.0)


def places(name: str, whole: Tensor, cuts: Cuts) -> Tensor | None:
    """Where in the flattened ``whole`` each entry of the cut tensor comes from; None: uncut.

    The places are cut as the tensor is, so that the way back cannot be another one.
    """
    numbers = torch.arange(whole.numel(), device=whole.device).reshape(whole.shape)
    if name in cuts.weights:
        return cut_weight(numbers, cuts.weights[name])[0].flatten()
    if name in cuts.vectors:
        dim, kept = cuts.vectors[name]
        return numbers.index_select(dim, torch.tensor(kept, device=whole.device)).flatten()
    return None
