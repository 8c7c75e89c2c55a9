"""How large, how many and how concentrated the penalised weights are."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from shrinkage.graph.layers import describe
from shrinkage.plans import Entry, Plan
from shrinkage.plans.grouping import grouping


@dataclass(frozen=True)
class LayerWeights:
    """The weights w of one penalised parameter, or of all of them (``name`` "total").

    - ``zeros`` are weights == 0.0, nothing is rounded; ``l1`` = Σ|w|, ``l2`` = ‖w‖₂ = √Σw².
    - ``top1`` and ``top10``: the share (0…1) of Σ|w| in the largest 1 % and 10 % of all weights,
      zeros included, rounded down to whole weights, at least one.
    - ``gini`` of |w|: 0 where all are equal, 1 − 1/n where one weight carries all.
    - ``units``: output units (filters, neurons); ``zero_units``: those whose own weights are all
      zero. None for parameters of one dimension.

    Where all weights are zero, all shares and the Gini index are 0.
    """

    name: str
    shape: tuple[int, ...]
    size: int
    zeros: int
    nonzeros: int
    l1: float
    l2: float
    max_abs: float
    top1: float
    top10: float
    gini: float
    units: int | None
    zero_units: int | None


@dataclass(frozen=True)
class WeightCounts:
    """Per penalised parameter, over all of them, and counts over *all* parameters."""

    layers: tuple[LayerWeights, ...]
    total: LayerWeights
    n_parameters: int
    nonzero_parameters: int


@torch.no_grad()
def weigh(plan: Plan) -> WeightCounts:
    """Counts, norms and concentration of what ``plan`` penalises, computed in float64."""
    blocks = [(entry, parameter.detach()) for entry, _, parameter in plan.blocks()]
    layers = tuple(_layer(plan, entry, weight) for entry, weight in blocks)
    everything = list(plan.model.parameters())
    values = torch.cat([weight.reshape(-1).double().cpu() for _, weight in blocks])
    total = _summary(
        "total",
        tuple(values.shape),
        values,
        units=_sum(layer.units for layer in layers),
        zero_units=_sum(layer.zero_units for layer in layers),
    )
    return WeightCounts(
        layers=layers,
        total=total,
        n_parameters=sum(p.numel() for p in everything),
        nonzero_parameters=sum(int(p.count_nonzero()) for p in everything),
    )


def gini(values: Tensor) -> float:
    """The Gini index of |values|: 1 − 2·Σₖ (c₍ₖ₎/Σc)·(n − k + ½)/n, with c₍₁₎ ≤ … ≤ c₍ₙ₎.

    0 where all are equal or all zero, 1 − 1/n where one carries all.
    Source: Hurley & Rickard, Comparing Measures of Sparsity (2009), table I.

    >>> gini(torch.tensor([0.0, 0.0, 0.0, 5.0]))
    0.75
    """
    return _gini(values.double().abs().reshape(-1).sort().values)


def _layer(plan: Plan, entry: Entry, weight: Tensor) -> LayerWeights:
    units = zero_units = None
    if weight.ndim > 1:
        layout = describe(plan.model, entry.path).layout
    if weight.ndim > 1 and "o" in layout.axes:
        rows = grouping(entry.name, entry.shape, layout, by="filter").view(weight)
        units, zero_units = len(rows), int((rows == 0).all(dim=1).sum())
    return _summary(entry.name, entry.shape, weight.reshape(-1).double(), units, zero_units)


def _summary(
    name: str,
    shape: tuple[int, ...],
    values: Tensor,
    units: int | None,
    zero_units: int | None,
) -> LayerWeights:
    size = values.numel()
    ordered = values.abs().sort().values
    l1 = float(ordered.sum())
    nonzeros = int(ordered.count_nonzero())
    return LayerWeights(
        name=name,
        shape=shape,
        size=size,
        zeros=size - nonzeros,
        nonzeros=nonzeros,
        l1=l1,
        l2=float(torch.linalg.vector_norm(ordered)),
        max_abs=float(ordered[-1]) if size else 0.0,
        top1=_share(ordered, size // 100, l1),
        top10=_share(ordered, size // 10, l1),
        gini=_gini(ordered),
        units=units,
        zero_units=zero_units,
    )


def _share(ordered: Tensor, count: int, l1: float) -> float:
    return min(1.0, float(ordered[-max(1, count) :].sum()) / l1) if l1 else 0.0


def _gini(ordered: Tensor) -> float:
    n, total = ordered.numel(), ordered.sum()
    if not float(total):
        return 0.0
    rank = torch.arange(n, 0, -1, dtype=ordered.dtype, device=ordered.device) - 0.5
    return max(0.0, 1 - 2 * float((ordered / total) @ rank) / n)


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
