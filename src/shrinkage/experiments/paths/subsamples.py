"""Half samples of the training rows, each with a chain of its own; only its features are kept."""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch

from shrinkage.data import Examples, Split
from shrinkage.experiments.paths.points import ends, fit_point
from shrinkage.experiments.paths.setting import PathSetting, PointJob
from shrinkage.experiments.runner import Weights
from shrinkage.runs import FailedHalfSampleRecord, HalfSampleRecord, PathFitRecord


@dataclass(frozen=True)
class Walk:
    """The chain of one half sample over ``scales``, in the order of the chain."""

    number: int
    scales: tuple[float, ...]

    @property
    def key(self) -> str:
        """The name of the walk in the run folder."""
        return f"subsample/{self.number}"


@dataclass(frozen=True, eq=False, kw_only=True)
class HalfSample(PathSetting):
    """A setting whose training part is one half of the first seed's, for twice the epochs.

    So its chain has as many steps as the path itself: with fewer, features are lost on the way
    (docs/features.md). The numbers 2k and 2k + 1 are the two halves of one random order: a
    complementary pair.
    """

    number: int

    @classmethod
    def of(cls, setting: PathSetting, number: int) -> Self:
        """Half sample ``number`` of a setting; without refits."""
        shared = {field.name: getattr(setting, field.name) for field in fields(PathSetting)}
        half = cls(**shared, number=number)
        return replace(half, refit=None, epochs=2 * half.epochs, point_epochs=2 * half.point_epochs)

    def split(self, seed: int) -> Split:  # noqa: ARG002  (a network's seed draws no rows)
        """The first seed's cut, with half of its training rows."""
        whole = super().split(0)
        train = whole.train
        order = torch.randperm(
            len(train), generator=torch.Generator().manual_seed(self.number // 2)
        )
        half = len(train) // 2
        rows = (order[:half] if self.number % 2 == 0 else order[half : 2 * half]).sort().values
        return replace(whole, train=Examples(train.x[rows], train.y[rows]))


HalfSampleLine = HalfSampleRecord | FailedHalfSampleRecord


def walk(setting: PathSetting, job: Walk) -> HalfSampleLine:
    """Walk a half sample's chain; the inputs that are used at each scale.

    A chain that ends early uses nothing from there on; one that diverges says so.
    """
    half = HalfSample.of(setting, job.number)
    start: Weights | None = None
    loss: float | None = None
    inputs: list[list[int]] = []
    for scale in (0.0, *job.scales) if half.ascending else job.scales:
        fit = PointJob(job.number, scale, start, loss)
        found, weights = fit_point(half, fit)
        if not isinstance(found, PathFitRecord):
            return FailedHalfSampleRecord(key=job.key, scales=job.scales, failed=found.failed)
        if scale:
            inputs.append([*(found.features or ())])
        if ends(half, found):
            break
        start, loss = weights[fit.key], found.train.loss
    whole = inputs + [[]] * (len(job.scales) - len(inputs))
    return HalfSampleRecord(key=job.key, scales=job.scales, inputs=whole)
