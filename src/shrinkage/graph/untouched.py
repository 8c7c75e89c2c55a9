"""Running a network and leaving it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards modes, buffers and torch's random state are as before.

    That holds after an exception, too. A plain attribute that a network's ``forward`` writes to
    is beyond reach.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    with torch.random.fork_rng(_cuda_devices(model)):
        try:
            model.eval()
            yield
        finally:
            for module, training in modes:
                module.training = training
            for module, name, buffer, value in buffers:
                _restore(module, name, buffer, value)


Home = tuple[torch.device, torch.dtype]


def home(model: nn.Module) -> Home:
    """Device and dtype of the network's first floating-point parameter, or torch's defaults."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.device, parameter.dtype
    return torch.empty(0).device, torch.get_default_dtype()


def brought(tensor: Tensor, to: Home) -> Tensor:
    """``tensor`` on the network's device; a float tensor also in its dtype."""
    device, dtype = to
    return tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)


@torch.no_grad()
def _restore(module: nn.Module, name: str, buffer: Tensor, value: Tensor) -> None:
    if getattr(module, name, None) is not buffer:
        setattr(module, name, buffer)
    if not torch.equal(buffer, value):
        buffer.copy_(value)


def _cuda_devices(model: nn.Module) -> list[torch.device]:
    return list({p.device for p in model.parameters() if p.device.type == "cuda"})
