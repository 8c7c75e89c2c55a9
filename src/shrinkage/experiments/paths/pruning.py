"""Magnitude pruning beside a path: as many weights and epochs, chained in the same way."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from zlib import crc32

from shrinkage.data import Examples
from shrinkage.experiments.fitting import (
    DivergedError,
    Epoch,
    Treatment,
    fit,
    prune_by_magnitude,
    zeros_held,
)
from shrinkage.experiments.paths.points import Outcome, copied
from shrinkage.experiments.paths.setting import Setting, Weights, key
from shrinkage.experiments.paths.shrinking import Trained, shrunk
from shrinkage.experiments.studies import evaluated
from shrinkage.runs import (
    FailedMagnitudeRecord,
    MagnitudeRecord,
    PathFitRecord,
    RunView,
    ScaleRecord,
)

_NONE: Mapping[str, Weights] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Pruning:
    """A point of magnitude pruning: as many weights and epochs as the fit of this scale.

    ``epochs`` lead on to the next point, as the fit's do; ``more`` do not, as the refit's.
    """

    seed: int
    scale: float
    start: Weights
    keep: int
    epochs: float
    more: float

    @property
    def key(self) -> str:
        """The name of the point in the run folder."""
        return _name(key(self.seed, self.scale))


def prune_point(setting: Setting, job: Pruning) -> Outcome[MagnitudeRecord | FailedMagnitudeRecord]:
    """Prune to the largest weights, from the denser network before, and train what is left.

    A pruned network and the refit of the same scale have had equally many epochs all in all.
    Source: Zhu & Gupta, To Prune, or Not to Prune (2017), gradual pruning.
    """
    model, plan = setting.network(job.seed, 0.0)
    model.load_state_dict(dict(job.start))
    prune_by_magnitude(plan, job.keep)
    split = setting.split(job.seed)
    parts = {"train": split.train, "validation": split.validation}
    small = shrunk(setting, plan, parts, zeros_held=True)
    train = {"train": small.parts["train"]}
    try:
        last = _trained(setting, job, small, job.epochs, train if job.more else small.parts)
        weights = {_leading_on(job.key): copied(model)}
        if job.more:
            last = _trained(setting, job, small, job.more, small.parts)
    except DivergedError as error:
        failed = FailedMagnitudeRecord(
            key=job.key, seed=job.seed, scale=job.scale, failed=error.briefly
        )
        return failed, {}
    nonzeros = sum(int(parameter.count_nonzero()) for _, _, parameter in plan.blocks())
    point = MagnitudeRecord(
        key=job.key,
        seed=job.seed,
        scale=job.scale,
        nonzeros=nonzeros,
        epochs=job.epochs + job.more,
        shrunk=small.note,
        **vars(evaluated(last)),
    )
    return point, {**weights, job.key: copied(model)}


def _trained(
    setting: Setting,
    job: Pruning,
    small: Trained,
    epochs: float,
    parts: Mapping[str, Examples],
) -> Epoch:
    """Train what is left, and write it back."""
    with zeros_held(small.plan):
        way = fit(
            small.model,
            small.plan,
            setting.train,
            parts,
            epochs=epochs,
            seed=crc32(f"{job.key}/{epochs}".encode()),
            treatment=Treatment(warm=True),
            loss=setting.loss,
            looks=1,
        )
        last = list(way)[-1]
    small.back()
    return last


class Chains:
    """What is to be pruned in a run: for every seed the fits of its path, from the dense end on."""

    def __init__(self, setting: Setting, view: RunView) -> None:
        self.setting, self.view = setting, view
        self.known: dict[str, ScaleRecord] = {
            **view.records(MagnitudeRecord),
            **view.records(FailedMagnitudeRecord),
        }
        self._done = len(self.known)
        fits = sorted(view.records(PathFitRecord).values(), key=lambda fit: fit.scale)
        self.fits = {
            seed: [fit for fit in fits if fit.seed == seed and _is_prunable(fit)]
            for seed in range(setting.seeds)
        }

    @property
    def total(self) -> int:
        """Points in all."""
        return sum(map(len, self.fits.values()))

    @property
    def done(self) -> int:
        """Points that were in the run folder."""
        return self._done

    def first(self) -> list[Pruning]:
        """The first point of every chain that is not in the run folder."""
        return [job for seed in self.fits if (job := self._first(seed))]

    def then(self, job: Pruning, result: Outcome[ScaleRecord]) -> Pruning | None:
        """The point after ``job``; None at the end of a chain."""
        point, weights = result
        self.known[job.key] = point
        return self._first(job.seed, weights)

    def _first(self, seed: int, at_hand: Mapping[str, Weights] = _NONE) -> Pruning | None:
        before = key(seed, 0.0)
        for number, like in enumerate(self.fits[seed]):
            point = self.known.get(_name(like.key))
            if point is None:
                start = at_hand[before] if before in at_hand else self.view.weights(before)
                return self._job(seed, number, start)
            if isinstance(point, FailedMagnitudeRecord):
                return None
            before = _leading_on(point.key)
        return None

    def _job(self, seed: int, number: int, start: Weights) -> Pruning:
        like = self.fits[seed][number]
        epochs = like.rounds * self.setting.point_epochs
        more = 0.0 if self.setting.refit is None else self.setting.point_epochs
        return Pruning(seed, like.scale, start, like.weights.nonzeros, epochs, more)


def _leading_on(name: str) -> str:
    """The name of the weights that the next point starts from."""
    return f"{name}/chain"


def _name(fit: str) -> str:
    return f"{fit}/magnitude"


def _is_prunable(fit: PathFitRecord) -> bool:
    return fit.scale > 0 and fit.weights.nonzeros > 0
