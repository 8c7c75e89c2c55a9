"""The points of a path in its run folder: chains of fits over the scales, one per seed."""

from collections.abc import Mapping
from typing import Any

from shrinkage.runs import RunView

Point = dict[str, Any]


def key(seed: int, scale: float) -> str:
    """The name of a fit: seed and scale."""
    return f"{seed}/{scale:.10g}"


def refit_key(name: str) -> str:
    """The name of a fit's refit on its support."""
    return f"{name}/refit"


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
