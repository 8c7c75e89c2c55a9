"""What goes: the largest set that is exact, leaves no layer empty, and that the code can bear."""

from dataclasses import dataclass

from torch import Tensor, nn

from shrinkage.compression.copies import copied
from shrinkage.compression.liveness import Reader, Reasons, readers, removable
from shrinkage.graph import NONE, Balance, Inputs, Op, Recording, Units
from shrinkage.graph.cut import Cuts, cut, tensor_of
from shrinkage.graph.mismatch import find_mismatch
from shrinkage.graph.units import distinct


@dataclass(frozen=True, eq=False)
class Decision:
    """``removed``: a mask by label; ``reasons``: why a class stays, by its smallest label."""

    removed: Tensor
    classes: Tensor
    reasons: Reasons
    cuts: Cuts


def decide(
    model: nn.Module, inputs: Inputs, labels: Tensor | None, record: Recording, units: Units
) -> Decision:
    """Pin what stands in the way of a decision, and decide again, until nothing does."""
    classes, pins = units.classes(), units.reasons()
    weights = {y.weight: tensor_of(model, y.weight).detach() for y in record.layers}
    found = readers(record, classes, weights)
    balances, pieces = list[Balance](), dict[str, list[Balance]]()
    for balance in units.balances:
        (balances if balance.whole else pieces.setdefault(balance.key, [])).append(balance)
    while True:
        gone, reasons, pins = _settled(found, classes, units.count, balances, pins)
        removed = gone[classes]
        cuts = Cuts.of(record, removed)
        blamed = _mismatch(model, inputs, labels, record, removed, cuts)
        if blamed is None:
            return Decision(removed, classes, reasons, cuts)
        op, why = blamed
        key = f"{op.where}/{op.name}"
        if key in pieces:  # they may stay equal instead of whole
            balances += pieces.pop(key)
        else:
            pins = {**_pinned(op.inputs + op.outputs, classes, gone, f"{key}: {why}"), **pins}


def _settled(
    found: list[Reader], classes: Tensor, count: int, balances: list[Balance], pins: Reasons
) -> tuple[Tensor, Reasons, Reasons]:
    """What goes, where no layer is left empty and groups stay equal; reasons; all pins."""
    while True:
        gone, reasons = removable(found, count, pins)
        more = _emptied(found, gone) or _uneven(balances, classes, gone)
        if not more:
            return gone, reasons, pins
        pins = {**more, **pins}


def _mismatch(
    model: nn.Module,
    inputs: Inputs,
    labels: Tensor | None,
    record: Recording,
    removed: Tensor,
    cuts: Cuts,
) -> tuple[Op, str] | None:
    small = copied(model)
    cut(small, cuts)
    return find_mismatch(small, *selected(inputs, labels, removed), record, removed)


def selected(
    inputs: Inputs, labels: Tensor | None, removed: Tensor
) -> tuple[Inputs, Tensor | None]:
    """The inputs and their labels without the removed elements, where some of them are."""
    kept = kept_inputs(labels, removed)
    if labels is None or kept is None:
        return inputs, labels
    return narrowed(inputs, kept), labels.flatten()[kept]


def kept_inputs(labels: Tensor | None, removed: Tensor) -> Tensor | None:
    """The places of the numbers of an example that stay; None where all do."""
    if labels is None:
        return None
    stays = ~removed[labels.flatten().long()]
    return None if bool(stays.all()) else stays.nonzero().flatten()


def narrowed(inputs: Inputs, kept: Tensor | None) -> Inputs:
    """The first input, flat and with these places alone; as it is for None."""
    if kept is None:
        return inputs
    return (inputs[0].flatten(1)[:, kept.to(inputs[0].device)], *inputs[1:])


def _pinned(tensors: tuple[Tensor, ...], classes: Tensor, gone: Tensor, why: str) -> Reasons:
    """The classes that go and are met there; all that go where none is."""
    met = {int(c) for t in tensors for c in classes[distinct(t)].tolist() if gone[c]}
    every = met or set(gone.nonzero().flatten().tolist())
    return dict.fromkeys(every - {NONE}, why)


def _emptied(found: list[Reader], gone: Tensor) -> Reasons:
    """Layers that would lose all inputs or outputs keep one."""
    for reader in found:
        for side in (reader.outputs, reader.inputs):
            if bool(gone[side].all()):
                return {int(side[0]): f"the last unit of {reader.layer.where or 'its layer'}"}
    return {}


def _uneven(balances: list[Balance], classes: Tensor, gone: Tensor) -> Reasons:
    """Blocks that would not keep equally many units keep some more."""
    vanished = _vanished(balances, classes, gone)
    for balance in balances:
        blocks = classes[balance.blocks.long()]
        stays = ~gone[blocks]
        need = stays.sum(dim=1)
        most = int(need.max())
        for k, (block, kept) in enumerate(zip(blocks, stays, strict=True)):
            is_gone = balance.whole and k in vanished[balance.key]
            if not is_gone and int(kept.sum()) < most:
                first = block[~kept][: most - int(kept.sum())]
                return dict.fromkeys(map(int, first.tolist()), "to keep groups equal")
    return {}


def _vanished(balances: list[Balance], classes: Tensor, gone: Tensor) -> dict[str, set[int]]:
    """The groups of which nothing stays, neither inputs nor outputs."""
    found: dict[str, set[int]] = {}
    for balance in balances:
        empty = gone[classes[balance.blocks.long()]].all(dim=1).nonzero().flatten().tolist()
        found[balance.key] = found.get(balance.key, set(empty)) & set(empty)
    return found
