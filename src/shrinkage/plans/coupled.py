"""Groups that span several parameters: everything that must vanish with a unit."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from shrinkage.errors import PlanError, listed
from shrinkage.graph import NetworkError, UnknownStructureError
from shrinkage.graph.examples import fault_of
from shrinkage.graph.layers import Role
from shrinkage.graph.sets import Member, UnitSet, unit_sets
from shrinkage.graph.wrappers import unwrapped
from shrinkage.penalties import Penalty
from shrinkage.plans.binding import Entry
from shrinkage.plans.grouping import Grouping

_JOINING = (Role.WEIGHT, Role.BIAS, Role.NORM)


@dataclass(frozen=True, eq=False)
class CoupledPart:
    """What one parameter has in the groups: ``rows`` (n_groups, k) are places along ``dim``."""

    entry: Entry
    dim: int
    rows: Tensor

    @property
    def size(self) -> int:
        """Weights in each group."""
        return self.rows.shape[1] * prod(self.entry.shape) // self.entry.shape[self.dim]

    def of(self, tensor: Tensor) -> Tensor:
        """(n_groups, size) of a tensor in the parameter's shape; differentiable."""
        picked = tensor.movedim(self.dim, 0)[self.rows.to(tensor.device)]
        return picked.reshape(len(self.rows), -1)

    def put(self, tensor: Tensor, values: Tensor) -> Tensor:
        """``tensor`` with these values in their places: a new tensor, differentiable."""
        at = self.rows.flatten().to(tensor.device)
        rest = [n for dim, n in enumerate(self.entry.shape) if dim != self.dim]
        return tensor.index_copy(self.dim, at, values.reshape(len(at), *rest).movedim(0, self.dim))


