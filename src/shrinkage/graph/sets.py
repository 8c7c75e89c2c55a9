"""What must vanish together: for each unit, the rows of all parameters that make it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from shrinkage.graph._copy import deepcopied
from shrinkage.graph._trace import Inputs, trace
from shrinkage.graph.call import replaced, running
from shrinkage.graph.cut import Cuts, cut
from shrinkage.graph.mismatch import find_mismatch
from shrinkage.graph.record import Recording
from shrinkage.graph.units import Balance, Units

Signature = tuple[tuple[str, int, int], ...]
Places = dict[tuple[str, int], list[int]]


@dataclass(frozen=True, eq=False)
class Member:
    """A parameter's share of a set: ``rows`` (n_units, k) are places along its axis ``dim``."""

    name: str
    dim: int
    rows: Tensor


@dataclass(frozen=True, eq=False)
class UnitSet:
    """Units that are made of the same parameters in the same way; ``pinned``: why they must stay.

    A weight's row makes a unit, not its columns: those belong to the units they read.
    """

    members: tuple[Member, ...]
    n_units: int
    pinned: str | None

    def within(self, prefix: str) -> "UnitSet":
        """The same units, named as in a network that holds this one behind ``prefix``."""
        members = tuple(replace(m, name=f"{prefix}{m.name}") for m in self.members)
        return replace(self, members=members)


def unit_sets(model: nn.Module, inputs: Inputs) -> tuple[UnitSet, ...]:
    """All units of ``model``; the network is run on a copy and stays as it is.

    Groups of a convolution, and pieces of equal size, are coupled place by place. Whether the
    code can do without a unit is tried, for one unit of each set. Raises
    :class:`UnknownStructureError` where the network cannot be followed, and :class:`NetworkError`
    where its own code raises.
    """
    with running():
        exact = deepcopied(model).cpu().double().eval()
    inputs = tuple(replaced(value, _doubled) for value in inputs)
    record, units = trace(exact, inputs)
    for balance in units.balances:
        _couple(units, balance, record)
    classes, reasons = units.classes(), units.reasons()
    found: dict[tuple[Signature, str | None], list[tuple[int, Places]]] = {}
    for label, rows in _rows(exact, record, classes).items():
        signature = tuple(sorted((name, dim, len(at)) for (name, dim), at in rows.items()))
        found.setdefault((signature, reasons.get(label)), []).append((label, rows))
    sets = []
    for (signature, pinned), members in found.items():
        tried = pinned or _trial(exact, inputs, record, classes, members[0][0], len(members))
        parts = tuple(
            Member(name, dim, torch.tensor([rows[name, dim] for _, rows in members]))
            for name, dim, _ in signature
        )
        sets.append(UnitSet(parts, len(members), tried))
    return tuple(sets)


def _couple(units: Units, balance: Balance, record: Recording) -> None:
    if not balance.whole or balance.blocks.shape[1] > 1:
        for block in balance.blocks[1:]:
            units.join(balance.blocks[0], block)
    for layer in record.layers:  # depthwise: an input goes with its outputs
        if layer.groups > 1 and layer.groups == len(layer.inputs):
            units.join(layer.inputs[:, None], layer.outputs.reshape(layer.groups, -1))


def _rows(model: nn.Module, record: Recording, classes: Tensor) -> dict[int, Places]:
    """By class: the places along each parameter that make its units."""
    known = dict(model.named_parameters())
    found: dict[int, Places] = {}
    for name, dim, labels in dict.fromkeys(_axes(record)):
        if name in known:
            for at, label in enumerate(classes[labels.long()].tolist()):
                if label:
                    places = found.setdefault(label, {}).setdefault((name, dim), [])
                    if at not in places:
                        places.append(at)
    return found


def _axes(record: Recording) -> Iterator[tuple[str, int, Tensor]]:
    for layer in record.layers:
        if not (layer.transposed and layer.groups > 1):
            yield layer.weight, int(layer.transposed), layer.outputs
        if layer.bias is not None:
            yield layer.bias, 0, layer.outputs
    for part in record.channelwise:
        yield part.name, part.dim, part.labels


def _trial(
    model: nn.Module, inputs: Inputs, record: Recording, classes: Tensor, label: int, n_units: int
) -> str | None:
    """Why the code cannot do without this unit; None where it can."""
    if n_units == 1:
        return "the only one of its kind"
    removed = classes == label
    small = deepcopied(model)
    cut(small, Cuts.of(record, removed))
    blamed = find_mismatch(small, inputs, None, record, removed)
    return None if blamed is None else f"{blamed[0].where}/{blamed[0].name}: {blamed[1]}"


def _doubled(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu()
    return tensor.double() if tensor.is_floating_point() else tensor
