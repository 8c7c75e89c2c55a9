"""Binding rules to a network: every parameter gets a penalty and groups, or a reason why not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from shrinkage.errors import PlanError, did_you_mean, listed, warn
from shrinkage.graph.layers import Role, check_registered, describe
from shrinkage.graph.wrappers import canonical
from shrinkage.penalties import Penalty
from shrinkage.plans.grouping import Grouping, grouping
from shrinkage.plans.leftover import Left, causes, leftover, warn_of_leftover
from shrinkage.plans.normalisation import Invariance, invariances
from shrinkage.plans.rules import Rule, Rules, Site

_FROZEN = "frozen: requires_grad is False"


@dataclass(frozen=True)
class Entry:
    """One parameter of the network in a plan; ``penalty`` is None where it is left alone.

    ``invariance``: the network does not depend on the size of the parameter's rows, as far as it
    is known. ``sphere``: these rows, where the penalty tells their directions apart, so that its
    cost has stationary points among rows of the same norms; None elsewhere. ``coupled``: the
    penalty acts on groups that span other parameters too; ``grouping`` is then the parameter's own.
    ``frozen``: it was when the plan was made, and the penalty acts once it is trained.
    ``protected``: a rule leaves it out. ``layer``: the path of the layer that it belongs to.
    ``once_trained``: the reason that counts where it is frozen no longer.
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
    frozen: bool = False
    protected: bool = False
    layer: str = field(default="", repr=False)
    once_trained: str = field(default="", repr=False)


@dataclass(frozen=True)
class _Found:
    """A parameter with every place it is used at (tied parameters have several)."""

    path: str
    parameter: nn.Parameter
    sites: tuple[Site, ...]

    @property
    def tied(self) -> str:
        """The other places, for a reason."""
        others = ", ".join(other.name for other in self.sites[1:])
        return f"; tied to {others}, counted once" if others else ""


def bind(model: nn.Module, rules: Rules) -> tuple[Entry, ...]:
    """One entry per parameter of ``model``, tied parameters once, in the network's order.

    Raises :class:`PlanError` for a rule that matches nothing, for a network without parameters
    or with uninitialised ones, and where no parameter at all is penalised. Warns
    (:class:`ShrinkageWarning`) of a rule that others shadow, and of matrices that are left out
    unasked.
    """
    found = _parameters(model)
    sites = list(chain.from_iterable(item.sites for item in found))
    _check_layers(sites)
    _check_rules(rules, sites)
    known = invariances(model)
    entries = tuple(_entry(item, rules, known) for item in found)
    left = leftover(list(_unruled(found, rules)), rules)
    if not any(entry.penalty and not entry.frozen for entry in entries):
        raise _idle(entries, left)
    _warn_of_idle(rules, sites, told={site.name for site, _ in left})
    if left:
        warn_of_leftover(left, sum(prod(entry.shape) for entry in entries if not entry.frozen))
    return entries


def _unruled(found: Iterable[_Found], rules: Rules) -> Iterator[tuple[Site, nn.Parameter]]:
    """Trained parameters that no rule takes, each at one of its places."""
    for item in found:
        if item.parameter.requires_grad and _ruling(rules, item.sites) is None:
            yield _at(rules, item.sites), item.parameter


def _idle(entries: tuple[Entry, ...], left: Left) -> PlanError:
    return PlanError(
        "the plan penalises nothing",
        got="; ".join(f"{entry.name} ({entry.reason})" for entry in entries[:3]),
        expected="at least one penalised parameter",
        remedy=_to_penalise(entries) + (f" Left out are {causes(left)}." if left else ""),
    )


def _parameters(model: nn.Module) -> list[_Found]:
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise PlanError(
            "a scripted network no longer has its layers",
            got=type(model).__name__,
            expected="the network before torch.jit.script or torch.jit.trace",
            remedy="Make the plan for that one: both have the same parameters.",
        )
    modules = dict(model.named_modules(remove_duplicate=False))
    uses: dict[int, list[tuple[str, nn.Parameter, Site]]] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        if is_lazy(parameter):
            raise PlanError(
                f"parameter {path!r} is not initialised",
                got="a lazy layer without a shape",
                expected="a network whose layers know their sizes",
                remedy="Run one batch through the network before making the plan.",
            )
        use = (path, parameter, _site(model, path, modules))
        uses.setdefault(id(parameter), []).append(use)
    if not uses:
        raise PlanError(
            "the network has no parameters",
            got=type(model).__name__,
            expected="a network with weights to penalise",
            remedy="Pass the network itself, after its layers are made.",
        )
    return [_Found(*places[0][:2], _tied([s for _, _, s in places])) for places in uses.values()]


