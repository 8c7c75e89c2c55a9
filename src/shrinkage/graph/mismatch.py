"""Does the network's own code still do the same with fewer units? Ask it, call by call."""

from itertools import zip_longest

import torch
from torch import Tensor, nn

from shrinkage.errors import told
from shrinkage.graph._trace import CallError, Inputs, trace
from shrinkage.graph.call import NetworkError, UnknownStructureError
from shrinkage.graph.record import Op, Recording
from shrinkage.graph.units import Units


def find_mismatch(
    small: nn.Module, inputs: Inputs, labels: Tensor | None, record: Recording, removed: Tensor
) -> tuple[Op, str] | None:
    """The first call of ``record`` that does something else in the cut network, and what.

    Sizes written into a ``forward`` (``view(-1, 256)``, heads, ``chunk`` into halves that are no
    longer equal) are found here: each call must give what it gave, less the removed units.
    """
    outputs = {
        layer.weight: layer.outputs[~removed[layer.outputs.long()]] for layer in record.layers
    }
    units, end = Units(len(removed) - 1), None
    try:
        ops = trace(small, inputs, units=units, outputs=outputs, labels=labels)[0].ops
    except CallError as error:
        ops, end = error.record.ops, f"{type(error.__cause__).__name__}: {error.__cause__}"
    except UnknownStructureError as error:
        return record.ops[0], str(error)
    except NetworkError as error:  # the network's own checks
        return record.ops[-1], told(error.cause)
    for before, after in zip_longest(record.ops, ops):
        why = _difference(before, after, removed)
        if why == _OTHER:
            return before or record.ops[-1], end or why
        if why:
            return before, why
    return None


_OTHER = "another sequence of calls"


def _difference(before: Op | None, after: Op | None, removed: Tensor) -> str | None:
    if after is None or before is None or before.name != after.name:
        return _OTHER
    if len(before.outputs) != len(after.outputs):
        return "another number of pieces"
    for old, new in zip(before.outputs, after.outputs, strict=True):
        expected = without(old, removed)
        if expected is None or not torch.equal(expected, new):
            return "sizes that do not follow the units"
    return None


def without(labels: Tensor, removed: Tensor) -> Tensor | None:
    """``labels`` without the slices that hold only removed units; None where some are left."""
    gone = removed[labels.long()]
    for dim in range(labels.ndim):
        rest = tuple(d for d in range(labels.ndim) if d != dim)
        whole = gone.all(dim=rest) if rest else gone
        if bool(whole.any()):
            keep = (~whole).nonzero().flatten()
            labels, gone = labels.index_select(dim, keep), gone.index_select(dim, keep)
    return None if bool(gone.any()) else labels
