"""By kind of function: which unit an element of the result comes from, and whether it varies.

A rule returns the labels of each tensor of the result. A kind without a rule, and a call that a
rule does not know, is *opaque*: everything that goes in must stay, and what comes out is nobody's.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from shrinkage.graph.call import UnknownFunctionError, tensors
from shrinkage.graph.dims import dims_of
from shrinkage.graph.functions import Kind
from shrinkage.graph.label_layers import add_product, batch_norm, channel_map, layer, product
from shrinkage.graph.labels import LabelledCall, UnitLabels
from shrinkage.graph.units import NONE, Balance, along

if TYPE_CHECKING:
    from shrinkage.graph._trace import Tracer

LabelRule = Callable[[LabelledCall, "Tracer"], list[UnitLabels]]


# Element by element


def _elementwise(call: LabelledCall, tracer: "Tracer") -> list[UnitLabels]:
    result = call.result
    operands = list(tensors(call.args, call.kwargs))
    if not isinstance(result, Tensor) or call.get("out") is not None:
        raise UnknownFunctionError(call.name)
    labels = torch.zeros((), dtype=torch.float64).expand(result.shape)
    varies = torch.zeros(()).expand(result.shape)
    for operand in operands:
        units = call.of(operand)
        if units is not None:
            own = units.labels.expand(result.shape)
            tracer.units.join(labels, own)
            labels = _filled(labels, own)
            varies = torch.maximum(varies, _felt(call, operand, units).expand(result.shape))
    for operand in operands:
        if call.of(operand) is None:
            is_cut = _lay_over(operand, labels, result.ndim, tracer)
            if operand.requires_grad and not is_cut:  # it is learnt from all units
                varies = torch.maximum(varies, _teaches(call, operand).expand(result.shape))
    return [UnitLabels(labels, varies)]


def _filled(labels: Tensor, others: Tensor) -> Tensor:
    """``labels``, and the others where there are none; without a copy where one side has all."""
    empty = labels == NONE
    if not bool(empty.any()):
        return labels
    return others if bool(empty.all()) else torch.where(empty, others, labels)


def _felt(call: LabelledCall, operand: Tensor, units: UnitLabels) -> Tensor:
    """Where a factor's changes are felt: not where the other factor is a constant 0."""
    if call.kind is not Kind.PRODUCT or call.in_place:
        return units.varies
    others = [factor for factor in (call.get("input"), call.get("other")) if factor is not operand]
    if not others:
        return units.varies
    other = others[0]
    if not isinstance(other, Tensor):
        return units.varies * float(other != 0)
    known = call.of(other)
    moves = torch.zeros(()) if known is None else known.varies
    return units.varies * torch.maximum((other != 0).to(moves.dtype), moves)


def _teaches(call: LabelledCall, operand: Tensor) -> Tensor:
    """Where a constant unit has a part in the gradient of ``operand``: 0 only as its factor."""
    others = [t for t in call.args if isinstance(t, Tensor) and t is not operand]
    is_factor = call.kind in (Kind.PRODUCT, Kind.QUOTIENT) and not call.in_place
    return (others[0] != 0).float() if is_factor and len(others) == 1 else torch.ones(())


def _lay_over(constant: Tensor, labels: Tensor, ndim: int, tracer: "Tracer") -> bool:
    """A parameter laid over units (a scale per channel) loses entries with them; does it?"""
    name, is_cut = tracer.name_of(constant), False
    for dim, length in enumerate(constant.shape):
        if length == 1 or name is None:
            continue
        units, mixed = along(labels, ndim - constant.ndim + dim)
        if bool(mixed.any()):
            why = f"{tracer.where or 'the network'}: a parameter over units"
            tracer.units.keep(labels, why)
        elif bool(units.any()):
            tracer.note(name, dim, units)
            is_cut = True
    return is_cut


# Moving elements


def _alias(call: LabelledCall, _: "Tracer") -> list[UnitLabels]:
    return [call.only]


def _move(call: LabelledCall, _: "Tracer") -> list[UnitLabels]:
    if any(not t.is_floating_point() and call.of(t) for t in tensors(call.args, call.kwargs)):
        raise UnknownFunctionError("an index that depends on the input")
    labels = list(tensors(call.on(lambda units: units.labels)))
    varies = list(tensors(call.on(lambda units: units.varies.double())))
    return [UnitLabels(a, b.float()) for a, b in zip(labels, varies, strict=True)]


def _view(call: LabelledCall, _: "Tracer") -> list[UnitLabels]:
    if isinstance(call.get("size"), torch.dtype):
        raise UnknownFunctionError("other bits")
    units, shape = call.of(call.args[0]), call.result.shape  # of others, the shape alone
    if units is None:
        raise UnknownFunctionError("a constant")
    return [UnitLabels(units.labels.reshape(shape), units.varies.reshape(shape))]


