"""The order in which features leave a path: the last scale at which each is used."""

from dataclasses import dataclass
from statistics import median_low

from shrinkage.analysis.features.names import Features
from shrinkage.runs import PathFitRecord, RunView


@dataclass(frozen=True)
class Exit:
    """One feature and the strongest scale whose network uses it; None: no penalised one does."""

    name: str
    scale: float | None


def leaving(view: RunView) -> list[Exit]:
    """Every feature of a path, the one that stays longest first.

    Of several seeds the (lower) median counts. Empty where the wiring of the network is not known.
    """
    features = Features.of(view)
    fits = view.records(PathFitRecord).values()
    last = {seed: [0.0] * len(features) for seed in {fit.seed for fit in fits}}
    for fit in fits:
        if fit.features is None:
            return []
        used = features.used(fit.features)
        last[fit.seed] = [
            max(scale, fit.scale) if is_used else scale
            for scale, is_used in zip(last[fit.seed], used, strict=True)
        ]
    scales = [median_low(of_seeds) for of_seeds in zip(*last.values(), strict=True)]
    order = sorted(range(len(scales)), key=lambda k: -scales[k])
    return [Exit(features.names[k], scales[k] or None) for k in order]
