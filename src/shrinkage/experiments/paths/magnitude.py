"""Magnitude pruning beside a path: as many weights and epochs, chained in the same way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from shrinkage.data import Examples
from shrinkage.experiments.fit import (
    DivergedError,
    Epoch,
    Treatment,
    fit,
    prune_by_magnitude,
    zeros_held,
)
from shrinkage.experiments.paths.points import copied
from shrinkage.experiments.paths.setting import PathSetting, key
from shrinkage.experiments.paths.shrunk import Trained, shrunk
from shrinkage.experiments.runner import Outcome, Weights
from shrinkage.experiments.studies import evaluated
from shrinkage.runs import (
    FailedMagnitudeRecord,
    MagnitudeRecord,
    PathFitRecord,
    RunView,
    ScaleRecord,
)


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


def prune_point(
    setting: PathSetting, job: Pruning
) -> Outcome[MagnitudeRecord | FailedMagnitudeRecord]:
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
    setting: PathSetting,
    job: Pruning,
    small: Trained,
    epochs: float,
    parts: Mapping[str, Examples],
) -> Epoch:
    """Train what is left, and write it back."""
    with zeros_held(small.plan):
        way = fit(
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


@dataclass(frozen=True, eq=False)
class Pruned:
    """Points of magnitude pruning like the ``fits`` of a seed's path, from the dense end on."""

    setting: PathSetting
    seed: int
    fits: Sequence[PathFitRecord]

    @property
    def names(self) -> Sequence[str]:
        """The keys of the points."""
        return [_name(fit.key) for fit in self.fits]

    def known(self, view: RunView) -> Mapping[str, ScaleRecord]:
        """The points that are in the run folder."""
        return {**view.records(MagnitudeRecord), **view.records(FailedMagnitudeRecord)}

    def first(self, view: RunView, at_hand: Mapping[str, Weights]) -> Pruning | None:
        """The first point that is not in the run folder; None at the end, and after a failure."""
        known, before = self.known(view), key(self.seed, 0.0)
        for like in self.fits:
            point = known.get(_name(like.key))
            if point is None:
                return self._job(
                    like, at_hand[before] if before in at_hand else view.weights(before)
                )
            if isinstance(point, FailedMagnitudeRecord):
                return None
            before = _leading_on(point.key)
        return None

    def _job(self, like: PathFitRecord, start: Weights) -> Pruning:
        epochs = like.rounds * self.setting.point_epochs
        more = 0.0 if self.setting.refit is None else self.setting.point_epochs
        return Pruning(self.seed, like.scale, start, like.weights.nonzeros, epochs, more)


def in_chains(setting: PathSetting, view: RunView) -> list[Pruned]:
    """What is to be pruned in a run, a chain for each seed."""
    fits = sorted(view.records(PathFitRecord).values(), key=lambda fit: fit.scale)
    return [
        Pruned(setting, seed, [fit for fit in fits if fit.seed == seed and _is_prunable(fit)])
        for seed in range(setting.seeds)
    ]


def _leading_on(name: str) -> str:
    """The name of the weights that the next point starts from."""
    return f"{name}/chain"


def _name(fit: str) -> str:
    return f"{fit}/magnitude"


def _is_prunable(fit: PathFitRecord) -> bool:
    return fit.scale > 0 and fit.weights.nonzeros > 0
