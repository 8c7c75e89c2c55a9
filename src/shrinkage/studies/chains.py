"""The points of a path in its run folder: chains of fits over the scales, one per seed."""

from collections.abc import Mapping
from typing import Any

from shrinkage.errors import RunError
from shrinkage.runs import RunView

Point = dict[str, Any]


def key(seed: int, scale: float) -> str:
    """The name of a fit: seed and scale."""
    return f"{seed}/{scale:.10g}"


def refit_key(name: str) -> str:
    """The name of a fit's refit on its support."""
    return f"{name}/refit"


def stable_key(seed: int) -> str:
    """The name of a seed's fit of the stable features."""
    return f"{seed}/stable"


def weights_key(family: str, seed: int, scale: float) -> str:
    """Where the weights of a chosen point are stored; scale 0 has no refit of its own.

    ``family``: ``"fit"``, ``"refit"`` or ``"stable"``. Raises :class:`RunError` for others.
    """
    name = key(seed, scale)
    names = {"fit": name, "refit": refit_key(name) if scale else name, "stable": stable_key(seed)}
    if family not in names:
        raise RunError(
            "the run has chosen a network of an unknown family",
            got=repr(family),
            expected=f"one of {', '.join(names)}",
            remedy="Read the run with the version of shrinkage that has written it.",
        )
    return names[family]


def by_scale(view: RunView) -> dict[float, list[Point]]:
    """The fits with a finite validation loss, by scale from the dense end on, in order of seeds."""
    fits = view.of_kind("fit")
    scales = sorted({fit["scale"] for fit in fits.values()})
    names = {scale: [key(seed, scale) for seed in range(view.config["seeds"])] for scale in scales}
    found = {
        s: [fits[n] for n in row if n in fits and is_usable(fits[n])] for s, row in names.items()
    }
    return {scale: row for scale, row in found.items() if row}


def complete(view: RunView) -> dict[float, list[Point]]:
    """The scales of :func:`by_scale` at which every seed has such a fit."""
    return {s: row for s, row in by_scale(view).items() if len(row) == view.config["seeds"]}


def is_usable(fit: Mapping[str, Any]) -> bool:
    """Has a fit, or its refit, a finite validation loss?"""
    return "validation" in fit and fit["validation"]["loss"] is not None
