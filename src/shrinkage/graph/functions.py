"""Every torch function that is known, named once: what kind it is and where its arguments are.

Functions of ``torch`` and ``torch.nn.functional``, methods, operators and in-place forms share a
name: ``torch.add``, ``x.add_(y)``, ``x += y`` and ``1 + x`` are all ``add``. Analyses have rules
by kind; what has no kind here is not known to any of them.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch.nn import functional

Kind = Enum(
    "Kind",
    """
    UNKNOWN FACT VALUE MAP CHANNEL_MAP JOIN PRODUCT QUOTIENT WRITE ASSIGN CAST DETACH MOVE VIEW
    CONCATENATE SPLIT PAD LINEAR CONVOLUTION TRANSPOSED_CONVOLUTION MATMUL ADDMM CONTRACTION
    EINSUM SUM REDUCE EXTREME CUMULATE MIX GATE AVERAGE_POOL MAX_POOL POWER_POOL RESIZE FOLD
    BATCH_NORM INSTANCE_NORM GROUP_NORM LAYER_NORM ATTENTION MULTI_HEAD_ATTENTION
    """,
)
"""What a function does to the elements of the tensors it reads; told by its members below."""


@dataclass(frozen=True)
class Function:
    """A torch function, by its one name.

    ``arguments``: the leading ones by position, each under all its names; ``defaults``: what they
    are where they are left out, if not None. ``keeps_constants``: the same constants give the same
    ones at every size of the input. ``is_homogeneous``: f(a·x) = a·f(x) for a > 0, channel by
    channel. ``in_python``: a builtin of that name takes its arguments in another order.
    """

    name: str
    kind: Kind = Kind.UNKNOWN
    arguments: tuple[tuple[str, ...], ...] = ()
    defaults: Mapping[str, Any] | None = None
    keeps_constants: bool = False
    is_homogeneous: bool = False
    in_python: bool = False

    @property
    def averaging(self) -> Callable[..., Any]:
        """Of a pooling function: torch's average over the same windows."""
        average: Callable[..., Any] = getattr(functional, re.sub("max|lp", "avg", self.name))
        return average

    @property
    def n_places(self) -> int:
        """Dimensions of places: 2 of ``conv2d``."""
        return int(self.name[-2])


