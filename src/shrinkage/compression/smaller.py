"""compact: a smaller network with the same function, or the same network and the reasons why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from shrinkage.compression.biases import bias_of, fold, shifts
from shrinkage.compression.checks import check, check_runs
from shrinkage.compression.computed import remedies
from shrinkage.compression.copies import copied
from shrinkage.compression.decision import Decision, decide, kept_inputs, narrowed
from shrinkage.compression.liveness import dense
from shrinkage.compression.proof import Proof, other_inputs, prove
from shrinkage.errors import CompactionError, did_you_mean, listed, told
from shrinkage.graph import Inputs, NetworkError, Recording, Units, UnknownStructureError, trace
from shrinkage.graph.call import replaced
from shrinkage.graph.cut import Cuts, cut, tensor_of
from shrinkage.graph.layers import registered_kind
from shrinkage.graph.untouched import home, untouched
from shrinkage.graph.wrappers import canonical, unwrapped


@dataclass(frozen=True, eq=False)
class Compacted:
    """A network before and after: what was cut, what stays and why, and the proofs."""

    before: nn.Module
    after: nn.Module
    cuts: Cuts
    kept_inputs: Tensor | None
    notes: tuple[str, ...]
    proofs: Mapping[str, Proof]


def compacted(
    model: nn.Module, inputs: Inputs, *, ignored: Sequence[str] = (), drop_inputs: bool = False
) -> Compacted:
    """Cut what can be cut out of a copy of ``model``, and prove it.

    The analysis runs in float64 on the CPU; the result is a copy of the network as it is, without
    what wraps it.
    """
    model, _ = unwrapped(model)
    check(model, inputs)
    _check_names(model, ignored)
    before = copied(model)
    check_runs(before, inputs)
    exact, doubled = in_float64(model, inputs)
    check_runs(exact, doubled, in_float64=True)
    units = Units()
    labels = fresh_labels(units, doubled[0].shape[1:]) if drop_inputs else None
    try:
        record, _ = trace(exact, doubled, units=units, labels=labels)
        record = confirmed(exact, doubled, labels, record)
    except (UnknownStructureError, NetworkError) as error:  # which may refuse other inputs
        whole = copied(model)
        notes = (f"kept whole: {told(error.cause) if isinstance(error, NetworkError) else error}",)
        return Compacted(model, whole, Cuts({}, {}), None, notes, {})
    _keep(record, ignored, units)
    decision = decide(exact, doubled, labels, record, units)
    moved = shifts(exact, record, decision.removed)
    cuts = replace(
        decision.cuts,
        new_biases=tuple(bias_of(w) for w, (layer, _) in moved.items() if layer.bias is None),
    )
    small = copied(exact)
    cut(small, cuts)
    fold(small, moved)
    kept = kept_inputs(labels, decision.removed)
    proof = partial(prove, select=partial(narrowed, kept=kept), cuts=cuts, record=record,
                    removed=decision.removed)  # fmt: skip
    proofs = {"float64": proof(exact, small, _batches(exact, doubled))}
    after = copied(model)
    cut(after, cuts)
    _take_biases(after, small, moved)
    kind = str(home(model)[1]).removeprefix("torch.")
    if kind != "float64":
        own, zero = _batches(before, inputs), proofs["float64"].noise
        with untouched(after):
            proofs[kind] = proof(before, after, own, noise=zero)
    after.train(False)
    return Compacted(model, after, cuts, kept, _notes(exact, record, decision), proofs)


def fresh_labels(units: Units, shape: Sequence[int]) -> Tensor:
    """New units, one for each number of an example."""
    return units.fresh(prod(shape)).reshape(tuple(shape))


def in_float64(model: nn.Module, inputs: Inputs) -> tuple[nn.Module, Inputs]:
    """A copy of the network, and the inputs, on the CPU."""

    def doubled(tensor: Tensor) -> Tensor:
        tensor = tensor.detach().cpu()
        return tensor.double() if tensor.is_floating_point() else tensor

    return copied(model).cpu().double(), tuple(replaced(value, doubled) for value in inputs)


def _batches(model: nn.Module, inputs: Inputs) -> list[Inputs]:
    """The inputs and two others like them."""
    return [inputs, *(other_inputs(model, inputs, seed) for seed in (1, 2))]


def _keep(record: Recording, ignored: Sequence[str], units: Units) -> None:
    """Keep the units of layers that are not to be cut."""
    for layer in record.layers:
        name = next((n for n in ignored if _is_ignored(layer.where, layer.weight, n)), None)
        if name is not None:
            units.keep(torch.cat([layer.inputs, layer.outputs]), f"ignored ({name})")


def confirmed(
    model: nn.Module, inputs: Inputs, labels: Tensor | None, record: Recording
) -> Recording:
    """The record with only those constants that other inputs leave as they are."""
    units = Units()
    if labels is not None:
        labels = fresh_labels(units, labels.shape)
    again, _ = trace(model, other_inputs(model, inputs, 3), units=units, labels=labels)
    if [op.name for op in again.ops] != [op.name for op in record.ops]:
        raise UnknownStructureError("another way through the network for other inputs")
    layers = []
    for one, two in zip(record.layers, again.layers, strict=True):
        gap = (one.constants - two.constants).abs()
        same = gap <= 1e-12 * one.constants.abs().clamp(min=1e-3)
        layers.append(replace(one, constants=torch.where(same, one.constants, torch.nan)))
    return replace(record, layers=layers)


def _take_biases(after: nn.Module, small: nn.Module, moved: Mapping[str, Any]) -> None:
    with torch.no_grad():
        for weight, (layer, _) in moved.items():
            name = layer.bias or bias_of(weight)
            tensor_of(after, name).copy_(tensor_of(small, name))


def _check_names(model: nn.Module, ignored: Sequence[str]) -> None:
    """Refuse patterns that match nothing: what they were to keep would go."""
    names = [*dict(model.named_modules(remove_duplicate=False)), *dict(model.named_parameters())]
    names.remove("")
    for pattern in [ignored] if isinstance(ignored, str) else ignored:
        if isinstance(ignored, str) or not any(fnmatchcase(name, pattern) for name in names):
            raise CompactionError(
                "ignored= names no layer",
                got=repr(ignored if isinstance(ignored, str) else pattern),
                expected="a list of names or patterns of layers, such as ['conv1', 'head*']",
                remedy=did_you_mean(pattern, [name for name in names if name not in ignored])
                + "print(model) shows the names.",
            )


def _is_ignored(where: str, weight: str, pattern: str) -> bool:
    names = [where, weight]
    parts = where.split(".")
    names += [".".join(parts[:k]) for k in range(1, len(parts))]
    return any(fnmatchcase(name, pattern) for name in names)


def _notes(model: nn.Module, record: Recording, decision: Decision) -> tuple[str, ...]:
    """Per layer, the zero units that stay, and why."""
    lines: dict[str, None] = {}
    for layer in record.layers:
        weight = tensor_of(model, layer.weight)
        if layer.groups > 1:
            continue
        zero = dense(weight, layer).amax(1) == 0
        stays = zero & ~decision.removed[layer.outputs.long()]
        found = decision.classes[layer.outputs.long()][stays].tolist()
        for why in dict.fromkeys(decision.reasons.get(c, "pinned") for c in found):
            n = sum(decision.reasons.get(c, "pinned") == why for c in found)
            lines[f"{layer.where or layer.weight}: {n} zero unit{'s' * (n > 1)} kept: {why}"] = None
    for line in _unfollowed(model, {canonical(layer.weight) for layer in record.layers}):
        lines[line] = None
    return (*lines, *remedies(model, [layer.weight for layer in record.layers]))


def _registered(model: nn.Module, read: set[str]) -> dict[type, list[str]]:
    """Parameters of registered layers that were not read, by the layer's class."""
    found: dict[type, list[str]] = {}
    for name, _ in model.named_parameters():
        kind = registered_kind(model, name)
        if kind is not None and canonical(name) not in read:
            found.setdefault(kind, []).append(name)
    return found


def _unfollowed(model: nn.Module, read: set[str]) -> Iterator[str]:
    """What stays because it is not known what becomes of it; registered layers once a class."""
    registered = _registered(model, read)
    for kind, names in registered.items():
        yield (
            f"{listed(names, 1, ' and')}: kept as it is: register_layer tells plans what "
            f"{kind.__name__} has, and what it computes of it is not followed here"
        )
    told = read.union(map(canonical, chain.from_iterable(registered.values())))
    for name, module in model.named_modules():
        for local in ("weight", "in_proj_weight", "weight_ih_l0", "weight_orig"):
            full = canonical(f"{name}.{local}".strip("."))
            tensor = getattr(module, local, None)
            if isinstance(tensor, Tensor) and tensor.ndim > 1 and full not in told:
                yield f"{name or 'the network'}: kept as it is, its weight is not followed"
