"""Rules: which penalty for which layers. They know no network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from numbers import Real
from typing import Self

from torch import Tensor, nn

from shrinkage.arguments import as_flag
from shrinkage.errors import PlanError, shown
from shrinkage.graph.layers import Description, Role
from shrinkage.graph.wrappers import canonical
from shrinkage.penalties import Penalty

Key = str | type[nn.Module]


@dataclass(frozen=True)
class Site:
    """Where a parameter lives: the chain of modules from the root to its owner, and its names.

    The first name is its own, the second what the layer calls the weight that is computed from
    it. ``tied``: elsewhere the parameter is an embedding.
    """

    modules: tuple[tuple[str, nn.Module], ...]
    names: tuple[str, ...]
    about: Description
    tied: bool = False

    @property
    def name(self) -> str:
        """The parameter's own name."""
        return self.names[0]

    @property
    def role(self) -> Role:
        """What the parameter is here."""
        return Role.EMBEDDING if self.tied else self.about.role

    @property
    def layer(self) -> tuple[str, nn.Module]:
        """Name and module of the layer that the parameter belongs to."""
        return self.modules[-1 - self.about.layer]


@dataclass(frozen=True)
class Rule:
    """One key and its penalty; ``penalty=None`` leaves what it matches unpenalised."""

    key: Key
    penalty: Penalty | None

    @property
    def label(self) -> str:
        """The key as it was written."""
        return shown(self.key) if isinstance(self.key, str) else self.key.__name__

    def matches(self, site: Site) -> bool:
        """Whether the key names the parameter, its layer, or a module around it."""
        return self._matches_module(site) or self._matches_parameter(site)

    def admits(self, site: Site, *, biases: bool, norms: bool) -> bool:
        """Whether a matching parameter is meant, too: biases and norms only on request."""
        match site.role:
            case Role.WEIGHT:
                return True
            case Role.BIAS:
                return biases or not self._matches_module(site)
            case Role.NORM:
                return norms or self._names_exactly(site)
            case Role.EMBEDDING | Role.OTHER:
                return not self._names_all(site) and not self._names_other_use(site)
            case Role.PARAMETRISED:  # what is meant for the weight is not meant for it
                return not self.matches(replace(site, names=site.names[1:]))
            case Role.DIRECTION | Role.SCALE_FREE:
                return False

    def _names_other_use(self, site: Site) -> bool:
        """Whether the key is a type of layers, and the parameter an embedding beside this place."""
        return site.tied and not isinstance(self.key, str)

    def _names_all(self, site: Site) -> bool:
        """Whether the key is for the whole network, and so names nothing in it."""
        if isinstance(self.key, str):
            return not self.key.strip("*?.")
        around, own = site.modules[0][1], site.layer[1]
        return self.key is nn.Module or (
            isinstance(around, self.key) and not isinstance(own, self.key)
        )

    def _matches_module(self, site: Site) -> bool:
        if isinstance(self.key, str):
            key = canonical(self.key)
            own = [name for name, _ in site.modules]
            inside = own[1 : len(own) - site.about.layer] or own[:1]
            # With the dot, "head.*" names the layer head as "features.*" names what it holds.
            named = [*inside, *(f"{name}." for name in inside)]
            return key == "*" or any(fnmatchcase(name, key) for name in named)
        return any(isinstance(module, self.key) for _, module in site.modules)

    def _matches_parameter(self, site: Site) -> bool:
        if not isinstance(self.key, str):
            return False
        return any(fnmatchcase(name, canonical(self.key)) for name in site.names)

    def _names_exactly(self, site: Site) -> bool:
        name, layer = site.layer
        if isinstance(self.key, str):
            return canonical(self.key) in (name, *site.names)
        return self.key is not nn.Module and isinstance(layer, self.key)


