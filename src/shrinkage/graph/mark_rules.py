"""By kind of function: which elements of its result do the marked ones reach? See :mod:`marks`.

Nonlinearities are replaced by the identity, products with a constant by its indicator (≠ 0),
products of two marked tensors by their sum, maxima and normalisations by means.
"""

from typing import Any

import torch
from torch import Tensor, nn

from shrinkage.graph.call import Call, UnknownFunctionError, tensors
from shrinkage.graph.dims import dims_of
from shrinkage.graph.functions import Kind
from shrinkage.graph.marks import (
    MarkRule,
    indicator,
    is_marked,
    joined,
    mark,
    mixed,
    multiplied,
    only,
    without_constants,
)

_F = nn.functional


# Element by element


def _same(call: Call) -> Tensor:
    return mark(only(call))


def _join(call: Call) -> Tensor:
    return joined(*tensors(call.args, call.kwargs))


def _multiply(call: Call) -> Tensor:
    a, b = call.get("input"), call.get("other")
    x, factor = (a, b) if is_marked(a) else (b, a)
    if is_marked(factor):
        return joined(x, factor)
    return mark(x * (indicator(factor, x) if isinstance(factor, Tensor) else float(factor != 0)))


def _write(call: Call) -> Tensor:
    source = call.get("source")
    return source if is_marked(source) else torch.zeros_like(call.get("input"))


def _assign(call: Call) -> None:
    target, index, value = call.args
    if any(is_marked(tensor) for tensor in tensors(index)):
        raise UnknownFunctionError("an index that depends on the input")
    if not is_marked(target):
        target.zero_()
    target[index] = value if is_marked(value) else 0


# Moving elements


def _move(call: Call) -> Any:
    """Moves, copies and picks elements; constants that are laid beside them reach nothing."""
    return call.func(*without_constants(call.args), **without_constants(call.kwargs))


def _alias(call: Call) -> Tensor:
    return only(call).view_as(only(call))


def _pad(call: Call) -> Tensor:
    return _F.pad(only(call), call.get("pad"), call.get("mode"))


# Products


def _product(call: Call) -> Tensor:
    """Of the leading arguments; a bias reaches nothing."""
    names = [names[0] for names in call.function.arguments]
    factors = names[: names.index("bias")] if "bias" in names else names
    if is_marked(call.get("bias")):
        raise UnknownFunctionError("a bias that depends on the input")
    none = [None] * ("bias" in names)
    return multiplied(lambda *values: call.having(*values, *none), *map(call.get, factors))


def _add_product(call: Call) -> Tensor:
    factors = call.get("mat1"), call.get("mat2")
    return joined(call.get("addend"), multiplied(torch.matmul, *factors))


def _einsum(call: Call) -> Tensor:
    equation, *operands = call.args
    if not isinstance(equation, str):
        raise UnknownFunctionError("einsum with sublists")
    return multiplied(lambda *factors: call.func(equation, *factors), *tensors(operands))


# Sums, maxima and normalisations


def _average(call: Call) -> Tensor:
    if call.get("mode") == "bicubic":  # has negative weights
        raise UnknownFunctionError("bicubic interpolation")
    _ = only(call)
    return mark(call.func(*call.args, **call.kwargs))


def _cumulate(call: Call) -> Tensor:
    return mark(only(call).cumsum(call.get("dim")))


class _Extremes(tuple[Tensor, Tensor]):
    """What ``max(dim)`` returns; its indices are marks, too, and cannot be used as indices."""

    __slots__ = ()

    @property
    def values(self) -> Tensor:
        """The marks."""
        return self[0]


def _reduce(call: Call) -> Tensor:
    if len(call.args) > len(call.function.arguments):  # the old std(x, dim, unbiased)
        raise UnknownFunctionError(f"{call.name} with positional options")
    x = only(call)
    return mark(x.mean(dims_of(call, x.ndim), call.get("keepdim")))


def _extreme(call: Call) -> Any:
    dim = call.get("dim")
    if isinstance(dim, Tensor):  # the larger of two
        return _join(call)
    values = _reduce(call)
    return values if dim is None else _Extremes((values, values))


def _gate(call: Call) -> Tensor:
    return joined(*only(call).chunk(2, dim=call.get("dim")))


def _max_pool(call: Call) -> Tensor:
    """Average pooling of the same geometry."""
    x, average, size = only(call), call.function.averaging, call.get("output_size")
    if size is not None:
        return mark(average(x, size))
    dilation = call.get("dilation")
    if any(d != 1 for d in (dilation if isinstance(dilation, tuple | list) else (dilation,))):
        raise UnknownFunctionError("max pooling with dilation")
    geometry = call.get("kernel_size"), call.get("stride") or None, call.get("padding")
    return mark(average(x, *geometry, call.get("ceil_mode")))