def _pieces(call: LabelledCall, tracer: "Tracer") -> list[UnitLabels]:
    """What is cut by count stays in equal pieces."""
    pieces = _move(call, tracer)
    rows = [along(piece.labels, call.get("dim"))[0] for piece in pieces]
    if len({len(row) for row in rows}) == 1 and all(bool((row != NONE).all()) for row in rows):
        tracer.units.balances.append(Balance(torch.stack(rows), f"{tracer.where}/{call.name}"))
    return pieces


def _pad(call: LabelledCall, _: "Tracer") -> list[UnitLabels]:
    """A border in the unit's own place is the unit's; a border of more units is nobody's."""
    units, pad, mode = call.only, call.get("pad"), call.get("mode")
    if min(pad) < 0:
        raise UnknownFunctionError("a border that is cut off")
    varies = nn.functional.pad(units.varies.contiguous(), pad, mode=mode)
    labels = units.labels
    if mode != "constant":
        return [UnitLabels(nn.functional.pad(labels.contiguous(), pad, mode=mode), varies)]
    for k in range(len(pad) // 2):
        dim, border = labels.ndim - 1 - k, list(pad[2 * k : 2 * k + 2])
        low = labels.amin(dim, keepdim=True)
        if bool((low == labels).all()):
            length = labels.shape[dim] + sum(border)
            labels = low.expand(*labels.shape[:dim], length, *labels.shape[dim + 1 :])
        else:
            labels = nn.functional.pad(labels.contiguous(), [0, 0] * k + border)
    return [UnitLabels(labels, varies)]


# Over dimensions


def _reduce(call: LabelledCall, tracer: "Tracer") -> list[UnitLabels]:
    """Every element meets all along some dimensions, which stay, change their length, or go."""
    if isinstance(call.get("dim"), Tensor):  # the larger of two
        return _elementwise(call, tracer)
    if not isinstance(call.result, Tensor):
        raise UnknownFunctionError(f"{call.name} with indices")
    units, shape = call.only, call.result.shape
    dims = dims_of(call, units.labels.ndim)
    labels, varies = _uniform(call, tracer, dims), units.varies.amax(dims, keepdim=True)
    if labels.numel() == call.result.numel():
        return [UnitLabels(labels.reshape(shape), varies.reshape(shape))]
    return [UnitLabels(labels.expand(shape), varies.expand(shape))]


def _pool(call: LabelledCall, tracer: "Tracer") -> list[UnitLabels]:
    """The same within windows."""
    if not isinstance(call.result, Tensor):
        raise UnknownFunctionError(f"{call.name} with indices")
    labels = _uniform(call, tracer, dims_of(call, call.only.labels.ndim))
    varies = (call.having(call.only.varies) > 0).float()
    return [UnitLabels(labels.expand(call.result.shape), varies)]


def _uniform(call: LabelledCall, tracer: "Tracer", dims: tuple[int, ...]) -> Tensor:
    """The labels with length 1 along ``dims``; units that meet there must stay."""
    labels = call.only.labels
    low, high = labels.amin(dims, keepdim=True), labels.amax(dims, keepdim=True)
    mixed = low != high
    if bool(mixed.any()):
        where = tracer.where or "the network"
        tracer.units.keep(labels[mixed.expand(labels.shape)], f"{where}: {call.name} over units")
    return torch.where(mixed, NONE, low)


_BY_KIND: tuple[tuple[LabelRule, tuple[Kind, ...]], ...] = (
    (_elementwise, (Kind.MAP, Kind.JOIN, Kind.PRODUCT, Kind.QUOTIENT)),
    (channel_map, (Kind.CHANNEL_MAP,)),
    (_alias, (Kind.CAST, Kind.DETACH)),
    (_move, (Kind.MOVE, Kind.CONCATENATE)),
    (_view, (Kind.VIEW,)),
    (_pieces, (Kind.SPLIT,)),
    (_pad, (Kind.PAD,)),
    (layer, (Kind.LINEAR, Kind.CONVOLUTION, Kind.TRANSPOSED_CONVOLUTION)),
    (product, (Kind.MATMUL,)),
    (add_product, (Kind.ADDMM,)),
    (batch_norm, (Kind.BATCH_NORM, Kind.INSTANCE_NORM)),
    (_pool, (Kind.AVERAGE_POOL, Kind.MAX_POOL)),
    (_reduce, (Kind.SUM, Kind.REDUCE, Kind.EXTREME, Kind.MIX, Kind.RESIZE)),
)
RULES = {kind: rule for rule, kinds in _BY_KIND for kind in kinds}
"""The kinds by which units are followed."""