def _site(model: nn.Module, path: str, modules: Mapping[str, nn.Module]) -> Site:
    steps = path.split(".")[:-1]
    owners = [".".join(steps[:k]) for k in range(len(steps) + 1)]
    about = describe(model, path)
    layer = owners[-1 - about.layer]
    names = (path, f"{layer}.{about.weight}" if layer else about.weight)
    around = tuple((canonical(name), modules[name]) for name in owners)
    return Site(around, tuple(dict.fromkeys(map(canonical, names))), about)


def _tied(sites: Sequence[Site]) -> tuple[Site, ...]:
    """The places of one parameter; those beside an embedding know that they are tied to it."""
    embeddings = [site.role is Role.EMBEDDING for site in sites]
    if not any(embeddings):
        return tuple(sites)
    return tuple(replace(s, tied=not is_own) for s, is_own in zip(sites, embeddings, strict=True))


def _ruling(rules: Rules, sites: tuple[Site, ...]) -> tuple[Rule, Site] | None:
    """The first rule that applies to a parameter, and at which of its places."""
    for rule in rules.rules:
        for site in sites:
            if _applies(rule, site, rules):
                return rule, site
    return None


def _at(rules: Rules, sites: tuple[Site, ...]) -> Site:
    """The first of its places that a rule matches, if any does."""
    matched = (site for site in sites if any(rule.matches(site) for rule in rules.rules))
    return next(matched, sites[0])


def _entry(item: _Found, rules: Rules, known: Mapping[str, Invariance]) -> Entry:
    ruling = _ruling(rules, item.sites)
    rule, site = ruling or (None, item.sites[0])
    about, frozen = site.about, not item.parameter.requires_grad
    penalty = None if rule is None else rule.penalty
    if penalty is not None:
        _check_real(item, site)
    shape, why = tuple(item.parameter.shape), _reason(item, rules, rule, site)
    groups = grouping(site.name, shape, about.layout, penalty.by if penalty else None)
    if penalty is not None and about.stands_for > 1:
        penalty = penalty.of_part(1 / about.stands_for)  # √m of the whole row
    entry = Entry(
        name=item.sites[0].name,
        path=item.path,
        shape=shape,
        role=site.role,
        penalty=penalty,
        grouping=groups,
        reason=(_FROZEN if frozen else why) + item.tied,
        frozen=frozen,
        protected=rule is not None and rule.penalty is None,
        layer=".".join(item.path.split(".")[: -1 - item.sites[0].about.layer]),
        once_trained=why + item.tied,
    )
    return _on_sphere(entry, _invariance_of(item, known), rules)


def _check_real(item: _Found, site: Site) -> None:
    if item.parameter.is_complex():
        raise PlanError(
            f"parameter {item.path!r} is complex",
            got=str(item.parameter.dtype).removeprefix("torch."),
            expected="real weights: the penalties are functions of real numbers",
            remedy="Store it as torch.view_as_real does, pairs in a last dimension, or protect "
            f"it: {{{site.name!r}: None, …}}.",
        )


def _reason(item: _Found, rules: Rules, rule: Rule | None, site: Site) -> str:
    if rule is not None:
        reason = f"rule {rule.label}" + ("" if rule.penalty else " leaves it out")
        reason += f"; {site.about.note}" if rule.penalty and site.about.note else ""
    elif any(candidate.matches(_at(rules, item.sites)) for candidate in rules.rules):
        reason = _why_not(_at(rules, item.sites))
    else:
        reason = "no rule matches"
    return reason


def _why_not(site: Site) -> str:
    return replace(site.about, role=site.role).why_not


