"""The points of a path in its run folder: chains of fits over the scales, one per seed."""

from collections.abc import Mapping
from dataclasses import replace

from shrinkage.errors import RunError
from shrinkage.runs import PathFitRecord, PointRecord, RunView


def key(seed: int, scale: float) -> str:
    """The name of a fit: seed and scale."""
    return f"{seed}/{scale:.10g}"


def refit_key(name: str) -> str:
    """The name of a fit's refit on its support."""
    return f"{name}/refit"


def stable_key(seed: int) -> str:
    """The name of a seed's fit of the stable features."""
    return f"{seed}/stable"


def weights_key(view: RunView, family: str, seed: int, scale: float) -> str:
    """Where the weights of a chosen point are stored; scale 0 has no refit of its own.

    ``family``: ``"fit"``, ``"refit"`` or ``"stable"``. Raises :class:`RunError` for others, and
    where the seed's chain has no network at this scale.
    """
    if family not in ("fit", "refit", "stable"):
        raise RunError(
            "the run has chosen a network of an unknown family",
            got=repr(family),
            expected="one of fit, refit, stable",
            remedy="Read the run with the version of shrinkage that has written it.",
        )
    if family == "stable":
        return stable_key(seed)
    fit = fit_at(view, seed, scale)
    if fit is None:
        raise RunError(
            "the run has no network at this scale",
            got=f"scale {scale:.10g}, seed {seed}",
            expected="a scale that the seed's chain has reached",
            remedy="Finish the run with the command it was begun with.",
        )
    name = fit.key
    return refit_key(name) if family == "refit" and scale else name


def fit_at(view: RunView, seed: int, scale: float) -> PathFitRecord | None:
    """What a seed's chain is at a scale; None where it has not come, or failed.

    A chain ends where its network is empty, because an empty one stays so. From there on it *is*
    that network: the fit it ended with, under its own key, stands for all stronger scales.
    """
    return _at(_chains(view).get(seed, {}), scale)


def by_scale(view: RunView) -> dict[float, list[PathFitRecord]]:
    """What the chains are (:func:`fit_at`), by scale from the dense end on, in order of seeds."""
    chains = _chains(view)
    scales = sorted({scale for chain in chains.values() for scale in chain})
    rows = {s: [_at(chains.get(n, {}), s) for n in range(view.study.seeds)] for s in scales}
    found = {s: [fit for fit in row if fit is not None] for s, row in rows.items()}
    return {scale: row for scale, row in found.items() if row}


def complete(view: RunView) -> dict[float, list[PathFitRecord]]:
    """The scales of :func:`by_scale` at which every seed has a network."""
    return {s: row for s, row in by_scale(view).items() if len(row) == view.study.seeds}


def _chains(view: RunView) -> dict[int, dict[float, PointRecord]]:
    """The fits of every seed by scale."""
    chains: dict[int, dict[float, PointRecord]] = {}
    for fit in view.records(PointRecord).values():
        chains.setdefault(fit.seed, {})[fit.scale] = fit
    return chains


def _at(chain: Mapping[float, PointRecord], scale: float) -> PathFitRecord | None:
    """The usable fit at a scale; beyond the end of the chain the empty one it ended with."""
    before = [known for known in chain if known <= scale]
    last = chain[max(before)] if before else None
    if not isinstance(last, PathFitRecord) or not last.is_usable:
        return None
    if last.scale == scale:
        return last
    return None if last.weights.nonzeros else replace(last, scale=scale)
