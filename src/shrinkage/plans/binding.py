"""Binding rules to a network: every parameter gets a penalty and groups, or a reason why not."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from shrinkage.errors import PlanError, ShrinkageWarning, did_you_mean
from shrinkage.penalties import Penalty
from shrinkage.plans.grouping import Grouping, grouping
from shrinkage.plans.layers import Description, Role, describe
from shrinkage.plans.normalisation import Invariance, invariances
from shrinkage.plans.rules import Rule, Rules, Site
from shrinkage.wrappers import canonical

_WHY_NOT = {
    Role.BIAS: "a bias: biases=True or a rule such as '*.bias' includes it",
    Role.NORM: "a normalisation layer: norms=True or its exact name includes it",
    Role.EMBEDDING: "an embedding: a rule that names it includes it",
    Role.OTHER: "not a known layer's weight: a rule that names it includes it",
}


@dataclass(frozen=True)
class Entry:
    """One parameter of the network in a plan; ``penalty`` is None where it is left alone.

    ``invariance``: the network does not depend on the size of the parameter's rows, as far as it
    is known. ``sphere``: these rows, where the penalty tells their directions apart, so that its
    cost has stationary points among rows of the same norms; None elsewhere. ``coupled``: the
    penalty acts on groups that span other parameters too; ``grouping`` is then the parameter's own.
    """

    name: str
    path: str = field(repr=False)  # the name as the network has it, wrappers included
    shape: tuple[int, ...]
    role: Role
    penalty: Penalty | None
    grouping: Grouping
    reason: str
    invariance: Invariance | None = None
    sphere: Grouping | None = None
    coupled: bool = False


@dataclass(frozen=True)
class _Found:
    """A parameter with every place it is used at (tied parameters have several)."""

    path: str
    parameter: nn.Parameter
    sites: tuple[tuple[Site, Description], ...]


def bind(model: nn.Module, rules: Rules) -> tuple[Entry, ...]:
    """One entry per parameter of ``model``, tied parameters once, in the network's order.

    Raises :class:`PlanError` for a rule that matches nothing, for a network without parameters
    or with uninitialised ones, and where no parameter at all is penalised. Warns
    (:class:`ShrinkageWarning`) of a rule that others shadow.
    """
    found = list(_parameters(model))
    if not found:
        raise PlanError(
            "the network has no parameters",
            got=type(model).__name__,
            expected="a network with weights to penalise",
            remedy="Pass the network itself, after its layers are made.",
        )
    sites = [site for item in found for site, _ in item.sites]
    _check_rules(rules, sites)
    known = invariances(model)
    entries = tuple(_entry(item, rules, known) for item in found)
    if not any(entry.penalty for entry in entries):
        raise PlanError(
            "the plan penalises nothing",
            got="; ".join(f"{e.name} ({e.reason})" for e in entries[:3]),
            expected="at least one penalised parameter",
            remedy="Name the layers in a rule, e.g. Rules({'embed*': L1(1e-4)}).",
        )
    _warn_of_idle(rules, sites)
    return entries


def _parameters(model: nn.Module) -> Iterator[_Found]:
    modules = dict(model.named_modules(remove_duplicate=False))
    uses: dict[int, list[tuple[str, nn.Parameter, Site, Description]]] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        if is_lazy(parameter):
            raise PlanError(
                f"parameter {path!r} is not initialised",
                got="a lazy layer without a shape",
                expected="a network whose layers know their sizes",
                remedy="Run one batch through the network before making the plan.",
            )
        if parameter.is_complex():
            raise PlanError(
                f"parameter {path!r} is complex",
                got=str(parameter.dtype).removeprefix("torch."),
                expected="real weights: the penalties are functions of real numbers",
                remedy="Store it as torch.view_as_real does, pairs in a last dimension.",
            )
        owner_path, _, local = path.rpartition(".")
        steps = owner_path.split(".") if owner_path else []
        chain = [".".join(steps[:k]) for k in range(len(steps) + 1)]
        description = describe(modules[owner_path], local, parameter)
        site = Site(
            tuple((canonical(name), modules[name]) for name in chain),
            canonical(path),
            description.role,
        )
        uses.setdefault(id(parameter), []).append((path, parameter, site, description))
    for places in uses.values():
        path, parameter = places[0][:2]
        yield _Found(path, parameter, tuple((site, about) for _, _, site, about in places))


def _entry(item: _Found, rules: Rules, known: Mapping[str, Invariance]) -> Entry:
    (first, about) = item.sites[0]
    rule, penalty = None, None
    for candidate in rules.rules:
        hit = next((s for s in item.sites if _applies(candidate, s[0], rules)), None)
        if hit is not None:
            rule, penalty, about = candidate, candidate.penalty, hit[1]
            break
    tied = ", ".join(site.name for site, _ in item.sites[1:])
    if not item.parameter.requires_grad:
        penalty, reason = None, "frozen: requires_grad is False"
    elif rule is not None:
        reason = f"rule {rule.label}" + ("" if penalty else " leaves it out")
    elif any(candidate.matches(first) for candidate in rules.rules):
        reason = _WHY_NOT[first.role]
    else:
        reason = "no rule matches"
    shape = tuple(item.parameter.shape)
    groups = grouping(first.name, shape, about.layout, penalty.by if penalty else None)
    invariance = _invariance_of(item, known)
    sphere = None
    if penalty is not None and invariance is not None and _varies(penalty, groups, invariance.rows):
        sphere = invariance.rows
        how = "norm kept" if rules.rescale else "norm free"
        reason += f"; {how}: followed by {canonical(invariance.norm)}"
    return Entry(
        name=first.name,
        path=item.path,
        shape=shape,
        role=about.role,
        penalty=penalty,
        grouping=groups,
        reason=reason + (f"; tied to {tied}, counted once" if tied else ""),
        invariance=invariance,
        sphere=sphere,
    )


def _invariance_of(item: _Found, known: Mapping[str, Invariance]) -> Invariance | None:
    """The invariance of a weight that nothing else uses."""
    layer, _, local = item.path.rpartition(".")
    return known.get(layer) if local == "weight" and len(item.sites) == 1 else None


def _varies(penalty: Penalty, groups: Grouping, rows: Grouping) -> bool:
    """Whether P tells directions apart: a row with one weight from a row of equal ones."""
    flat = torch.ones(rows.n_groups, rows.group_size, dtype=torch.float64) / rows.group_size**0.5
    peak = torch.zeros_like(flat)
    peak[:, 0] = 1.0
    one, other = (float(penalty.value(groups.view(rows.restore(w)))) for w in (flat, peak))
    return abs(one - other) > 1e-9 * max(one, other)


def _applies(rule: Rule, site: Site, rules: Rules) -> bool:
    return rule.matches(site) and rule.admits(site, biases=rules.biases, norms=rules.norms)


def _check_rules(rules: Rules, sites: list[Site]) -> None:
    for rule in rules.rules:
        if any(rule.matches(site) for site in sites):
            continue
        names = {site.owner[0] for site in sites} | {site.name for site in sites}
        kinds = {type(site.owner[1]).__name__ for site in sites}
        hint = did_you_mean(str(rule.key), names) if isinstance(rule.key, str) else ""
        raise PlanError(
            f"the rule {rule.label} matches nothing",
            got=f"layers of type {', '.join(sorted(kinds))}",
            expected="a module name pattern, module type or parameter name of this network",
            remedy=hint + f"Its layers: {_some(site.owner[0] for site in sites)}.",
        )


def _warn_of_idle(rules: Rules, sites: list[Site]) -> None:
    taken: set[str] = set()
    for rule in rules.rules:
        matched = [site for site in sites if rule.matches(site)]
        applied = {site.name for site in matched if _applies(rule, site, rules)}
        if not applied and rule.penalty is not None:
            warnings.warn(
                f"the rule {rule.label} penalises nothing: it matches only "
                f"{_some(site.name for site in matched)} ({_WHY_NOT[matched[0].role]})",
                ShrinkageWarning,
                stacklevel=4,
            )
        elif applied and applied <= taken:
            warnings.warn(
                f"the rule {rule.label} never acts: earlier rules take all it matches "
                f"({_some(applied)}). The first match wins: put it first",
                ShrinkageWarning,
                stacklevel=4,
            )
        taken |= applied


def _some(names: "Iterator[str] | set[str]") -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:6]) + (f" and {len(unique) - 6} more" if len(unique) > 6 else "")
