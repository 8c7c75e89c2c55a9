"""Which dense layers the inputs enter, each input by a column of weights of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from shrinkage.errors import RAISED
from shrinkage.graph.call import tensors
from shrinkage.graph.untouched import home, untouched

_ROWS = 1024
"""Inputs changed in one forward pass, at most."""


def first_layers(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the linear layers whose k-th input depends on the network's k-th input alone.

    Reshaping, scaling and standardising (in eval mode) before such a layer do not matter. Found by
    changing one input after the other: only the k-th input of the layer may change. Empty for a
    network that has none, such as a convolutional one, and for one that cannot take such inputs.
    """
    n = int(torch.Size(input_shape).numel())
    candidates = _linear(model, n)
    device, dtype = home(model)
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(n, generator=generator, dtype=torch.float64).to(device, dtype)
    found = set(candidates)
    with untouched(model), torch.no_grad(), _inputs(candidates) as seen:
        for changed in torch.split(torch.arange(n, device=device), _ROWS):
            rows = base.repeat(len(changed) + 1, 1)
            rows[torch.arange(len(changed)), changed] += 1.0
            seen.clear()
            try:
                model(rows.reshape(-1, *input_shape))
            except RAISED:  # a user's forward may fail in any way: then nothing is known
                return ()
            found = {name for name in found if name in seen and _own(seen[name], changed, n)}
    return tuple(name for name in candidates if name in found)


def _linear(model: nn.Module, n: int) -> dict[str, nn.Linear]:
    layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    return {name: layer for name, layer in layers.items() if layer.in_features == n}


def _own(seen: Tensor, changed: Tensor, n: int) -> bool:
    """Has each row but the last changed, against the last one, at its own input alone?"""
    if seen.shape != (len(changed) + 1, n):
        return False
    differs = seen[:-1] != seen[-1]
    own = differs[torch.arange(len(changed)), changed]
    return bool(own.all()) and int(differs.sum()) == len(changed)


@contextmanager
def _inputs(layers: dict[str, nn.Linear]) -> Iterator[dict[str, Tensor]]:
    """The first input of each layer in the forward passes inside."""
    seen: dict[str, Tensor] = {}

    def noting(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], dict[str, Tensor]], None]:
        def note(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
            seen.setdefault(name, next(tensors(args, kwargs)).detach())

        return note

    hooks = [
        layer.register_forward_pre_hook(noting(name), with_kwargs=True)
        for name, layer in layers.items()
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
