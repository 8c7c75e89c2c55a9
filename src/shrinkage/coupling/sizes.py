"""Which constants hold for inputs of every size: a sum over places, say, grows with them.

One run has shown its values for inputs of one shape. A value that no input of that shape changes
may still come from the number of places: in a mean, a border of zeros, a factor made from the
shape. Only functions named here are known to give the same constant at every size; 0 is left.
"""

import torch
from torch import Tensor

from shrinkage.coupling.shadows import Call, Shadow, tensors

_ACTIVATIONS = """
    relu relu6 leaky_relu rrelu prelu gelu silu mish sigmoid logsigmoid log_sigmoid hardsigmoid tanh
    hardtanh tanhshrink hardswish elu selu celu softplus softsign softshrink hardshrink threshold
    dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout
"""
_MOVES = """
    flatten unflatten ravel permute transpose t T mT swapaxes swapdims movedim moveaxis squeeze
    unsqueeze view reshape view_as reshape_as contiguous clone detach data to float double half
    bfloat16 type cpu cuda chunk split split_with_sizes tensor_split channel_shuffle pixel_shuffle
    pixel_unshuffle
"""
_LAYERS = """
    linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d matmul mm addmm
"""
_ALWAYS = frozenset(f"{_ACTIVATIONS} {_MOVES} {_LAYERS}".split())
_OF_PLACES = ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool")
_OF_OPERANDS = """
    add sub subtract mul multiply div divide true_divide truediv maximum minimum fmax fmin
    exp expm1 log1p sqrt square abs absolute neg negative sin cos erf erfc sign sgn
    cat concat concatenate
"""
_FOLLOWED = frozenset(_OF_OPERANDS.split())


def at_every_size(call: Call, made: list[Shadow]) -> list[Shadow]:
    """The shadows of a result, in which nonzero constants vary unless they hold at every size."""
    if _keeps_constants(call):
        return made
    return [
        Shadow(s.labels, torch.maximum(s.varies, (t != 0).to(s.varies)))
        for s, t in zip(made, tensors(call.result), strict=True)
    ]


def _keeps_constants(call: Call) -> bool:
    """Does it give the same constants from the same constants, however many places there are?"""
    if call.name in _ALWAYS:
        return True
    if call.name in _FOLLOWED:  # no number among them that Python may have made from a shape
        return _are_followed(call)
    if call.name == "batch_norm":
        return not call.option(5, "training") and call.option(1, "running_mean") is not None
    if call.name == "pad":
        return bool(call.option(2, "mode", "constant") != "constant")
    if call.name[:-2] in _OF_PLACES:
        has_border = _any(call.option(3, "padding", 0)) or bool(call.option(4, "ceil_mode"))
        return not (call.name.startswith("avg") and has_border)
    return False


def _are_followed(call: Call) -> bool:
    """Do all operands come from the network's input?"""
    operands = call.args[0] if call.name.startswith(("cat", "concat")) else call.args
    return bool(operands) and all(
        isinstance(value, Tensor) and call.shadow(value) is not None for value in operands
    )


def _any(widths: object) -> bool:
    return any(widths) if isinstance(widths, tuple | list) else bool(widths)