@dataclass(frozen=True, eq=False)
class Coupled:
    """Groups of equal size over several parameters, seen as one tensor (n_groups, group_size).

    ``entry`` stands for that tensor as if it were a parameter.
    """

    entry: Entry
    parts: tuple[CoupledPart, ...]

    @property
    def paths(self) -> set[str]:
        """The parameters that have a part in it."""
        return {part.entry.path for part in self.parts}

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """One row per group, of one tensor per part."""
        return torch.cat([part.of(t) for part, t in zip(self.parts, tensors, strict=True)], dim=1)

    def scatter(self, rows: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors with the rows in their places: new ones, differentiable."""
        pieces = torch.split(rows, [part.size for part in self.parts], dim=1)
        each = zip(self.parts, tensors, pieces, strict=True)
        return [part.put(tensor, piece.to(tensor)) for part, tensor, piece in each]

    def __str__(self) -> str:
        shown = ", ".join(f"{part.entry.name} ({part.size})" for part in self.parts)
        grouping = self.entry.grouping
        return f"{grouping.n_groups:,} groups × {grouping.group_size}: {shown}"


def couple(
    model: nn.Module, entries: tuple[Entry, ...], example_inputs: Any
) -> tuple[tuple[Entry, ...], tuple[Coupled, ...]]:
    """Widen the groups of coupled penalties; the entries say so.

    Units that the network cannot do without keep the groups of their own weight. Raises
    :class:`PlanError` without example inputs, where the network cannot be followed, and where a
    group would overlap with another penalty or with what a rule leaves out.
    """
    known = {entry.path: entry for entry in entries}
    asking = {entry.path: entry for entry in filter(_asks, entries)}
    if not asking:
        return entries, ()
    sets = _sets(model, example_inputs)
    groups = _groups(sets, known, asking)
    why = {member.name: s.pinned for s in sets if s.pinned is not None for member in s.members}
    penalties = {path: (group.entry.penalty, group) for group in groups for path in group.paths}
    return tuple(_told(e, penalties, asking, why) for e in entries), tuple(groups)


def _groups(
    sets: Sequence[UnitSet], known: Mapping[str, Entry], asking: Mapping[str, Entry]
) -> list[Coupled]:
    groups: list[Coupled] = []
    for unit_set, first in _whole(sets, asking):
        groups.append(_group(unit_set, first, known, asking, len(groups)))
    taken = set[str]().union(*(group.paths for group in groups))
    for unit_set, first in _alone(sets, asking.keys() & taken):
        groups.append(_group(unit_set, first, known, asking, len(groups)))
    return groups


def _asks(entry: Entry) -> bool:
    return entry.penalty is not None and entry.penalty.coupled and not entry.frozen


def _whole(sets: Sequence[UnitSet], asking: Container[str]) -> Iterator[tuple[UnitSet, Member]]:
    """Sets whose units can go, and the first weight of each that asks for it."""
    for unit_set in sets:
        first = next((m for m in unit_set.members if m.name in asking), None)
        if first is not None and unit_set.pinned is None:
            yield unit_set, first


def _alone(sets: Sequence[UnitSet], names: Container[str]) -> Iterator[tuple[UnitSet, Member]]:
    """Weights of these names whose units must stay, each as a set of its own."""
    for unit_set in sets:
        for member in unit_set.members:
            if unit_set.pinned is not None and member.name in names:
                yield UnitSet((member,), unit_set.n_units, None), member


def _sets(model: nn.Module, example_inputs: Any) -> tuple[UnitSet, ...]:
    if example_inputs is None:
        raise PlanError(
            "coupled groups need example inputs",
            got="GroupL1(…, coupled=True) and no example_inputs",
            expected="one batch of what the network takes",
            remedy="Call Plan(model, rules, example_inputs=x).",
        )
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    if fault := fault_of(inputs):
        raise PlanError(**vars(fault))
    network, prefix = unwrapped(model)
    remedy = "Use GroupL1 without coupled=True."
    try:
        return tuple(found.within(prefix) for found in unit_sets(network, inputs))
    except UnknownStructureError as error:
        reason = str(error)
    except NetworkError as error:  # on inputs that do not fit
        remedy = f"Pass inputs as the network takes them. If they are right: {remedy}"
        lines = str(error.cause).splitlines()
        reason = f"{type(error.cause).__name__}: {lines[0] if lines else ''}"
    raise PlanError(
        "the network cannot be followed on the example inputs",
        got=reason,
        expected="a network whose way does not depend on its input, and inputs that it takes",
        remedy=remedy,
    )


def _group(
    unit_set: UnitSet,
    first: Member,
    known: Mapping[str, Entry],
    asking: Mapping[str, Entry],
    number: int,
) -> Coupled:
    penalty = asking[first.name].penalty
    parts = []
    for member in unit_set.members:
        entry = known[member.name]
        if entry.role not in _JOINING or entry.frozen:
            continue
        if entry.protected or entry.penalty not in (None, penalty):
            raise PlanError(
                "groups overlap",
                got=f"{entry.name!r} with {entry.penalty or 'a rule that leaves it out'}",
                expected=f"{penalty} for all that must vanish with a unit of {first.name!r}",
                remedy="Let one rule cover both, or leave coupled out.",
            )
        parts.append(CoupledPart(entry, member.dim, member.rows))
    size, n = sum(part.size for part in parts), unit_set.n_units
    grouping = Grouping((n, size), (n, size), (0, 1), n, size)
    name = f"coupled {number + 1}: {known[first.name].name}" + f" + {len(parts) - 1}" * (
        len(parts) > 1
    )
    entry = replace(
        asking[first.name], name=name, path="", shape=(n, size), grouping=grouping,
        invariance=None, sphere=None,
    )  # fmt: skip
    return Coupled(entry, tuple(parts))


def _told(
    entry: Entry,
    penalties: Mapping[str, tuple[Penalty | None, Coupled]],
    asking: Mapping[str, Entry],
    why: Mapping[str, str | None],
) -> Entry:
    """The entry as the groups have it."""
    if entry.path in penalties:
        penalty, group = penalties[entry.path]
        others = [p.entry.name for p in group.parts if p.entry.path != entry.path]
        reason = entry.reason.partition(";")[0] if entry.path in asking else "coupled"
        reason += f"; vanishes with {listed(others, 2, ' and')}" if others else "; alone"
        return replace(
            entry, penalty=penalty, reason=reason, sphere=None, invariance=None, coupled=True
        )
    if entry.path in asking:
        return replace(
            entry,
            reason=f"{entry.reason}; its own filters: {why.get(entry.path) or 'not followed'}",
        )
    return entry


def terms_of(
    plan_blocks: Iterator[tuple[Entry, Penalty, nn.Parameter]],
    groups: tuple[Coupled, ...],
    parameter: Any,
) -> "Iterator[Term]":
    """One term per parameter with a penalty of its own, and one per coupled set."""
    for entry, penalty, tensor in plan_blocks:
        if not entry.coupled:
            yield Term(entry, penalty, (tensor,), None)
    for group in groups:
        assert group.entry.penalty is not None  # noqa: S101  (narrowing)
        tensors = tuple(parameter(part.entry) for part in group.parts)
        yield Term(group.entry, group.entry.penalty, tensors, group)


@dataclass(frozen=True, eq=False)
class Term:
    """One summand P(w) of the plan: w is a parameter, or the rows of coupled groups."""

    entry: Entry
    penalty: Penalty
    parameters: tuple[nn.Parameter, ...]
    group: Coupled | None

    @property
    def parts(self) -> Iterator[tuple[Entry, nn.Parameter]]:
        """Its parameters and their entries."""
        entries = [self.entry] if self.group is None else [p.entry for p in self.group.parts]
        return zip(entries, self.parameters, strict=True)

    def has_gradients(self) -> bool:
        """Whether every parameter has one and is trained: frozen ones keep what they had."""
        for parameter in self.parameters:  # no generator: it is asked at every step
            if parameter.grad is None or not parameter.requires_grad:
                return False
        return True

    def is_frozen(self) -> bool:
        """Whether any parameter of it is not trained now."""
        for parameter in self.parameters:  # noqa: SIM110  (no generator here either)
            if not parameter.requires_grad:
                return True
        return False

    def read(self) -> Tensor:
        """w: the parameter itself, or its coupled rows as a new tensor without a gradient."""
        if self.group is None:
            return self.parameters[0]
        return self.group.gather([parameter.detach() for parameter in self.parameters])

    def gathered(self, tensors: Sequence[Tensor]) -> Tensor:
        """w of tensors in the parameters' shapes."""
        return tensors[0] if self.group is None else self.group.gather(tensors)

    def write(self, value: Tensor, into: "Sequence[Tensor] | None" = None) -> None:
        """Take w back into the parameters (or their gradients), where it is not one of them."""
        if self.group is None:
            return
        targets = self.parameters if into is None else into
        for target, new in zip(targets, self.group.scatter(value, targets), strict=True):
            target.copy_(new)

    def value(self, tensors: Sequence[Tensor]) -> Tensor:
        """P(w); of half precision in float32, where sums do not overflow."""
        w = self.gathered(tensors)
        wide = w.to(torch.promote_types(w.dtype, torch.float32))
        return self.penalty.value(self.entry.grouping.view(wide))