def look_up(func: Callable[..., Any]) -> tuple[Function, bool]:
    """What is known of a function, and whether it writes into its first argument."""
    name = getattr(func, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", "")
        return FUNCTIONS.get(name, Function(name)), False
    if name in FUNCTIONS:
        found, in_place = FUNCTIONS[name], False
    else:
        plain, in_place = _plain(name)
        found = FUNCTIONS.get(plain, Function(plain))
    if found.in_python and inspect.isbuiltin(func):
        return Function(found.name), in_place
    return found, in_place


def named(module: str) -> Function:
    """What is known of the function that a class of modules is called after: ``AvgPool2d``."""
    return _SQUEEZED.get(module.lower(), Function(module))


def _plain(name: str) -> tuple[str, bool]:
    """The name without underscores, and whether they say that it writes into an argument."""
    if name.startswith("__"):
        plain = name.strip("_")
        is_variant = plain not in FUNCTIONS and plain[:1] in ("i", "r") and plain[1:] in FUNCTIONS
        return (plain[1:], plain[0] == "i") if is_variant else (plain, False)
    if name.startswith("_"):
        return name.removeprefix("_"), False
    return (name[:-1], True) if name.endswith("_") else (name, False)


def _row(
    kind: Kind,
    names: str,
    arguments: str = "input",
    *,
    keeps: bool = False,
    homogeneous: bool = False,
    in_python: bool = False,
    **defaults: Any,
) -> Iterator[Function]:
    places = tuple(tuple(argument.split("|")) for argument in arguments.split())
    for name in names.split():
        yield Function(name, kind, places, defaults, keeps, homogeneous, in_python)


_ROWS = (
    _row(Kind.MAP, "relu leaky_relu dropout dropout1d dropout2d dropout3d", keeps=True,
         homogeneous=True),
    _row(Kind.MAP, """
        relu6 rrelu gelu silu mish sigmoid logsigmoid log_sigmoid hardsigmoid tanh hardtanh
        tanhshrink hardswish elu selu celu softplus softsign softshrink hardshrink threshold
        alpha_dropout feature_alpha_dropout feature_dropout
    """, keeps=True),
    _row(Kind.MAP, """
        clamp clip clamp_min clamp_max exp expm1 exp2 log log1p log2 log10 sqrt rsqrt square abs
        absolute neg negative positive pos reciprocal sin cos tan asin acos atan sinh cosh asinh
        acosh atanh erf erfc sign sgn round floor ceil trunc frac special_expit expit logit
        nan_to_num logical_not bitwise_not invert isnan isinf isfinite
    """),
    # with a parameter for each channel
    _row(Kind.CHANNEL_MAP, "prelu", "input weight", keeps=True),
    # elements at the same place of several tensors
    _row(Kind.JOIN, """
        add sub subtract rsub floor_divide floordiv remainder mod fmod pow maximum minimum fmax fmin
        atan2 hypot where addcmul addcdiv lerp masked_fill gt lt ge le eq ne greater less
        greater_equal less_equal not_equal logical_and logical_or logical_xor bitwise_and bitwise_or
        bitwise_xor and or xor
    """),
    # the same, where a constant 0 leaves nothing
    _row(Kind.PRODUCT, "mul multiply", "input other"),
    _row(Kind.QUOTIENT, "div divide true_divide truediv"),
    _row(Kind.WRITE, "copy zero fill", "input source"),
    _row(Kind.ASSIGN, "setitem", "input index value"),
    # the same elements in another memory or dtype; in the same memory
    _row(Kind.CAST, "contiguous clone to float double half bfloat16 type cpu cuda", keeps=True),
    _row(Kind.CAST, "type_as"),
    _row(Kind.DETACH, "detach data", keeps=True),
    _row(Kind.MOVE, "flatten", keeps=True, homogeneous=True),
    _row(Kind.MOVE, """
        unflatten ravel permute transpose t T mT H mH swapaxes swapdims movedim moveaxis squeeze
        unsqueeze channel_shuffle pixel_shuffle pixel_unshuffle
    """, keeps=True),
    _row(Kind.MOVE, """
        unbind expand expand_as broadcast_to getitem select narrow index_select gather
        take_along_dim repeat repeat_interleave tile roll flip fliplr flipud rot90 unfold tril triu
        diagonal meshgrid atleast_1d atleast_2d atleast_3d real
    """),
    _row(Kind.VIEW, "view reshape view_as reshape_as", "input size|shape|dtype|other", keeps=True),
    _row(Kind.CONCATENATE, """
        cat concat concatenate stack hstack vstack dstack column_stack
    """, "tensors"),
    _row(Kind.SPLIT, "chunk split split_with_sizes tensor_split",
         "input chunks|split_size_or_sections|split_sizes|indices_or_sections dim", dim=0,
         keeps=True),
    _row(Kind.PAD, "pad", "input pad mode", mode="constant"),
    _row(Kind.LINEAR, "linear", "input weight bias", keeps=True),
    _row(Kind.CONVOLUTION, "conv1d conv2d conv3d",
         "input weight bias stride padding dilation groups", keeps=True, padding=0, groups=1),
    _row(Kind.TRANSPOSED_CONVOLUTION, "conv_transpose1d conv_transpose2d conv_transpose3d",
         "input weight bias stride padding output_padding groups", keeps=True, groups=1),
    # an input by a weight (in, out), or two inputs; and an addend
    _row(Kind.MATMUL, "matmul mm", "input other|mat2", keeps=True),
    _row(Kind.ADDMM, "addmm addmv baddbmm", "addend|input mat1|mat|batch1 mat2|vec|batch2",
         keeps=True),
    # linear in each of its tensors
    _row(Kind.CONTRACTION, "bmm mv dot inner outer", "input other|mat2|vec|vec2|tensor"),
    _row(Kind.CONTRACTION, "tensordot", "a b"),
    _row(Kind.CONTRACTION, "bilinear", "input1 input2 weight bias"),
    _row(Kind.EINSUM, "einsum", "equation"),
    _row(Kind.SUM, "sum mean nansum", "input dim|axis keepdim|keepdims", keepdim=False),
    # not linear
    _row(Kind.REDUCE, "amax amin logsumexp prod", "input dim|axis keepdim|keepdims", keepdim=False),
    _row(Kind.REDUCE, "std var", "input dim|axis", keepdim=False),
    _row(Kind.REDUCE, "norm linalg_vector_norm linalg_norm",
         "input p|ord dim|axis keepdim|keepdims", keepdim=False),
    # and its place along the dimension; or the larger of two
    _row(Kind.EXTREME, "max min", "input dim|axis|other keepdim|keepdims", keepdim=False),
    _row(Kind.CUMULATE, "cumsum cumprod logcumsumexp", "input dim|axis"),
    # each element with all along a dimension
    _row(Kind.MIX, "softmax log_softmax softmin", "input dim"),
    _row(Kind.MIX, "normalize", "input p dim", dim=1),
    _row(Kind.MIX, "local_response_norm", dim=1),
    _row(Kind.GATE, "glu", "input dim", dim=-1),
    _row(Kind.AVERAGE_POOL, "avg_pool1d avg_pool2d avg_pool3d",
         "input kernel_size stride padding ceil_mode", homogeneous=True),
    _row(Kind.AVERAGE_POOL, """
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    """, "input output_size", keeps=True, homogeneous=True),
    _row(Kind.MAX_POOL, "max_pool1d max_pool2d max_pool3d",
         "input kernel_size stride padding dilation ceil_mode", keeps=True, homogeneous=True,
         padding=0, dilation=1, ceil_mode=False),
    _row(Kind.POWER_POOL, "lp_pool1d lp_pool2d lp_pool3d",
         "input norm_type kernel_size stride ceil_mode", padding=0, dilation=1, ceil_mode=False),
    _row(Kind.MAX_POOL, """
        adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
    """, "input output_size", keeps=True, homogeneous=True),
    _row(Kind.RESIZE, "interpolate upsample", "input size scale_factor mode"),
    _row(Kind.FOLD, "fold"),
    _row(Kind.BATCH_NORM, "batch_norm", "input running_mean running_var weight bias training",
         in_python=True),
    _row(Kind.INSTANCE_NORM, "instance_norm",
         "input running_mean running_var weight bias training|use_input_stats", in_python=True,
         training=True),
    _row(Kind.GROUP_NORM, "group_norm", "input num_groups weight"),
    _row(Kind.LAYER_NORM, "layer_norm rms_norm", "input normalized_shape weight"),
    _row(Kind.ATTENTION, "scaled_dot_product_attention", "query key value"),
    _row(Kind.MULTI_HEAD_ATTENTION, "multi_head_attention_forward"),
    # a tensor's shape and no element, or a constant of that shape
    _row(Kind.FACT, """
        size dim numel ndimension nelement stride __len__ get_device element_size storage_offset
        data_ptr untyped_storage requires_grad_ has_names __hash__ __repr__
        is_coalesced is_complex is_conj is_contiguous is_distributed is_floating_point is_inference
        is_neg is_pinned is_same_size is_set_to is_shared is_signed is_tensor
        zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_empty
        new_full
    """),
    # elements as Python values
    _row(Kind.VALUE, """
        __bool__ item __float__ __int__ __index__ tolist numpy __array__ equal allclose
        __contains__ is_nonzero
    """),
)  # fmt: skip
_ALL = tuple(function for row in _ROWS for function in row)
FUNCTIONS = {function.name: function for function in _ALL}
"""What is known, by name."""

_SQUEEZED = {function.name.replace("_", ""): function for function in _ALL}
