"""Weights that a layer computes from other parameters: which these are, and what they mean."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from torch import Tensor, nn
from torch.nn.utils.parametrizations import _Orthogonal, _SpectralNorm, _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


class WeightPart(Enum):
    """What a parameter is to the weight that is computed from it."""

    MASKED = "the weight before a mask"
    MAGNITUDE = "the norms of the weight's rows"
    DIRECTION = "the weight's rows, whose norms do not matter"
    SCALE_FREE = "the weight up to a factor"
    UNKNOWN = "something else"


@dataclass(frozen=True)
class Source:
    """A parameter from which ``weight``, of ``shape``, is computed, ``up`` modules above its own.

    ``dim``: the axis of the weight that a magnitude has one number for each index of; None for
    one number in all.
    """

    part: WeightPart
    weight: str
    shape: tuple[int, ...]
    note: str = ""
    up: int = 0
    dim: int | None = None


_MAGNITUDE = "the magnitude of weight_norm: |g| is the norm of the weight's row"
_DIRECTION = "the direction of weight_norm: its size has no meaning; the magnitude is penalised"
_SPECTRAL = "spectral_norm undoes its size: no penalty on it has a meaning"
_ORTHOGONAL = "the weight is orthogonal whatever this is: no penalty on it has a meaning"
_UNKNOWN = (
    "a parametrization computes the weight from it: its exact name, or a pattern of parameter "
    "names such as '*.original', includes it"
)


def source_of(chain: Sequence[nn.Module], steps: Sequence[str], name: str) -> Source | None:
    """What the parameter ``name`` of the last of these modules is the source of; None of nothing.

    Knows ``torch.nn.utils``: hooks (``weight_norm``, ``spectral_norm``, ``prune``), and
    parametrizations.
    """
    found = next(
        (k for k in reversed(range(len(chain))) if isinstance(chain[k], ParametrizationList)), None
    )
    if found is None:
        return next(_of_hooks(chain[-1], name), None)
    kept = chain[found]
    assert isinstance(kept, ParametrizationList)  # noqa: S101  (narrowing)
    # layer.parametrizations.weight: the layer is two up from the list
    up, weight = len(chain) - 1 - (found - 2), steps[found - 1]
    return _of_parametrization(kept, weight, name, up, is_own=found == len(chain) - 1)


def _of_hooks(module: nn.Module, name: str) -> Iterator[Source]:
    for hook in module._forward_pre_hooks.values():
        match hook:
            case WeightNorm():
                shape = _shape(module, f"{hook.name}_v")
                if name == f"{hook.name}_g":
                    dim = None if hook.dim == -1 else hook.dim
                    yield Source(WeightPart.MAGNITUDE, hook.name, shape, _MAGNITUDE, dim=dim)
                if name == f"{hook.name}_v":
                    yield Source(WeightPart.DIRECTION, hook.name, shape, _DIRECTION)
            case SpectralNorm() if name == f"{hook.name}_orig":
                yield Source(WeightPart.SCALE_FREE, hook.name, _shape(module, name), _SPECTRAL)
            case BasePruningMethod() if name == f"{hook._tensor_name}_orig":
                yield Source(WeightPart.MASKED, hook._tensor_name, _shape(module, name))


def _of_parametrization(
    kept: ParametrizationList, weight: str, name: str, up: int, *, is_own: bool
) -> Source:
    shape = _shape(kept, "original" if kept.is_tensor else "original0")
    only = kept[0] if len(kept) == 1 and is_own else None
    match only:
        case _WeightNorm():
            shape, dim = _shape(kept, "original1"), None if only.dim == -1 else only.dim
            if name == "original0":
                return Source(WeightPart.MAGNITUDE, weight, shape, _MAGNITUDE, up, dim)
            return Source(WeightPart.DIRECTION, weight, shape, _DIRECTION, up)
        case _SpectralNorm():
            return Source(WeightPart.SCALE_FREE, weight, shape, _SPECTRAL, up)
        case _Orthogonal():
            return Source(WeightPart.SCALE_FREE, weight, shape, _ORTHOGONAL, up)
        case _:
            return Source(WeightPart.UNKNOWN, weight, shape, _UNKNOWN, up)


def _shape(module: nn.Module, name: str) -> tuple[int, ...]:
    found = getattr(module, name)
    assert isinstance(found, Tensor)  # noqa: S101  (narrowing)
    return tuple(found.shape)