def _on_sphere(entry: Entry, invariance: Invariance | None, rules: Rules) -> Entry:
    """The entry with what a normalisation layer does to it."""
    penalty = entry.penalty
    if penalty is None or invariance is None:
        return replace(entry, invariance=invariance)
    if not _varies(penalty, entry.grouping, invariance.rows):
        return replace(entry, invariance=invariance)
    how = "norm kept" if rules.rescale else "norm free"
    why = f"; {how}: followed by {canonical(invariance.norm)}"
    reason, later = entry.reason + why, entry.once_trained + why
    return replace(
        entry, invariance=invariance, sphere=invariance.rows, reason=reason, once_trained=later
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
    """Whether it takes the parameter; what a rule protects it protects whole."""
    return rule.matches(site) and (rule.penalty is None or _admits(rule, site, rules))


def _admits(rule: Rule, site: Site, rules: Rules) -> bool:
    return rule.admits(site, biases=rules.biases, norms=rules.norms)


def _to_penalise(entries: tuple[Entry, ...]) -> str:
    """What to write so that something is penalised: it depends on what the network has."""
    frozen = [entry.path for entry in entries if entry.penalty]  # all that the rules take
    if frozen:
        return f"Train what the rules take: model.get_parameter({frozen[0]!r}).requires_grad_()."
    trained = [e for e in entries if e.role in _WITH_MEANING and not e.frozen]
    if not trained:
        return "Make the plan for a network that has weights to train."
    first = min(trained, key=lambda entry: _WITH_MEANING.index(entry.role))
    others = ", …" if sum(entry.role is first.role for entry in trained) > 1 else ""
    return f"Name what is meant in a rule: Rules({{{first.name!r}: L1(1e-4){others}}})."


_WITH_MEANING = (Role.WEIGHT, Role.OTHER, Role.EMBEDDING, Role.BIAS, Role.NORM)
"""Roles that a rule can name, the likeliest first. Of the others weights are computed: a penalty on
them is on nothing that acts."""


def _check_layers(sites: list[Site]) -> None:
    """See that what was registered of layers is what they have, by the names they have it under."""
    inside: dict[nn.Module, set[str]] = {}
    for site in sites:
        for path, module in site.modules:
            prefix = f"{path}." if path else ""
            inside.setdefault(module, set()).update(n.removeprefix(prefix) for n in site.names)
    check_registered(inside)


def _check_rules(rules: Rules, sites: list[Site]) -> None:
    for rule in rules.rules:
        if not _matched(rule, sites):
            raise _unmatched(rule, rules, sites)


def _matched(rule: Rule, sites: list[Site]) -> list[Site]:
    return [site for site in sites if rule.matches(site)]


def _unmatched(rule: Rule, rules: Rules, sites: list[Site]) -> PlanError:
    kinds = {type(site.layer[1]).__name__ for site in sites}
    return PlanError(
        f"the rule {rule.label} matches nothing",
        got=f"layers of type {', '.join(sorted(kinds))}",
        expected="a module name pattern, module type or parameter name of this network",
        remedy=_meant(rule, rules, sites)
        + f"Its layers: {_some(site.layer[0] for site in sites)}.",
    )


def _meant(rule: Rule, rules: Rules, sites: list[Site]) -> str:
    """What a key that matches nothing may have been meant for, among what no other key names."""
    if not isinstance(rule.key, str):
        return ""
    names = {name for site in sites for name in (site.layer[0], site.name)}
    others = sorted(names.difference(other.key for other in rules.rules))
    return _as_class(rule.key, sites) or did_you_mean(rule.key, others)


def _as_class(key: str, sites: list[Site]) -> str:
    """Where a class of the network stands in quotes: the key without them."""
    name = key.rpartition(".")[2]
    kinds = {type(module) for site in sites for _, module in site.modules}
    named = [kind for kind in kinds if kind.__name__.casefold() == name.casefold()]
    if not named:
        return ""
    kind = named[0].__name__
    is_torchs = named[0].__module__.startswith("torch.nn.")
    return f"Write the class itself, without quotes: {'nn.' * is_torchs}{kind}. "


def _warn_of_idle(rules: Rules, sites: list[Site], told: set[str]) -> None:
    """Of rules without effect, but for those on what another warning is about."""
    taken: set[str] = set()
    for rule in rules.rules:
        matched = _matched(rule, sites)
        applied = _names(site for site in matched if _applies(rule, site, rules))
        if applied or rule.penalty is None or told.intersection(_names(matched)):
            meant = _names(site for site in matched if _admits(rule, site, rules))
            _warn_if_shadowed(rule, meant, taken)
        else:
            warn(
                f"the rule {rule.label} penalises nothing: it matches only "
                f"{_some(_names(matched))} ({_why_not(matched[0])})",
            )
        taken.update(applied)


def _warn_if_shadowed(rule: Rule, meant: list[str], taken: set[str]) -> None:
    if meant and taken.issuperset(meant):
        warn(
            f"the rule {rule.label} never acts: earlier rules take all it matches "
            f"({_some(meant)}). The first match wins: put it first",
        )


def _names(sites: Iterable[Site]) -> list[str]:
    return [site.name for site in sites]


def _some(names: Iterable[str]) -> str:
    return listed(dict.fromkeys(names), 6, " and")
