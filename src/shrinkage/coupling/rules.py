"""For each torch function: which unit an element of the result comes from, and whether it varies.

A rule returns one shadow per tensor of the result. A function without a rule, and a call that a
rule does not know, is *opaque*: everything that goes in must stay, and what comes out is nobody's.
"""

import inspect
from collections.abc import Callable
from math import nan
from typing import Protocol

import torch
from torch import Tensor, nn

from shrinkage.coupling.shadows import Call, Channelwise, Layer, Shadow, tensors
from shrinkage.coupling.units import NONE, Balance, Units, along


class OpaqueError(Exception):
    """A call whose effect on units is not known."""


class Context(Protocol):
    """What rules read and write of the run they are part of."""

    units: Units

    def name_of(self, tensor: Tensor | None) -> str | None:
        """The name of a parameter or buffer that only one layer owns; None for other tensors."""

    def outputs_of(self, weight: str, count: int) -> Tensor:
        """The labels of a weight's output units."""

    def takes_bias(self, weight: str) -> bool:
        """Whether the layer that is running owns the weight and would add a bias if it had one."""

    def note(self, record: Layer | Channelwise) -> None:
        """Keep a record."""

    @property
    def where(self) -> str:
        """The module that is running."""


Rule = Callable[[Call, Context], list[Shadow]]


def opaque(call: Call, context: Context, why: str) -> list[Shadow]:
    """Pin everything that goes in."""
    for shadow in call.known:
        context.units.pin(shadow.labels, why)
    return [
        Shadow(torch.zeros((), dtype=torch.float64).expand(t.shape), torch.ones(()).expand(t.shape))
        for t in tensors(call.result)
    ]


# Elementwise


_PRODUCTS = ("mul", "multiply", "div", "divide", "true_divide", "truediv")


def _elementwise(call: Call, context: Context) -> list[Shadow]:
    result = call.result
    operands = list(tensors(call.args, call.kwargs))
    if not isinstance(result, Tensor) or call.kwargs.get("out") is not None:
        raise OpaqueError
    labels = torch.zeros((), dtype=torch.float64).expand(result.shape)
    varies = torch.zeros(()).expand(result.shape)
    for operand in operands:
        shadow = call.shadow(operand)
        if shadow is None:
            continue
        found = shadow.labels.expand(result.shape)
        context.units.join(labels, found)
        labels = _filled(labels, found)
        varies = torch.maximum(varies, _felt(call, operand, shadow).expand(result.shape))
    for operand in operands:
        if call.shadow(operand) is None:
            is_cut = _follow(operand, labels, result.ndim, context)
            if operand.requires_grad and not is_cut:  # it is learnt from all units
                varies = torch.maximum(varies, _teaches(call, operand).expand(result.shape))
    return [Shadow(labels, varies)]


def _filled(labels: Tensor, others: Tensor) -> Tensor:
    """``labels``, and the others where there are none; without a copy where one side has all."""
    empty = labels == NONE
    if not bool(empty.any()):
        return labels
    return others if bool(empty.all()) else torch.where(empty, others, labels)


def _felt(call: Call, operand: Tensor, shadow: Shadow) -> Tensor:
    """Where a factor's changes are felt: not where the other factor is a constant 0."""
    if call.name not in _PRODUCTS[:2] or call.in_place:
        return shadow.varies
    others = [t for t in (call.args[0], call.option(1, "other")) if t is not operand]
    if not others:
        return shadow.varies
    other = others[0]
    if not isinstance(other, Tensor):
        return shadow.varies * float(other != 0)
    known = call.shadow(other)
    moves = torch.zeros(()) if known is None else known.varies
    return shadow.varies * torch.maximum((other != 0).to(moves.dtype), moves)


def _teaches(call: Call, operand: Tensor) -> Tensor:
    """Where a constant unit has a part in the gradient of ``operand``: 0 only as its factor."""
    others = [t for t in call.args if isinstance(t, Tensor) and t is not operand]
    if call.name in _PRODUCTS and len(others) == 1 and not call.in_place:
        return (others[0] != 0).float()
    return torch.ones(())


