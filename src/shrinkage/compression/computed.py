"""Weights that are computed from others at every call, and how to make them plain ones."""

from collections.abc import Collection, Iterator

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

_HOOKS = {
    BasePruningMethod: ("_tensor_name", "pruning mask", "prune.remove"),
    WeightNorm: ("name", "weight norm", "remove_weight_norm"),
    SpectralNorm: ("name", "spectral norm", "remove_spectral_norm"),
}


def remedies(model: nn.Module, followed: Collection[str]) -> Iterator[str]:
    """Per layer whose weight a mask, a norm or a parametrization computes: what takes that off.

    ``followed``: the weights that could be followed all the same.
    """
    for name, module in model.named_modules():
        if any(weight.startswith(f"{name}." if name else "") for weight in followed):
            continue
        where = f"model.get_submodule({name!r})" if name else "model"
        for what, call in _calls(module, where):
            yield (
                f"{name or 'the network'}: kept as it is, its {what}. To let it shrink: "
                f"{call}, then compact again"
            )


def _calls(module: nn.Module, where: str) -> Iterator[tuple[str, str]]:
    for hook in module._forward_pre_hooks.values():
        for kind, (attribute, what, function) in _HOOKS.items():
            if isinstance(hook, kind):
                tensor = getattr(hook, attribute)
                yield f"{tensor} has a {what}", _removal(function, where, tensor)
    if parametrize.is_parametrized(module):
        for tensor in module.parametrizations:  # type: ignore[union-attr]
            call = _removal("parametrize.remove_parametrizations", where, tensor)
            yield f"{tensor} is parametrized", call


def _removal(function: str, where: str, tensor: str) -> str:
    return f"torch.nn.utils.{function}({where}, {tensor!r})"
