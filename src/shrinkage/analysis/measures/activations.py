"""How strongly each layer answers, and how much of it its strongest unit carries."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.hooks import RemovableHandle

from shrinkage.data import Examples
from shrinkage.errors import DataError
from shrinkage.graph.untouched import brought, home, untouched
from shrinkage.graph.wrappers import canonical
from shrinkage.plans import Plan

MOST = 1000
_BATCH = 256


@dataclass(frozen=True)
class LayerActivity:
    """What one layer puts out, *before* any nonlinearity that follows it.

    ``mean_abs``: the mean |output| over examples, channels and positions. ``strongest_share``:
    the part (0…1) of Σ over channels of mean |output| that the strongest channel carries; 1/k
    where k channels are equally strong, 0 where the layer is silent. Channels are axis 1 of a
    convolution's output, the last axis of any other.
    """

    name: str
    mean_abs: float
    strongest_share: float


def activity(model: nn.Module, examples: Examples, plan: Plan) -> tuple[LayerActivity, ...]:
    """The activity of every layer that owns a penalised weight (more than one dimension).

    Runs the network in eval mode on at most 1000 examples, evenly spaced, and sums in float64.
    Layers that are never called as modules are left out. The network stays as it is.
    Raises :class:`DataError` for no examples.
    """
    return tuple(
        LayerActivity(
            name,
            float(means.mean()) if means.numel() else 0.0,
            float(means.max() / total) if (total := float(means.sum())) else 0.0,
        )
        for name, means in channels(model, examples, plan).items()
    )


def channels(model: nn.Module, examples: Examples, plan: Plan) -> Mapping[str, Tensor]:
    """Mean |output| of every channel, per layer and under the conditions of :func:`activity`."""
    if not len(examples):
        raise DataError(
            "no examples to measure activity on",
            got="0 examples",
            expected="at least one",
            remedy="Check how the data was cut into parts.",
        )
    n = min(MOST, len(examples))
    x = examples.x[torch.arange(n, device=examples.x.device) * len(examples) // n]
    meters = {name: _Meter(layer) for name, layer in _layers(model, plan).items()}
    handles: list[RemovableHandle] = []
    try:
        handles += [m.layer.register_forward_hook(m.read) for m in meters.values()]
        with untouched(model), torch.no_grad():
            for batch in torch.split(x, _BATCH):
                model(brought(batch, home(model)))
    finally:
        for handle in handles:
            handle.remove()
    return {
        name: meter.sums / max(1, meter.count)
        for name, meter in meters.items()
        if meter.sums is not None
    }


def owner_of(name: str) -> str:
    """The layer that a parameter's name belongs to; ``""`` for the network itself.

    >>> owner_of("features.0.weight"), owner_of("fc.parametrizations.weight.original")
    ('features.0', 'fc')
    """
    layer, parametrized, _ = name.partition(".parametrizations.")
    return layer if parametrized else name.rpartition(".")[0]


class _Meter:
    """Sums |output| per channel over the calls of one layer."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer
        self.sums: Tensor | None = None
        self.count = 0

    def read(self, layer: nn.Module, _: object, output: object) -> None:
        if isinstance(output, tuple) and output:
            output = output[0]
        if not isinstance(output, Tensor) or not output.is_floating_point() or not output.ndim:
            return
        axis = 1 if isinstance(layer, _ConvNd) else -1
        rows = output.detach().movedim(axis, 0).reshape(output.shape[axis], -1).double().abs()
        sums = rows.sum(dim=1)
        self.sums = sums if self.sums is None else self.sums + sums
        self.count += rows.shape[1]


def _layers(model: nn.Module, plan: Plan) -> dict[str, nn.Module]:
    modules = {canonical(name): module for name, module in model.named_modules() if name}
    modules[""] = model
    owners = dict.fromkeys(owner_of(e.name) for e in plan.penalised if len(e.shape) > 1)
    return {name: modules[name] for name in owners if name in modules}
