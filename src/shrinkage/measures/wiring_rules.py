"""For each torch function its wiring: what reaches what. See ``wiring.py``."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from shrinkage.measures.marks import (
    Call,
    UnknownWiringError,
    indicator,
    is_marked,
    joined,
    mark,
    mixed,
    product,
    tensors,
    without_constants,
)

Rule = Callable[[Call], Any]


# Elementwise


def _same(call: Call) -> Tensor:
    return mark(call.only)


def _join(call: Call) -> Tensor:
    return joined(*tensors(call.args, call.kwargs))


def _multiply(call: Call) -> Tensor:
    a, b = call.args[0], call.option(1, "other")
    x, factor = (a, b) if is_marked(a) else (b, a)
    if is_marked(factor):
        return joined(x, factor)
    return mark(x * (indicator(factor, x) if isinstance(factor, Tensor) else float(factor != 0)))


def _copy(call: Call) -> Tensor:
    source = call.args[1]
    return source if is_marked(source) else torch.zeros_like(call.args[0])


def _clear(call: Call) -> Tensor:
    return torch.zeros_like(call.only)


# Products


def _layer(call: Call) -> Tensor:
    """linear and the convolutions: (input, weight, bias, …); the bias reaches nothing."""
    p = call.options("input", "weight", "bias")
    if is_marked(p["bias"]):
        raise UnknownWiringError("a bias that depends on the input")
    rest = {name: value for name, value in call.kwargs.items() if name not in p}
    return product(
        lambda x, weight: call.func(x, weight, None, *call.args[3:], **rest),
        p["input"],
        p["weight"],
    )


def _bilinear(call: Call) -> Tensor:
    return product(call.func, *call.args[:3])


def _matmul(call: Call) -> Tensor:
    other = call.option(1, "other", call.kwargs.get("mat2"))
    return product(call.func, call.args[0], other)


def _tensordot(call: Call) -> Tensor:
    return product(lambda a, b: call.func(a, b, *call.args[2:], **call.kwargs), *call.args[:2])


def _einsum(call: Call) -> Tensor:
    equation, *operands = call.args
    if not isinstance(equation, str):
        raise UnknownWiringError("einsum with sublists")
    return product(lambda *factors: call.func(equation, *factors), *tensors(operands))


def _add_product(call: Call) -> Tensor:
    """addmm and its kin: (addend, factor, factor)."""
    addend, *factors = call.args[:3]
    if not any(is_marked(factor) for factor in factors):
        raise UnknownWiringError(call.name)
    return joined(addend, product(torch.matmul, *factors))


# Moving elements


def _arrange(call: Call) -> Any:
    """Moves, copies and picks elements; constants that are laid beside them reach nothing."""
    return call.func(*without_constants(call.args), **call.kwargs)


def _alias(call: Call) -> Tensor:
    return call.only.view_as(call.only)


def _iterate(call: Call) -> Any:
    return iter(call.only.unbind(0))


def _pad(call: Call) -> Any:
    return call.func(call.only, call.option(1, "pad"), call.option(2, "mode", "constant"))


def _assign(call: Call) -> None:
    target, index, value = call.args
    if any(is_marked(tensor) for tensor in tensors(index)):
        raise UnknownWiringError("an index that depends on the input")
    if not is_marked(target):
        target.zero_()
    target[index] = value if is_marked(value) else 0


# Sums, maxima and normalisations


def _average(call: Call) -> Tensor:
    if "bicubic" in call.args or "bicubic" in call.kwargs.values():  # has negative weights
        raise UnknownWiringError("bicubic interpolation")
    _ = call.only
    return mark(call.func(*call.args, **call.kwargs))


def _cumulate(call: Call) -> Tensor:
    return mark(call.only.cumsum(call.option(1, "dim")))


class _Extremes(tuple[Tensor, Tensor]):
    """What ``max(dim)`` returns; its indices are marks, too, and cannot be used as indices."""

    __slots__ = ()

    @property
    def values(self) -> Tensor:
        """The marks."""
        return self[0]


def _reduce(at: int) -> Rule:
    """A function that takes one figure over ``dim``, its argument number ``at``."""

    def rule(call: Call) -> Any:
        is_extreme = call.name in ("max", "min")
        if is_extreme and isinstance(call.option(1, "other"), Tensor):
            return _join(call)
        if call.name in ("std", "var") and len(call.args) > 2:  # the old std(x, dim, unbiased)
            raise UnknownWiringError("std with positional options")
        dim = call.option(at, "dim", call.kwargs.get("axis"))
        if dim is None or dim == () or isinstance(dim, bool):
            return mark(call.only.mean())
        values = mark(call.only.mean(dim=dim, keepdim=call.option(at + 1, "keepdim", False)))
        return _Extremes((values, values)) if is_extreme else values

    return rule


def _soften(call: Call) -> Tensor:
    dim = call.option(1, "dim")
    if dim is None:
        raise UnknownWiringError("softmax without a dimension")
    return mixed(call.only, dim)


def _normalize(call: Call) -> Tensor:
    return mixed(call.only, call.option(2, "dim", 1))


def _neighbours(call: Call) -> Tensor:
    return mixed(call.only, 1)


def _gate(call: Call) -> Tensor:
    return joined(*call.only.chunk(2, dim=call.option(1, "dim", -1)))


def _max_pool(average: Callable[..., Tensor]) -> Rule:
    """Average pooling of the same geometry."""

    def rule(call: Call) -> Tensor:
        dilation = call.option(4, "dilation", 1)
        if any(d != 1 for d in (dilation if isinstance(dilation, tuple | list) else (dilation,))):
            raise UnknownWiringError("max pooling with dilation")
        return mark(
            average(
                call.only,
                call.option(1, "kernel_size"),
                call.option(2, "stride") or None,
                call.option(3, "padding", 0),
                call.option(5, "ceil_mode", False),
            )
        )

    return rule


def _adaptive_max_pool(average: Callable[..., Tensor]) -> Rule:
    return lambda call: mark(average(call.only, call.option(1, "output_size")))


def _power_pool(average: Callable[..., Tensor]) -> Rule:
    def rule(call: Call) -> Tensor:
        p = call.bound()
        return mark(average(call.only, p["kernel_size"], p["stride"], 0, p["ceil_mode"]))

    return rule


def _batch_norm(call: Call) -> Tensor:
    if inspect.isbuiltin(call.func):  # torch.batch_norm has another order than F.batch_norm
        raise UnknownWiringError("torch.batch_norm")
    p = call.options("input", "running_mean", "running_var", "weight", "bias", "training")
    x = call.only
    if p["training"] or p["running_mean"] is None:
        x = mixed(x, (0, *range(2, x.ndim)))
    return _scaled(x, p["weight"])


def _instance_norm(call: Call) -> Tensor:
    if inspect.isbuiltin(call.func):
        raise UnknownWiringError("torch.instance_norm")
    p = call.options("input", "running_mean", "running_var", "weight", "bias", "use_input_stats")
    x = call.only
    if p["use_input_stats"] is not False or p["running_mean"] is None:
        x = mixed(x, tuple(range(2, x.ndim)))
    return _scaled(x, p["weight"])


def _group_norm(call: Call) -> Tensor:
    p = call.options("input", "num_groups", "weight")
    x = call.only
    return _scaled(mixed(x.reshape(len(x), p["num_groups"], -1), -1).reshape(x.shape), p["weight"])


def _layer_norm(call: Call) -> Tensor:
    p = call.options("input", "normalized_shape", "weight")
    x = mixed(call.only, tuple(range(-len(p["normalized_shape"]), 0)))
    return x if p["weight"] is None else mark(x * indicator(p["weight"], x))


def _scaled(x: Tensor, weight: Tensor | None) -> Tensor:
    """x by the indicator of a normalisation's scale, one figure per channel (axis 1)."""
    if weight is None:
        return x
    return mark(x * indicator(weight, x).reshape(-1, *[1] * (x.ndim - 2)))


