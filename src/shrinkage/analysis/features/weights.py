"""How large the weights are that leave each feature."""

import torch
from torch import nn

from shrinkage.analysis.features.first_layers import first_layers
from shrinkage.analysis.features.names import Features
from shrinkage.data import Data


@torch.no_grad()
def input_weights(
    model: nn.Module, features: Features, data: Data
) -> dict[str, dict[str, float | None]]:
    """For each feature ``size``, the norm of its first layers' weights, and ``weight``.

    ``weight`` is that of the feature's number (beside it may stand where it is missing), and None
    where there is more than one. Empty for networks without a dense first layer.
    """
    names = first_layers(model, data.spec.input_shape)
    if not names:
        return {}
    rows = torch.cat([model.get_parameter(f"{name}.weight".strip(".")).cpu() for name in names])
    found: dict[str, dict[str, float | None]] = {}
    for name, mine in zip(features.names, features.inputs, strict=True):
        numbers = [k for k in mine if len(mine) == 1 or data.columns[k] == name]
        weights = rows[:, numbers]
        weight = weights.item() if weights.numel() == 1 else None
        found[name] = {"size": float(rows[:, list(mine)].norm()), "weight": weight}
    return found
