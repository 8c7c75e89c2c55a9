"""How large the weights are that leave each feature."""

import torch
from torch import nn

from shrinkage.analysis.features.first_layers import first_layers
from shrinkage.analysis.features.naming import Features
from shrinkage.data import Spec


@torch.no_grad()
def input_weights(
    model: nn.Module, features: Features, spec: Spec
) -> dict[str, dict[str, float | None]]:
    """For each feature ``size``, the norm of its first layers' weights, and ``weight``.

    ``weight`` is None where there is more than one. Empty for networks without a dense first layer.
    """
    names = first_layers(model, spec.input_shape)
    if not names:
        return {}
    rows = torch.cat([model.get_parameter(f"{name}.weight".strip(".")).cpu() for name in names])
    blocks = [rows[:, list(mine)] for mine in features.inputs]
    return {
        name: {"size": float(block.norm()), "weight": block.item() if block.numel() == 1 else None}
        for name, block in zip(features.names, blocks, strict=True)
    }
