"""Matrices that a plan leaves out although a rule of it is for all weights around them."""

from collections.abc import Iterator

from torch import Tensor, nn

from shrinkage.errors import listed, warn
from shrinkage.graph.layers import Role, known_axes
from shrinkage.plans.rules import Rules, Site

_SHOWN = 3

_SILENT = (Role.WEIGHT, Role.BIAS, Role.NORM, Role.EMBEDDING, Role.DIRECTION)
"""Roles that a rule takes, or leaves out for a reason that the documentation gives."""


Left = list[tuple[Site, Tensor]]
"""Trained parameters, and where they live."""


def leftover(left: Left, rules: Rules) -> Left:
    """The matrices in ``left``, which no rule has taken, that a rule matches all the same.

    Who names a part of the network means it: what no rule matches is left out on purpose.
    """
    acting = [
        rule for rule in rules.rules if rule.penalty and rule.penalty.scaled(0) != rule.penalty
    ]
    return [
        (site, tensor)
        for site, tensor in left
        if site.role not in _SILENT
        and _is_matrix(tensor)
        and any(rule.matches(site) for rule in acting)
    ]


def warn_of_leftover(found: Left, total: int) -> None:
    """Warn (:class:`ShrinkageWarning`) of such matrices; ``total``: all trained weights."""
    weights = sum(tensor.numel() for _, tensor in found)
    matrices = f"{len(found)} matrices" if len(found) > 1 else "a matrix"
    named = list(dict.fromkeys(site.names[-1] for site, _ in found))
    names = ", ".join(f"{name!r}: None" for name in named[:_SHOWN])
    warn(
        f"the plan leaves out {matrices}, {weights:,} of {total:,} weights: "
        f"{causes(found)}. Rules say that it is meant: "
        f"{{{names}{', …' if len(named) > _SHOWN else ''}}}",
    )


def causes(found: Left) -> str:
    """What is left out for the same reason, the reason, and what can be done."""
    return "; ".join(_causes(found))


def _is_matrix(tensor: Tensor) -> bool:
    has_axes = tensor.ndim == 2 or sum(size > 1 for size in tensor.shape) > 1
    return has_axes and tensor.numel() > 1


def _causes(found: Left) -> Iterator[str]:
    unknown = [(site, tensor) for site, tensor in found if site.role is Role.OTHER]
    if unknown:
        yield (
            f"{_some(unknown)}, of layers that are not known: {_registrations(unknown)} makes "
            "them known (a letter per axis of the weight, in its order; o: outputs, i: inputs, "
            "g: separate layers), and a rule that names them includes them"
        )
    for note in dict.fromkeys(s.about.note for s, _ in found if s.role is not Role.OTHER):
        alike = [(s, t) for s, t in found if s.role is not Role.OTHER and s.about.note == note]
        yield f"{_some(alike)}: {note}"


def _registrations(unknown: Left) -> str:
    """The lines that teach us their layers."""
    known: dict[type[nn.Module], dict[str, str]] = {}
    for site, tensor in unknown:
        kind, name = _registered_as(site)
        # What is registered anew replaces what was.
        known.setdefault(kind, dict(known_axes(kind)))[name] = _axes(site.name, tensor.ndim)
    lines = []
    for kind, names in list(known.items())[:_SHOWN]:
        letters = ", ".join(f'"{name}": "{axes}"' for name, axes in names.items())
        lines.append(f"sh.register_layer({kind.__name__}, {{{letters}}})")
    return "; ".join(lines)


def _axes(name: str, ndim: int) -> str:
    """The letters that are usual; kernels, as Keras and JAX call them, have their outputs last."""
    if name.endswith("kernel"):
        return "k" * (ndim - 2) + "io"
    return {2: "oi", 3: "goi"}.get(ndim, "oi" + "k" * (ndim - 2))


def _registered_as(site: Site) -> tuple[type[nn.Module], str]:
    """Class and name under which it can be; lists and dictionaries belong to what holds them."""
    name = site.name.rpartition(".")[2]
    (path, owner), *around = reversed(site.modules)
    if not isinstance(owner, nn.ParameterList | nn.ParameterDict) or not around:
        return type(owner), name
    alike = len({parameter.ndim for parameter in owner.parameters()}) == 1
    return type(around[0][1]), f"{path.rpartition('.')[2]}.{'*' if alike else name}"


def _some(found: Left) -> str:
    names = (f"{site.name} ({type(site.layer[1]).__name__})" for site, _ in found)
    return listed(names, _SHOWN, " and")