def _follow(constant: Tensor, labels: Tensor, ndim: int, context: Context) -> bool:
    """A parameter laid over units (a scale per channel) loses entries with them; does it?"""
    name, is_cut = context.name_of(constant), False
    for dim, length in enumerate(constant.shape):
        if length == 1:
            continue
        found, mixed = along(labels, ndim - constant.ndim + dim)
        if name is not None and not bool(mixed.any()):
            if bool(found.any()):
                context.note(Channelwise(name, dim, found))
                is_cut = True
        elif name is not None:
            context.units.pin(labels, f"{context.where or 'the network'}: a parameter over units")
    return is_cut


def _prelu(call: Call, context: Context) -> list[Shadow]:
    shadow, weight = _single(call), call.option(1, "weight")
    if weight.numel() > 1:
        _channelwise(context, shadow.labels, 1, {"weight": weight})
        return [shadow]
    negative = (call.option(0, "input") < 0).to(shadow.varies)  # from these the slope is learnt
    return [Shadow(shadow.labels, torch.maximum(shadow.varies, negative))]


def _alias(call: Call, context: Context) -> list[Shadow]:  # noqa: ARG001
    return [_single(call)]


# Moving elements


def _move(call: Call, context: Context) -> list[Shadow]:  # noqa: ARG001
    if any(not t.is_floating_point() and call.shadow(t) for t in tensors(call.args, call.kwargs)):
        raise OpaqueError  # an index that depends on the input
    labels = list(tensors(call.on(lambda shadow: shadow.labels)))
    varies = list(tensors(call.on(lambda shadow: shadow.varies.double())))
    return [Shadow(a, b.float()) for a, b in zip(labels, varies, strict=True)]


def _view(call: Call, context: Context) -> list[Shadow]:  # noqa: ARG001
    if isinstance(call.option(1, "size", call.kwargs.get("dtype")), torch.dtype):
        raise OpaqueError
    shadow, shape = call.shadow(call.args[0]), call.result.shape  # of others, the shape alone
    if shadow is None:
        raise OpaqueError
    return [Shadow(shadow.labels.reshape(shape), shadow.varies.reshape(shape))]


def _pieces(call: Call, context: Context) -> list[Shadow]:
    """chunk and its kin: what is cut by count stays in equal pieces."""
    found = _move(call, context)
    rows = [along(piece.labels, call.option(2, "dim", 0))[0] for piece in found]
    if len({len(row) for row in rows}) == 1 and all(bool((row != NONE).all()) for row in rows):
        context.units.balances.append(Balance(torch.stack(rows), f"{context.where}/{call.name}"))
    return found


