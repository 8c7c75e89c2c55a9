"""Which units may go: what nobody reads, and constants that can be folded into what follows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan

import torch
from torch import Tensor

from shrinkage.graph import NONE, Layer, Recording
from shrinkage.graph.units import distinct

Reasons = dict[int, str]
"""Why a class of units stays, by its smallest label."""


@dataclass(frozen=True, eq=False)
class Reader:
    """One layer by classes: who reads whom. ``touches`` (out, in): where a weight is not zero."""

    layer: Layer
    inputs: Tensor
    outputs: Tensor
    touches: Tensor


def readers(record: Recording, classes: Tensor, weights: Mapping[str, Tensor]) -> list[Reader]:
    """Every use of a weight. What is a constant in one use only is none for a bias to take up."""
    constants: dict[str, Tensor] = {}
    for layer in record.layers:
        known = constants.setdefault(layer.weight, layer.constants)
        constants[layer.weight] = torch.where(known == layer.constants, known, nan)
    return [
        Reader(
            replace(layer, constants=constants[layer.weight]),
            classes[layer.inputs.long()],
            classes[layer.outputs.long()],
            dense(weights[layer.weight], layer) != 0,
        )
        for layer in record.layers
    ]


def dense(weight: Tensor, layer: Layer) -> Tensor:
    """max|w| over the kernel as (all outputs, all inputs), zeros between groups."""
    return spread(weight.abs().flatten(2).amax(2) if weight.ndim > 2 else weight.abs(), layer)


def spread(matrix: Tensor, layer: Layer) -> Tensor:
    """(out, in / groups) as (out, in), or (in, out / groups) of a transposed convolution."""
    g = layer.groups
    blocks = matrix.reshape(g, matrix.shape[0] // g, matrix.shape[1])
    whole: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return whole.T if layer.transposed else whole


def removable(found: list[Reader], count: int, pins: Reasons) -> tuple[Tensor, Reasons]:
    """The classes, but for the pinned ones, that can go together.

    A class may go where every input of it is read by no unit that stays, or is a constant that
    can be folded: 0, or any where no zeros are padded around it. A constant that is read, and is
    itself made from a constant that stays, stays too: gradients go through it. What goes lets what
    it alone has read go: repeated to the fixed point, from nothing upward. Returns a mask by label
    of classes, and why the others stay.
    """
    removed = torch.zeros(count + 1, dtype=torch.bool)
    while True:
        reasons, is_read = dict(pins), torch.zeros_like(removed)
        for reader in found:
            for why, labels in _obstacles(reader, removed, is_read):
                for label in distinct(labels):
                    reasons.setdefault(label, why)
        for reader in found:
            stays = ~reader.layer.constants.isnan() & ~removed[reader.inputs]
            fed = reader.outputs[reader.touches[:, stays].any(dim=1)]
            for label in distinct(fed[is_read[fed]]):
                reasons.setdefault(label, "made from a constant that stays")
        goes = torch.ones_like(removed)
        goes[[NONE, *reasons]] = False
        if goes.equal(removed):
            return removed, reasons
        removed = goes


def _obstacles(reader: Reader, removed: Tensor, is_read: Tensor) -> list[tuple[str, Tensor]]:
    """Why inputs stay; ``is_read`` takes note of those that units which stay read."""
    layer = reader.layer
    read = reader.touches[~removed[reader.outputs]].any(dim=0)
    varies = layer.constants.isnan()
    is_read[reader.inputs[read]] = True
    where = layer.where or layer.weight
    padded = read & ~varies & (layer.constants != 0) & torch.tensor(layer.pads)
    return [
        (f"read by {where}", reader.inputs[read & varies]),
        (f"a constant into {where}, which pads with zeros", reader.inputs[padded]),
    ]
