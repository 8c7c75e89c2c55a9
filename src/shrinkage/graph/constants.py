"""Which constants hold for inputs of every size: a sum over places, say, grows with them.

One run has shown its values for inputs of one shape. A value that no input of that shape changes
may still come from the number of places: in a mean, a border of zeros, a factor made from the
shape. Only functions for which that is known give the same constant at every size; 0 is left.
"""

from collections.abc import Callable

import torch

from shrinkage.graph.call import tensors
from shrinkage.graph.dims import dims_of
from shrinkage.graph.functions import Kind
from shrinkage.graph.labels import LabelledCall, UnitLabels


def at_every_size(call: LabelledCall, made: list[UnitLabels]) -> list[UnitLabels]:
    """Those of a result, in which nonzero constants vary unless they hold at every size."""
    rule = RULES.get(call.kind)
    if call.function.keeps_constants or (rule is not None and rule(call)):
        return made
    return [
        UnitLabels(u.labels, torch.maximum(u.varies, (t != 0).to(u.varies)))
        for u, t in zip(made, tensors(call.result), strict=True)
    ]


def _operands_are_followed(call: LabelledCall) -> bool:
    """No number among them that Python may have made from a shape, and no other tensor."""
    values = (*call.args, *call.kwargs.values())
    return all(call.of(v) is not None or isinstance(v, str | bool | None) for v in values)


def _pieces_are_followed(call: LabelledCall) -> bool:
    return all(call.of(piece) is not None for piece in call.get("tensors"))


def _uses_statistics(call: LabelledCall) -> bool:
    return not dims_of(call, call.result.ndim)


def _has_no_border(call: LabelledCall) -> bool:
    padding = call.get("padding")
    widths = padding if isinstance(padding, tuple | list) else (padding,)
    return not (any(widths) or call.get("ceil_mode"))


def _repeats_elements(call: LabelledCall) -> bool:
    return bool(call.get("mode") != "constant")


RULES: dict[Kind, Callable[[LabelledCall], bool]] = {
    Kind.MAP: _operands_are_followed,
    Kind.JOIN: _operands_are_followed,
    Kind.PRODUCT: _operands_are_followed,
    Kind.QUOTIENT: _operands_are_followed,
    Kind.CONCATENATE: _pieces_are_followed,
    Kind.BATCH_NORM: _uses_statistics,
    Kind.AVERAGE_POOL: _has_no_border,
    Kind.PAD: _repeats_elements,
}
