"""Layers and channels: which units a weight reads and makes, and what each channel has of its own.

The rules of :mod:`label_rules` for functions that read parameters.
"""

from math import nan
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from shrinkage.graph.call import UnknownFunctionError
from shrinkage.graph.dims import dims_of
from shrinkage.graph.functions import Kind
from shrinkage.graph.labels import LabelledCall, UnitLabels
from shrinkage.graph.record import Layer
from shrinkage.graph.units import Balance, along

if TYPE_CHECKING:
    from shrinkage.graph._trace import Tracer


def layer(call: LabelledCall, tracer: "Tracer") -> list[UnitLabels]:
    """A convolution or a linear function: x and a weight (out, in / groups, …)."""
    x, weight = call.get("input"), call.get("weight")
    is_linear = call.kind is Kind.LINEAR
    if is_linear and weight.ndim != 2:
        raise UnknownFunctionError("linear with a single output")
    axis = x.ndim - 1 if is_linear else x.ndim - (weight.ndim - 1)
    used = _note(call, tracer, x, weight, axis)
    if used.groups > 1:
        key = f"{used.where}/{used.weight}"
        for labels in (used.inputs, used.outputs):
            blocks = labels.reshape(used.groups, -1)
            tracer.units.balances.append(Balance(blocks, key, whole=True))
    varies = call.units[id(x)].varies
    if used.pads:  # at the border a constant meets zeros: what comes out depends on the place
        varies = torch.maximum(varies, (x != 0).to(varies))
    return _made(used, axis, call.having(varies, (weight != 0).float(), None))


def product(call: LabelledCall, tracer: "Tracer") -> list[UnitLabels]:
    """x @ weight, the weight as (in, out)."""
    return _product(call, tracer, call.get("input"), call.get("other"))


def add_product(call: LabelledCall, tracer: "Tracer") -> list[UnitLabels]:
    """The same with a bias."""
    is_scaled = any(call.kwargs.get(name, 1) != 1 for name in ("alpha", "beta"))
    if call.get("addend").ndim != 1 or is_scaled:
        raise UnknownFunctionError("a bias that is scaled, or more than one")
    return _product(call, tracer, call.get("mat1"), call.get("mat2"))


def _product(call: LabelledCall, tracer: "Tracer", x: Tensor, weight: Tensor) -> list[UnitLabels]:
    if weight.ndim != 2 or call.get("out") is not None:
        raise UnknownFunctionError("a product of tensors")
    used = _note(call, tracer, x, weight, x.ndim - 1)
    return _made(used, x.ndim - 1, call.units[id(x)].varies @ (weight != 0).float())


def _note(call: LabelledCall, tracer: "Tracer", x: Tensor, weight: Tensor, axis: int) -> Layer:
    """Keep what a product of an input and a weight does to units."""
    units, name, bias = _operands(call, tracer, x, weight)
    inputs, mixed = along(units.labels, axis)
    if bool(mixed.any()):
        several = units.labels.movedim(axis, 0)[mixed]
        tracer.units.keep(several, f"{tracer.where or name} mixes units")
    constants = _constants(x, units.varies, axis)
    if bias is None and not tracer.takes_bias(name):
        # without a bias to fold them into, nonzero constants are no better than what varies
        constants = torch.where(constants == 0, constants, nan)
    is_convolution = call.kind in (Kind.CONVOLUTION, Kind.TRANSPOSED_CONVOLUTION)
    used = Layer(
        weight=name,
        bias=bias,
        where=tracer.where,
        inputs=inputs,
        outputs=tracer.outputs_of(name, call.result.shape[axis]),
        constants=constants,
        groups=call.get("groups") if is_convolution else 1,
        transposed=call.kind not in (Kind.LINEAR, Kind.CONVOLUTION),
        pads=is_convolution and _pads(call),
    )
    tracer.record.layers.append(used)
    return used


def _operands(
    call: LabelledCall, tracer: "Tracer", x: Tensor, weight: Tensor
) -> tuple[UnitLabels, str, str | None]:
    """What is known of the input; the names of weight and bias, which must be parameters."""
    units, name = call.of(x), tracer.name_of(weight)
    if units is None or call.of(weight) or name is None:
        raise UnknownFunctionError("a weight that is computed")
    bias = call.get("addend" if call.kind is Kind.ADDMM else "bias")
    bias_name = tracer.name_of(bias)
    if bias is not None and (call.of(bias) or bias_name is None):
        raise UnknownFunctionError("a bias that is computed")
    return units, name, bias_name


def _made(used: Layer, axis: int, moves: Tensor) -> list[UnitLabels]:
    """The output units of a layer; ``moves`` is above 0 where its inputs can change them."""
    shape = [1] * moves.ndim
    shape[axis] = -1
    labels = used.outputs.reshape(shape).expand(moves.shape)
    return [UnitLabels(labels, (moves > 0).float())]


def _pads(call: LabelledCall) -> bool:
    padding = call.get("padding")
    if call.kind is Kind.TRANSPOSED_CONVOLUTION:
        return True
    if padding == "same":
        return any(k > 1 for k in call.get("weight").shape[2:])
    widths = padding if isinstance(padding, tuple | list) else (padding,)
    return padding != "valid" and any(widths)


def _constants(x: Tensor, varies: Tensor, axis: int) -> Tensor:
    """The value per index of ``axis`` where it neither varies nor differs between places."""
    rest = [dim for dim in range(x.ndim) if dim != axis]
    values = x.double()
    low, high = (values.amin(rest), values.amax(rest)) if rest else (values, values)
    moves = varies.amax(rest) if rest else varies
    same = (high - low) <= 1e-13 * torch.maximum(high.abs(), low.abs())
    return torch.where((moves == 0) & same, low, nan)


def channel_map(call: LabelledCall, tracer: "Tracer") -> list[UnitLabels]:
    """A function with a parameter for each channel."""
    units, weight = call.only, call.get("weight")
    if weight.numel() > 1:
        _note_channels(tracer, units.labels, [weight])
        return [units]
    negative = (call.get("input") < 0).to(units.varies)  # from these the slope is learnt
    return [UnitLabels(units.labels, torch.maximum(units.varies, negative))]


def batch_norm(call: LabelledCall, tracer: "Tracer") -> list[UnitLabels]:
    """Batch and instance norm: each channel by its own statistics and scales."""
    units = call.of(call.get("input"))
    if units is None:
        raise UnknownFunctionError(f"{call.name} of a constant")
    weight = call.get("weight")
    state = [call.get(name) for name in ("running_mean", "running_var", "weight", "bias")]
    _note_channels(tracer, units.labels, [tensor for tensor in state if tensor is not None])
    varies = units.varies
    dims = dims_of(call, varies.ndim)
    if dims:
        varies = varies.amax(dims, keepdim=True).expand(varies.shape)
    if weight is not None:
        varies = varies * (weight != 0).float().reshape(1, -1, *[1] * (varies.ndim - 2))
    return [UnitLabels(units.labels, varies)]


def _note_channels(tracer: "Tracer", labels: Tensor, state: list[Tensor]) -> None:
    units, mixed = along(labels, 1)
    names = [tracer.name_of(tensor) for tensor in state]
    if bool(mixed.any()) or None in names:
        tracer.units.keep(labels, f"{tracer.where}: its statistics or scales are not its own")
        return
    for name in names:
        tracer.note(str(name), 0, units)