def _pad(call: Call, context: Context) -> list[Shadow]:  # noqa: ARG001
    """A border in the unit's own place is the unit's; a border of more units is nobody's."""
    shadow, (pad, mode) = _single(call), (call.option(1, "pad"), call.option(2, "mode", "constant"))
    if min(pad) < 0:
        raise OpaqueError
    varies = nn.functional.pad(shadow.varies.contiguous(), pad, mode=mode)
    if mode != "constant":
        return [Shadow(nn.functional.pad(shadow.labels.contiguous(), pad, mode=mode), varies)]
    labels = shadow.labels
    for k in range(len(pad) // 2):
        dim, border = labels.ndim - 1 - k, list(pad[2 * k : 2 * k + 2])
        low = labels.amin(dim, keepdim=True)
        if bool((low == labels).all()):
            length = labels.shape[dim] + sum(border)
            labels = low.expand(*labels.shape[:dim], length, *labels.shape[dim + 1 :])
        else:
            labels = nn.functional.pad(labels.contiguous(), [0, 0] * k + border)
    return [Shadow(labels, varies)]


# Products


def _layer(call: Call, context: Context) -> list[Shadow]:
    x, weight, bias = (call.option(k, n) for k, n in enumerate(("input", "weight", "bias")))
    transposed, linear = call.name.startswith("conv_transpose"), call.name == "linear"
    if linear and weight.ndim != 2:
        raise OpaqueError
    groups = 1 if linear else call.option(6, "groups", 1)
    axis = x.ndim - 1 if linear else x.ndim - (weight.ndim - 1)
    pads = transposed or not (linear or _unpadded(call))
    used = _noted(call, context, (x, weight, bias), axis, groups, transposed, pads)
    if groups > 1:
        key = f"{used.where}/{used.weight}"
        for labels in (used.inputs, used.outputs):
            context.units.balances.append(Balance(labels.reshape(groups, -1), key, whole=True))
    varies = call.shadows[id(x)].varies
    if pads:  # at the border a constant meets zeros: what comes out depends on the place
        varies = torch.maximum(varies, (x != 0).to(varies))
    args = (varies, (weight != 0).float(), None, *call.args[3:])
    rest = {k: v for k, v in call.kwargs.items() if k not in ("input", "weight", "bias")}
    return [_made(used, axis, call.func(*args, **rest))]


def _matmul(call: Call, context: Context) -> list[Shadow]:
    """x @ weight, the weight as (in, out); addmm adds a bias first."""
    if call.name == "addmm":
        bias, x, weight = (call.option(k, n) for k, n in enumerate(("input", "mat1", "mat2")))
        if bias.ndim != 1 or call.kwargs.get("alpha", 1) != 1 or call.kwargs.get("beta", 1) != 1:
            raise OpaqueError
    else:
        x, weight = call.args[0], call.option(1, "mat2" if call.name == "mm" else "other")
        bias = None
    if weight.ndim != 2 or call.kwargs.get("out") is not None:
        raise OpaqueError
    used = _noted(call, context, (x, weight, bias), x.ndim - 1, 1, transposed=True, pads=False)
    return [_made(used, x.ndim - 1, call.shadows[id(x)].varies @ (weight != 0).float())]


def _noted(
    call: Call,
    context: Context,
    operands: tuple[Tensor, Tensor, Tensor | None],
    axis: int,
    groups: int,
    transposed: bool,
    pads: bool,
) -> Layer:
    """What a product of an input and a weight does to units, which is kept."""
    x, weight, bias = operands
    name = context.name_of(weight)
    shadow = call.shadow(x)
    if shadow is None or call.shadow(weight) or name is None:
        raise OpaqueError
    if bias is not None and (call.shadow(bias) or context.name_of(bias) is None):
        raise OpaqueError
    inputs, mixed = along(shadow.labels, axis)
    if bool(mixed.any()):
        context.units.pin(
            shadow.labels.movedim(axis, 0)[mixed], f"{context.where or name} mixes units"
        )
    constants, can_add = _constants(x, shadow.varies, axis), context.takes_bias(name)
    layer = Layer(
        weight=name,
        bias=context.name_of(bias),
        where=context.where,
        inputs=inputs,
        outputs=context.outputs_of(name, call.result.shape[axis]),
        constants=_zeros_only(constants) if bias is None and not can_add else constants,
        groups=groups,
        transposed=transposed,
        pads=pads,
    )
    context.note(layer)
    return layer


def _made(layer: Layer, axis: int, moves: Tensor) -> Shadow:
    """The output units of a layer; ``moves`` is above 0 where its inputs can change them."""
    shape = [1] * moves.ndim
    shape[axis] = -1
    return Shadow(layer.outputs.reshape(shape).expand(moves.shape), (moves > 0).float())


def _unpadded(call: Call) -> bool:
    padding = call.option(4, "padding", 0)
    if padding == "same":
        return all(k == 1 for k in call.option(1, "weight").shape[2:])
    widths = padding if isinstance(padding, tuple | list) else (padding,)
    return padding == "valid" or not any(widths)


def _constants(x: Tensor, varies: Tensor, axis: int) -> Tensor:
    """The value per index of ``axis`` where it neither varies nor differs between places."""
    rest = [dim for dim in range(x.ndim) if dim != axis]
    values = x.double()
    low, high = (values.amin(rest), values.amax(rest)) if rest else (values, values)
    moves = varies.amax(rest) if rest else varies
    same = (high - low) <= 1e-13 * torch.maximum(high.abs(), low.abs())
    return torch.where((moves == 0) & same, low, nan)


def _zeros_only(constants: Tensor) -> Tensor:
    """Without a bias to fold them into, nonzero constants are no better than what varies."""
    return torch.where(constants == 0, constants, nan)


# Normalisation


def _channelwise(
    context: Context, labels: Tensor, axis: int, state: dict[str, Tensor | None]
) -> None:
    found, mixed = along(labels, axis)
    names = {key: context.name_of(tensor) for key, tensor in state.items() if tensor is not None}
    if bool(mixed.any()) or None in names.values():
        context.units.pin(labels, f"{context.where}: its statistics or scales are not its own")
        return
    for name in names.values():
        context.note(Channelwise(str(name), 0, found))


_STATE = ("running_mean", "running_var", "weight", "bias")


def _per_channel_norm(call: Call, context: Context) -> list[Shadow]:
    if inspect.isbuiltin(call.func):  # torch.batch_norm has another order than F.batch_norm
        raise OpaqueError
    shadow = call.shadow(call.option(0, "input"))
    state = {name: call.option(at, name) for at, name in enumerate(_STATE, start=1)}
    if shadow is None:
        raise OpaqueError
    _channelwise(context, shadow.labels, 1, state)
    varies = shadow.varies
    flag = call.option(5, "training" if call.name == "batch_norm" else "use_input_stats")
    mixes = bool(flag) or state["running_mean"] is None or call.name == "instance_norm"
    if mixes:
        first = 0 if call.name == "batch_norm" else 2
        dims = [0, *range(2, varies.ndim)] if first == 0 else list(range(2, varies.ndim))
        varies = varies.amax(dims, keepdim=True).expand(varies.shape)
    if state["weight"] is not None:
        scale = (state["weight"] != 0).float().reshape(1, -1, *[1] * (varies.ndim - 2))
        varies = varies * scale
    return [Shadow(shadow.labels, varies)]


# Over places


def _pool(dims: int) -> Rule:
    def rule(call: Call, context: Context) -> list[Shadow]:
        if not isinstance(call.result, Tensor):
            raise OpaqueError
        labels = _uniform(call, context, list(range(-dims, 0)))
        marks = call.func(_single(call).varies, *call.args[1:], **call.kwargs)
        return [Shadow(labels.expand(call.result.shape), (marks > 0).float())]

    return rule


def _resize(call: Call, context: Context) -> list[Shadow]:
    shadow = _single(call)
    dims = list(range(2, shadow.labels.ndim))
    labels = _uniform(call, context, dims)
    varies = shadow.varies.amax(dims, keepdim=True)
    return [Shadow(labels.expand(call.result.shape), varies.expand(call.result.shape))]


def _reduce(call: Call, context: Context) -> list[Shadow]:
    shadow = _single(call)
    dim = call.option(1, "dim", call.kwargs.get("axis"))
    if not isinstance(call.result, Tensor) or isinstance(dim, Tensor | bool):
        raise OpaqueError
    if dim is None or dim == ():
        dim = list(range(shadow.labels.ndim))
    dims = [d % shadow.labels.ndim for d in ([dim] if isinstance(dim, int) else dim)]
    shape = call.result.shape
    labels = _uniform(call, context, dims).reshape(shape)
    return [Shadow(labels, shadow.varies.amax(dims, keepdim=True).reshape(shape))]


def _soften(call: Call, context: Context) -> list[Shadow]:
    shadow, dim = _single(call), call.option(1, "dim")
    if dim is None:
        raise OpaqueError
    labels = _uniform(call, context, [dim])
    shape = call.result.shape
    return [Shadow(labels.expand(shape), shadow.varies.amax(dim, keepdim=True).expand(shape))]


def _uniform(call: Call, context: Context, dims: list[int]) -> Tensor:
    """The labels with length 1 along ``dims``; units that meet there are pinned."""
    labels = _single(call).labels
    low, high = labels.amin(dims, keepdim=True), labels.amax(dims, keepdim=True)
    mixed = low != high
    if bool(mixed.any()):
        where = context.where or "the network"
        context.units.pin(labels[mixed.expand(labels.shape)], f"{where}: {call.name} over units")
    return torch.where(mixed, NONE, low)


def _single(call: Call) -> Shadow:
    first = call.option(0, "input")
    shadow = call.shadow(first) if isinstance(first, Tensor) else None
    if shadow is None or len(call.known) > 1:
        raise OpaqueError
    return shadow


_ELEMENTWISE = """
    relu relu6 leaky_relu rrelu gelu silu mish sigmoid logsigmoid log_sigmoid hardsigmoid tanh
    hardtanh tanhshrink hardswish elu selu celu softplus softsign softshrink hardshrink threshold
    clamp clip clamp_min clamp_max dropout dropout1d dropout2d dropout3d alpha_dropout
    feature_alpha_dropout feature_dropout exp expm1 exp2 log log1p log2 log10 sqrt rsqrt square abs
    absolute neg negative positive pos reciprocal sin cos tan asin acos atan sinh cosh asinh acosh
    atanh erf erfc sign sgn round floor ceil trunc frac special_expit expit logit nan_to_num
    add sub subtract rsub mul multiply div divide true_divide truediv floor_divide floordiv
    remainder mod fmod pow maximum minimum fmax fmin atan2 hypot where addcmul addcdiv lerp
    masked_fill gt lt ge le eq ne greater less greater_equal less_equal not_equal logical_not
    logical_and logical_or logical_xor
"""
_MOVE = """
    unbind flatten unflatten ravel permute transpose t swapaxes swapdims movedim moveaxis squeeze
    unsqueeze expand expand_as broadcast_to cat concat concatenate stack hstack vstack dstack
    column_stack getitem select narrow index_select gather take_along_dim repeat
    repeat_interleave tile roll flip fliplr flipud rot90 pixel_shuffle pixel_unshuffle
    channel_shuffle unfold tril triu diagonal
"""
_REDUCE = "sum mean nansum amax amin logsumexp prod std var"
_TABLE: tuple[tuple[Rule, str], ...] = (
    (_elementwise, _ELEMENTWISE),
    (_prelu, "prelu"),
    (_alias, "contiguous clone detach to float double half bfloat16 type cpu cuda"),
    (_move, _MOVE),
    (_view, "view reshape view_as reshape_as"),
    (_pieces, "chunk split split_with_sizes tensor_split"),
    (_pad, "pad"),
    (_layer, "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"),
    (_matmul, "matmul mm addmm"),
    (_per_channel_norm, "batch_norm instance_norm"),
    (_pool(1), "max_pool1d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d"),
    (_pool(2), "max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d"),
    (_pool(3), "max_pool3d avg_pool3d adaptive_avg_pool3d adaptive_max_pool3d"),
    (_resize, "interpolate upsample"),
    (_reduce, _REDUCE),
    (_soften, "softmax log_softmax softmin"),
)
RULES: dict[str, Rule] = {name: rule for rule, names in _TABLE for name in names.split()}
"""By the plain name of the function, whether of ``torch``, of ``functional`` or of a tensor."""

_FACTS = """
    size dim numel ndimension nelement stride is_contiguous is_floating_point is_complex __len__
    get_device element_size is_same_size is_tensor zeros_like ones_like empty_like full_like
    rand_like randn_like new_zeros new_ones new_empty new_full requires_grad_ storage_offset
    data_ptr untyped_storage __hash__ __repr__ has_names is_leaf
"""
_VALUES = """
    __bool__ item __float__ __int__ __index__ tolist numpy __array__ equal allclose __contains__
"""
FACTS = frozenset(_FACTS.split())
"""Functions that read a tensor's shape and no element."""

VALUES = frozenset(_VALUES.split())
"""Functions that turn elements into Python values: the network's way may depend on its input."""
