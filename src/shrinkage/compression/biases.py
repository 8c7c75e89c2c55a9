"""What removed constants have added to the layers that read them goes into their biases."""

import torch
from torch import Tensor, nn

from shrinkage.compression.liveness import spread
from shrinkage.graph import Layer, Recording
from shrinkage.graph.cut import tensor_of


def shifts(model: nn.Module, record: Recording, removed: Tensor) -> dict[str, tuple[Layer, Tensor]]:
    """By weight: what its removed inputs add to each of its output units that stay.

    Exact where they are constants and no zeros are padded: Σ_j constant_j · Σ_k w[o, j, k].
    """
    found: dict[str, tuple[Layer, Tensor]] = {}
    for layer in record.layers:
        gone = removed[layer.inputs.long()]
        stays = ~removed[layer.outputs.long()]
        weight = tensor_of(model, layer.weight).detach()
        sums = spread(weight.flatten(2).sum(2) if weight.ndim > 2 else weight, layer)
        matrix = sums[stays][:, gone]
        constants = layer.constants[gone]
        known = torch.where(constants.isnan(), 0.0, constants)  # those are not read
        shift = matrix @ known.to(matrix)
        if bool(shift.any()):
            found[layer.weight] = (layer, shift)
    return found


def fold(model: nn.Module, found: dict[str, tuple[Layer, Tensor]]) -> None:
    """Add the shifts to the biases of the cut network, in place."""
    for weight, (layer, shift) in found.items():
        name = layer.bias or bias_of(weight)
        with torch.no_grad():
            bias = tensor_of(model, name)
            bias.add_(shift.to(bias))


def bias_of(weight: str) -> str:
    """Where a layer without a bias gets one."""
    return f"{weight.rpartition('.')[0]}.bias".strip(".")
