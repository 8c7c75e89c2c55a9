"""What nobody reads can leave a network while it trains: found, and proven in both modes."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from shrinkage.compression.copies import copied
from shrinkage.compression.decision import decide, kept_inputs, narrowed
from shrinkage.compression.proof import other_inputs, prove
from shrinkage.compression.smaller import confirmed, fresh_labels, in_float64
from shrinkage.errors import CompactionError, told
from shrinkage.graph import Inputs, NetworkError, Recording, Units, UnknownStructureError, trace
from shrinkage.graph.call import running
from shrinkage.graph.cut import Cuts, cut


@dataclass(frozen=True, eq=False)
class Unread:
    """What stays of a network's tensors.

    ``inputs``: the places in the flattened example that are still read; None: all of them.
    """

    cuts: Cuts
    inputs: Tensor | None

    def small(self, model: nn.Module) -> nn.Module:
        """A cut copy of ``model``, in its dtype and mode."""
        small = copied(model)
        cut(small, self.cuts)
        return small


def leaving(
    model: nn.Module, inputs: Inputs, held: Collection[str], *, drop_inputs: bool = False
) -> Unread:
    """What can leave a network that goes on training while its zeros are held.

    That is units, and with ``drop_inputs`` inputs, that no unit which stays reads; and units whose
    output is 0 for all inputs, in training and in eval mode. Other constants stay, because a bias
    in their place would learn in another way. Only the parameters named in ``held`` have zeros
    that stay: other weights count as read, however small they are. The network computes the same
    without what leaves, in both modes and whatever becomes of the rest: batch statistics are per
    channel.

    That is read from a run in each mode, and then tried: outputs and gradients in float64, without
    dropout, whose masks are drawn by shape. ``inputs``: a few real examples. Raises
    :class:`CompactionError` where the network cannot be followed, or would compute something else.
    """
    try:
        return _leaving(*in_float64(model, inputs), held, drop_inputs=drop_inputs)
    except (UnknownStructureError, NetworkError) as error:
        raise CompactionError(
            "the network cannot be cut while it trains",
            got=told(error.cause if isinstance(error, NetworkError) else error),
            expected="a network whose units can be followed in training mode",
            remedy="It is trained whole.",
        ) from error


def _leaving(
    exact: nn.Module, inputs: Inputs, held: Collection[str], *, drop_inputs: bool
) -> Unread:
    units = Units()
    labels = fresh_labels(units, inputs[0].shape[1:]) if drop_inputs else None
    probe = _with_nonzero(exact, held)
    record, _ = trace(_training(probe), inputs, units=units, labels=labels)
    record = _zeros_alone(confirmed(probe.eval(), inputs, labels, record))
    decision = decide(_training(probe), inputs, labels, record, units)
    kept = kept_inputs(labels, decision.removed)
    found, select = Unread(decision.cuts, kept), partial(narrowed, kept=kept)
    small, batches = found.small(exact), [inputs, other_inputs(exact, inputs, 1)]
    for one, two in ((_training(exact), _training(small)), (exact.eval(), small.eval())):
        with running():
            prove(one, two, batches, select, found.cuts, record, decision.removed)
    return found


def _zeros_alone(record: Recording) -> Recording:
    """The record without the constants that are not 0."""
    zero = [torch.where(layer.constants == 0, 0.0, torch.nan) for layer in record.layers]
    layers = [replace(y, constants=c) for y, c in zip(record.layers, zero, strict=True)]
    return replace(record, layers=layers)


def _with_nonzero(model: nn.Module, held: Collection[str]) -> nn.Module:
    """A copy in which only the zeros of ``held`` parameters, and of biases, are zeros."""
    probe = copied(model)
    with torch.no_grad():
        for name, parameter in probe.named_parameters():
            if name not in held and not name.endswith("bias"):
                parameter.masked_fill_(parameter == 0, 1.0)
    return probe


def _training(model: nn.Module) -> nn.Module:
    """The network in training mode, but for its dropout layers."""
    model.train()
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.eval()
    return model
