"""What a parameter is to its layer: its role, and which axes are outputs, inputs and the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import prod

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.rnn import RNNBase, RNNCellBase


class Role(Enum):
    """Why a parameter is, or is not, penalised by default."""

    WEIGHT = "weight"
    BIAS = "bias"
    NORM = "normalisation"
    EMBEDDING = "embedding"
    OTHER = "other"


NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class Layout:
    """A parameter's axes, one letter each, after a reshape to ``split``.

    ``g`` convolution group, ``o`` output unit, ``i`` input unit, ``k`` anything inside a pair
    (kernel positions, gates). A grouped convolution (out, in/G, h, w) is ``goik`` with split
    (G, out/G, in/G, h·w).
    """

    split: tuple[int, ...]
    axes: str


@dataclass(frozen=True)
class Description:
    """Role and layout of one parameter."""

    role: Role
    layout: Layout


def describe(module: nn.Module, name: str, parameter: nn.Parameter) -> Description:
    """The role and layout of ``module``'s own parameter called ``name``."""
    shape = tuple(parameter.shape)
    if isinstance(module, NORMS):
        return Description(Role.NORM, _plain(shape))
    if name.startswith("bias") or name.endswith("_bias"):
        return Description(Role.BIAS, _plain(shape))
    for kinds, role, layout in _LAYERS:
        if isinstance(module, kinds):
            return Description(role, layout(module, shape))
    return Description(Role.OTHER, _plain(shape))


def _plain(shape: tuple[int, ...]) -> Layout:
    return Layout(shape, "o" + "k" * (len(shape) - 1)) if shape else Layout((1,), "o")


def _linear(_: nn.Module, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, "oi")


def _convolution(module: nn.Module, shape: tuple[int, ...]) -> Layout:
    assert isinstance(module, _ConvNd)  # noqa: S101  (narrowing)
    g = module.groups
    return Layout((g, shape[0] // g, shape[1], prod(shape[2:])), "goik")


def _transposed(module: nn.Module, shape: tuple[int, ...]) -> Layout:
    assert isinstance(module, _ConvNd)  # noqa: S101  (narrowing)
    g = module.groups
    return Layout((g, shape[0] // g, shape[1], prod(shape[2:])), "giok")


def _embedding(_: nn.Module, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, "io")


def _bilinear(_: nn.Module, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, "okk")


def _recurrent(module: nn.Module, shape: tuple[int, ...]) -> Layout:
    hidden = module.hidden_size
    assert isinstance(hidden, int)  # noqa: S101  (narrowing)
    if shape[0] % hidden:  # the projection of an LSTM: (projected, hidden)
        return Layout(shape, "oi")
    return Layout((shape[0] // hidden, hidden, shape[1]), "koi")


# The order matters: a transposed convolution is a _ConvNd too.
_LAYERS: tuple[
    tuple[tuple[type[nn.Module], ...], Role, Callable[[nn.Module, tuple[int, ...]], Layout]],
    ...,
] = (
    ((_ConvTransposeNd,), Role.WEIGHT, _transposed),
    ((_ConvNd,), Role.WEIGHT, _convolution),
    ((nn.Linear, nn.MultiheadAttention), Role.WEIGHT, _linear),
    ((nn.Bilinear,), Role.WEIGHT, _bilinear),
    ((RNNBase, RNNCellBase), Role.WEIGHT, _recurrent),
    ((nn.Embedding, nn.EmbeddingBag), Role.EMBEDDING, _embedding),
)