# Attention

_QKV = ("query", "key", "value")


def _attention(query: Tensor, key: Tensor, value: Tensor, positions: int) -> Tensor:
    """Every query reaches its own row, every key and value all rows; a mask is not read."""
    q, k, v = (t if is_marked(t) else torch.zeros_like(t) for t in (query, key, value))
    return mark(
        q.mean(dim=-1, keepdim=True)
        + k.mean(dim=(positions, -1), keepdim=True)
        + v.mean(dim=positions, keepdim=True)
    )


def _attend(call: Call) -> Tensor:
    query, key, value = (call.option(at, name) for at, name in enumerate(_QKV))
    if query.shape[:-2] != value.shape[:-2]:
        raise UnknownWiringError("attention with fewer keys than queries")
    return _attention(query, key, value, -2)


def _multi_head(call: Call) -> Any:
    """Three projections, attention per head, a projection; (positions, batch, features)."""
    p = call.bound()
    if p["bias_k"] is not None or p["bias_v"] is not None or p["add_zero_attn"]:
        raise UnknownWiringError("attention with extra keys")
    separate = [p[f"{letter}_proj_weight"] for letter in "qkv"]
    weights = separate if p["use_separate_proj_weight"] else p["in_proj_weight"].chunk(3)
    linear = nn.functional.linear
    heads = []
    for name, weight in zip(_QKV, weights, strict=True):
        x = p[name]
        y = product(linear, x, weight) if is_marked(x) else linear(x, torch.zeros_like(weight))
        heads.append(y.reshape(*y.shape[:-1], p["num_heads"], -1))
    mixed_heads = _attention(heads[0], heads[1], heads[2], 0)
    return product(linear, mixed_heads.flatten(-2), p["out_proj_weight"]), None