@dataclass(frozen=True)
class Rules:
    """Penalties by layer: ``Rules({"conv*": GroupL1(1e-3), nn.Linear: L1(1e-4)}, biases=True)``.

    A key is a module name pattern (``"features.*"``, also of a module around the layer), a
    module type, or a parameter name pattern (``"*.bias"``). The first rule that matches wins;
    the value ``None`` protects all that it matches, biases and normalisation layers included. A
    bare penalty is the rule ``"*"``.

    Weights of convolutions, linear, attention and recurrent layers are penalised. Biases join
    with ``biases=True`` or a parameter name pattern; normalisation layers with ``norms=True``,
    their type or their exact name; embeddings and parameters of unknown layers with any rule
    that is not for the whole network (:func:`register_layer` makes layers known). A tied
    embedding is an embedding.

    Of weights that are computed from other parameters only what has a meaning is penalised: the
    magnitude g of ``weight_norm``, under its layer's rules. Since |g| is the norm of a filter,
    ``L1`` on it is a group lasso, and ``GroupL1(by="filter")`` and ``L2`` are what they are on
    the weight itself. ``prune`` leaves the weight behind its mask. What ``spectral_norm`` and
    other parametrizations compute from is left out, with a warning.

    ``rescale=True``: weights before a normalisation layer keep their norm
    (see :class:`Plan`). Raises :class:`PlanError` for keys and values of other types.
    """

    rules: tuple[Rule, ...]
    biases: bool = False
    norms: bool = False
    rescale: bool = False

    def __init__(
        self,
        rules: "Penalty | Mapping[Key, Penalty | None] | tuple[Rule, ...]",
        *,
        biases: bool = False,
        norms: bool = False,
        rescale: bool = False,
    ) -> None:
        object.__setattr__(self, "rules", _as_rules(rules))
        for name, flag in (("biases", biases), ("norms", norms), ("rescale", rescale)):
            object.__setattr__(self, name, as_flag(name, flag, error=PlanError))

    def including(self, *, biases: bool, norms: bool, rescale: bool) -> Self:
        """The same rules, with what is True here beside what they include already."""
        asked = type(self)(self.rules, biases=biases, norms=norms, rescale=rescale)
        flags = ("biases", "norms", "rescale")
        return replace(self, **{key: getattr(self, key) or getattr(asked, key) for key in flags})

    def scaled(self, factor: float) -> Self:
        """The same rules with every penalty multiplied by ``factor``."""
        return self._with(lambda penalty: penalty.scaled(factor))

    def for_targets(self, targets: Callable[[], Tensor]) -> Self:
        """The same rules for data with these targets, which are asked for where they matter."""
        return self._with(lambda penalty: penalty.for_targets(targets))

    @property
    def convex(self) -> Self:
        """The same rules with the convex penalty of the same slope for each that is not convex."""
        return self._with(lambda penalty: penalty.convex)

    def _with(self, change: Callable[[Penalty], Penalty]) -> Self:
        changed = (replace(r, penalty=r.penalty and change(r.penalty)) for r in self.rules)
        return replace(self, rules=tuple(changed))


def _as_rules(rules: object) -> tuple[Rule, ...]:
    if isinstance(rules, Penalty):
        return (Rule("*", rules),)
    if isinstance(rules, Mapping):
        rules = tuple(Rule(key, penalty) for key, penalty in rules.items())
    if not isinstance(rules, tuple) or not all(isinstance(rule, Rule) for rule in rules):
        raise PlanError(
            "rules are of the wrong type",
            got=shown(rules) if isinstance(rules, type | str) else type(rules).__name__,
            expected="a penalty such as L1(1e-4), or a mapping from layers to penalties",
            remedy=_remedy(rules),
        )
    for rule in rules:
        _check(rule)
    return rules


def _remedy(given: object) -> str:
    """What to write where this stands in place of a penalty."""
    if isinstance(given, type) and issubclass(given, Penalty):
        return f"Give it a strength: {given.__name__}(1e-4)."
    if isinstance(given, Real):
        return f"Give the strength inside a penalty: L1({shown(given)})."
    if isinstance(given, str):
        return "Write the penalty itself, such as L1(1e-4)."
    return 'Write L1(1e-4), or Rules({"conv*": L1(1e-4), nn.Linear: L2(1e-3)}).'


def _check(rule: Rule) -> None:
    is_module = isinstance(rule.key, type) and issubclass(rule.key, nn.Module)
    if not is_module and not isinstance(rule.key, str):
        raise PlanError(
            "a rule's key is of the wrong type",
            got=shown(rule.key),
            expected="a name pattern or a module type",
            remedy='Write "conv*", "*.bias" or nn.Linear.',
        )
    if rule.penalty is not None and not isinstance(rule.penalty, Penalty):
        raise PlanError(
            f"the rule {rule.label} has no penalty",
            got=shown(rule.penalty),
            expected="a penalty such as L1(1e-4), or None",
            remedy=_remedy(rule.penalty),
        )
