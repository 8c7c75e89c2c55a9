"""Which layers feed a normalisation layer, read from the structure without running the network."""

from collections.abc import Iterator
from itertools import pairwise

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from shrinkage.plans.layers import NORMS

# Scaling the input of these scales the output: a norm layer behind them still undoes it.
_HOMOGENEOUS: tuple[type[nn.Module], ...] = (
    nn.Identity,
    nn.ReLU,
    nn.LeakyReLU,
    nn.Dropout,
    nn.Dropout2d,
    nn.AvgPool2d,
    nn.MaxPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
)


def followed_by_norm(model: nn.Module) -> dict[str, str]:
    """Names of convolutions and linear layers whose output a normalisation layer rescales.

    Maps the layer's name to the norm's. Sure inside ``nn.Sequential``; elsewhere a batch,
    instance or group norm defined right behind a layer with as many outputs is taken for its
    successor. Such weights are scale-invariant: shrinking them lowers a penalty and leaves the
    loss alone (van Laarhoven, L2 Regularization versus Batch and Weight Normalization, 2017).
    """
    pairs: dict[str, str] = {}
    for prefix, module in model.named_modules():
        named = [(f"{prefix}.{name}" if prefix else name, m) for name, m in module.named_children()]
        kinds = NORMS if isinstance(module, nn.Sequential) else (_NormBase, nn.GroupNorm)
        for (name, layer), (norm_name, norm) in _neighbours(named):
            if isinstance(norm, kinds) and _outputs(layer) == _features(norm):
                pairs[name] = norm_name
    return pairs


def _neighbours(
    named: list[tuple[str, nn.Module]],
) -> Iterator[tuple[tuple[str, nn.Module], tuple[str, nn.Module]]]:
    solid = [(name, m) for name, m in named if not isinstance(m, _HOMOGENEOUS)]
    yield from pairwise(solid)


def _outputs(layer: nn.Module) -> int | None:
    if isinstance(layer, _ConvNd):
        return layer.out_channels
    return layer.out_features if isinstance(layer, nn.Linear) else None


def _features(norm: nn.Module) -> int | None:
    if isinstance(norm, _NormBase):
        return norm.num_features
    if isinstance(norm, nn.GroupNorm):
        return norm.num_channels
    shape = getattr(norm, "normalized_shape", ())
    return shape[-1] if shape else None
