"""What is drawn of a network, fixed before it trains: layers, sampled connections, first layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shrinkage.data import Data
from shrinkage.experiments.studies import describe_plan
from shrinkage.graph.layers import describe
from shrinkage.plans import Plan
from shrinkage.plans.grouping import Grouping, grouping
from shrinkage.reports.first_layer import FirstLayer

_LINES = 180
BINS = 41


@dataclass(frozen=True, eq=False)
class DrawnLayer:
    """One weight of more than one dimension as connections between inputs and units.

    A connection is a linear layer's weight or a convolution's kernel. ``pairs`` are the sampled
    connections (n, weights of each) as positions in the flat parameter; ``ends`` says which
    (input, unit) each one joins.
    """

    name: str
    path: str
    units: Grouping
    kernels: Grouping
    n_inputs: int
    pairs: Tensor
    ends: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """The same for every network of a session: they all have the same layers."""

    layers: tuple[DrawnLayer, ...]
    first: FirstLayer | None

    def layer(self, path: str) -> DrawnLayer | None:
        """The layer of a parameter."""
        return next((layer for layer in self.layers if layer.path == path), None)


def scene_of(plan: Plan, data: Data) -> Scene:
    """The scene of a network and its data."""
    drawn = [
        entry
        for entry in plan.penalised
        if len(entry.shape) > 1 and {"o", "i"} <= set(describe(plan.model, entry.path).layout.axes)
    ]
    layers = [_layer(plan, entry.name, entry.path) for entry in drawn]
    first = FirstLayer.of(describe_plan(plan), data.spec.input_shape, data.columns)
    return Scene(tuple(layers), first)


def _layer(plan: Plan, name: str, path: str) -> DrawnLayer:
    parameter = plan.model.get_parameter(path)
    layout = describe(plan.model, path).layout
    shape = tuple(parameter.shape)
    units, inputs, kernels = (
        grouping(name, shape, layout, by=by) for by in ("filter", "input", "kernel")
    )
    places = torch.arange(parameter.numel()).reshape(shape)
    pairs = kernels.view(places)
    if len(pairs) > _LINES:
        chosen = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))[:_LINES]
        pairs = pairs[chosen.sort().values]
    ends = zip(
        _row_of(inputs, places)[pairs[:, 0]].tolist(),
        _row_of(units, places)[pairs[:, 0]].tolist(),
        strict=True,
    )
    return DrawnLayer(name, path, units, kernels, inputs.n_groups, pairs, tuple(ends))


def _row_of(groups: Grouping, places: Tensor) -> Tensor:
    """For every weight the number of its group."""
    rows = groups.view(places)
    result = torch.empty(places.numel(), dtype=torch.long)
    result[rows] = torch.arange(len(rows)).unsqueeze(1).expand_as(rows)
    return result