_SAME = """
    relu relu6 leaky_relu rrelu gelu silu mish sigmoid logsigmoid log_sigmoid hardsigmoid tanh
    hardtanh tanhshrink hardswish elu selu celu softplus softsign softshrink hardshrink threshold
    prelu clamp clip clamp_min clamp_max dropout dropout1d dropout2d dropout3d alpha_dropout
    feature_alpha_dropout feature_dropout exp expm1 exp2 log log1p log2 log10 sqrt rsqrt square abs
    absolute neg negative positive pos reciprocal sin cos tan asin acos atan sinh cosh asinh acosh
    atanh erf erfc sign sgn round floor ceil trunc frac special_expit expit logit nan_to_num
    logical_not bitwise_not invert isnan isinf isfinite
"""
_JOIN = """
    add sub subtract rsub div divide true_divide truediv floor_divide floordiv remainder mod fmod
    pow maximum minimum fmax fmin atan2 hypot where addcmul addcdiv lerp masked_fill gt lt ge le eq
    ne greater less greater_equal less_equal not_equal logical_and logical_or logical_xor
    bitwise_and bitwise_or bitwise_xor and or xor
"""
_ARRANGE = """
    view reshape view_as reshape_as flatten unflatten ravel permute transpose t swapaxes swapdims
    movedim moveaxis squeeze unsqueeze expand expand_as broadcast_to contiguous clone cat concat
    concatenate stack hstack vstack dstack column_stack chunk split split_with_sizes tensor_split
    unbind getitem select narrow index_select gather take_along_dim repeat repeat_interleave tile
    roll flip fliplr flipud rot90 pixel_shuffle pixel_unshuffle channel_shuffle unfold tril triu
    diagonal meshgrid atleast_1d atleast_2d atleast_3d to float double half bfloat16 type type_as
    cpu cuda
"""
_AVERAGE = """
    sum mean nansum avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d interpolate upsample fold
"""
_FACTS = """
    size dim numel ndimension nelement stride is_contiguous is_floating_point is_complex __len__
    get_device element_size is_same_size is_tensor zeros_like ones_like empty_like full_like
    rand_like randn_like new_zeros new_ones new_empty new_full
"""
_F = nn.functional
_TABLE: tuple[tuple[Rule, str], ...] = (
    (_same, _SAME),
    (_join, _JOIN),
    (_multiply, "mul multiply"),
    (_copy, "copy"),
    (_clear, "zero fill"),
    (_layer, "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"),
    (_bilinear, "bilinear"),
    (_matmul, "matmul mm bmm mv dot inner outer"),
    (_tensordot, "tensordot"),
    (_einsum, "einsum"),
    (_add_product, "addmm addmv baddbmm"),
    (_arrange, _ARRANGE),
    (_alias, "detach"),
    (_iterate, "iter"),
    (_pad, "pad"),
    (_assign, "setitem"),
    (_average, _AVERAGE),
    (_cumulate, "cumsum cumprod logcumsumexp"),
    (_reduce(1), "amax amin max min logsumexp prod std var"),
    (_reduce(2), "norm vector_norm linalg_vector_norm linalg_norm"),
    (_soften, "softmax log_softmax softmin"),
    (_normalize, "normalize"),
    (_neighbours, "local_response_norm"),
    (_gate, "glu"),
    (_max_pool(_F.avg_pool1d), "max_pool1d"),
    (_max_pool(_F.avg_pool2d), "max_pool2d"),
    (_max_pool(_F.avg_pool3d), "max_pool3d"),
    (_adaptive_max_pool(_F.adaptive_avg_pool1d), "adaptive_max_pool1d"),
    (_adaptive_max_pool(_F.adaptive_avg_pool2d), "adaptive_max_pool2d"),
    (_adaptive_max_pool(_F.adaptive_avg_pool3d), "adaptive_max_pool3d"),
    (_power_pool(_F.avg_pool1d), "lp_pool1d"),
    (_power_pool(_F.avg_pool2d), "lp_pool2d"),
    (_power_pool(_F.avg_pool3d), "lp_pool3d"),
    (_batch_norm, "batch_norm"),
    (_instance_norm, "instance_norm"),
    (_layer_norm, "layer_norm rms_norm"),
    (_group_norm, "group_norm"),
    (_attend, "scaled_dot_product_attention"),
    (_multi_head, "multi_head_attention_forward"),
)
RULES: dict[str, Rule] = {name: rule for rule, names in _TABLE for name in names.split()}
"""By the plain name of the function, whether of ``torch``, of ``functional`` or of a tensor."""

IN_PLACE = frozenset(
    name for name, rule in RULES.items() if rule in (_same, _join, _multiply, _copy, _clear)
)
"""Functions that also exist with an underscore, writing into their first argument."""

FACTS = frozenset(_FACTS.split())
"""Functions that read marks and return none of them: shapes and fresh constants."""