def _mix(call: Call) -> Tensor:
    """Every element reaches all along some dimensions; a scale that is 0 lets nothing through."""
    x, weight = only(call), call.get("weight")
    dims = dims_of(call, x.ndim)
    x = mixed(x, dims) if dims else x
    if weight is None:
        return x
    channels = weight if call.kind is Kind.LAYER_NORM else weight.reshape(-1, *[1] * (x.ndim - 2))
    return mark(x * indicator(channels, x))


def _group_norm(call: Call) -> Tensor:
    x, weight = only(call), call.get("weight")
    groups = mixed(x.reshape(len(x), call.get("num_groups"), -1), -1).reshape(x.shape)
    scale = torch.ones(()) if weight is None else weight.reshape(-1, *[1] * (x.ndim - 2))
    return mark(groups * indicator(scale, x))


# Attention

_QKV = ("query", "key", "value")


def _reached(query: Tensor, key: Tensor, value: Tensor, positions: int) -> Tensor:
    """Every query reaches its own row, every key and value all rows; a mask is not read."""
    q, k, v = (t if is_marked(t) else torch.zeros_like(t) for t in (query, key, value))
    return mark(
        q.mean(dim=-1, keepdim=True)
        + k.mean(dim=(positions, -1), keepdim=True)
        + v.mean(dim=positions, keepdim=True)
    )


def _attention(call: Call) -> Tensor:
    query, key, value = (call.get(name) for name in _QKV)
    if query.shape[:-2] != value.shape[:-2]:
        raise UnknownFunctionError("attention with fewer keys than queries")
    return _reached(query, key, value, -2)


def _multi_head_attention(call: Call) -> Any:
    """Three projections, attention per head, a projection; (positions, batch, features)."""
    p = call.bound()
    if p["bias_k"] is not None or p["bias_v"] is not None or p["add_zero_attn"]:
        raise UnknownFunctionError("attention with extra keys")
    separate = [p[f"{letter}_proj_weight"] for letter in "qkv"]
    weights = separate if p["use_separate_proj_weight"] else p["in_proj_weight"].chunk(3)
    heads = []
    for name, weight in zip(_QKV, weights, strict=True):
        x = p[name]
        is_read = is_marked(x)
        y = multiplied(_F.linear, x, weight) if is_read else _F.linear(x, torch.zeros_like(weight))
        heads.append(y.reshape(*y.shape[:-1], p["num_heads"], -1))
    mixed_heads = _reached(heads[0], heads[1], heads[2], 0)
    return multiplied(_F.linear, mixed_heads.flatten(-2), p["out_proj_weight"]), None


_BY_KIND: tuple[tuple[MarkRule, tuple[Kind, ...]], ...] = (
    (_same, (Kind.MAP, Kind.CHANNEL_MAP)),
    (_join, (Kind.JOIN, Kind.QUOTIENT)),
    (_multiply, (Kind.PRODUCT,)),
    (_write, (Kind.WRITE,)),
    (_assign, (Kind.ASSIGN,)),
    (_move, (Kind.CAST, Kind.MOVE, Kind.VIEW, Kind.CONCATENATE, Kind.SPLIT)),
    (_alias, (Kind.DETACH,)),
    (_pad, (Kind.PAD,)),
    (_product, (Kind.LINEAR, Kind.CONVOLUTION, Kind.TRANSPOSED_CONVOLUTION)),
    (_product, (Kind.MATMUL, Kind.CONTRACTION)),
    (_add_product, (Kind.ADDMM,)),
    (_einsum, (Kind.EINSUM,)),
    (_average, (Kind.SUM, Kind.AVERAGE_POOL, Kind.RESIZE, Kind.FOLD)),
    (_reduce, (Kind.REDUCE,)),
    (_extreme, (Kind.EXTREME,)),
    (_cumulate, (Kind.CUMULATE,)),
    (_max_pool, (Kind.MAX_POOL, Kind.POWER_POOL)),
    (_mix, (Kind.MIX, Kind.BATCH_NORM, Kind.INSTANCE_NORM, Kind.LAYER_NORM)),
    (_group_norm, (Kind.GROUP_NORM,)),
    (_gate, (Kind.GATE,)),
    (_attention, (Kind.ATTENTION,)),
    (_multi_head_attention, (Kind.MULTI_HEAD_ATTENTION,)),
)
RULES = {kind: rule for rule, kinds in _BY_KIND for kind in kinds}
"""The kinds by which marks are followed."""
