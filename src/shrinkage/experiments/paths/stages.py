"""The stages of a path over its run folder, from the dense networks to the report."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt
from typing import Any

from shrinkage.errors import FitError
from shrinkage.experiments.paths.ends import convex_ends, swept_ends
from shrinkage.experiments.paths.magnitude import in_chains, prune_point
from shrinkage.experiments.paths.points import fit_point
from shrinkage.experiments.paths.selection import Table, Wanted, select
from shrinkage.experiments.paths.setting import PathSetting, key
from shrinkage.experiments.paths.stability import select_stable
from shrinkage.experiments.paths.tested import Testing, networks, on_test_part
from shrinkage.experiments.paths.walk import Scales
from shrinkage.experiments.runner import JobRow, Staff, Stages, Workers
from shrinkage.progress import Progress
from shrinkage.reports.paths import path_page
from shrinkage.runs import (
    FailedPointRecord,
    PathFitRecord,
    Run,
    RunView,
    SelectedRecord,
    TestRecord,
)

_BEND = 0.15
"""A fall of the score between neighbours, as a share of its whole range, that is a bend."""


class PathStages(Stages[PathSetting]):
    """The stages of one path over an opened run folder."""

    def __init__(
        self,
        setting: PathSetting,
        run: Run,
        wanted: Wanted,
        staff: Staff,
        progress: Callable[[Progress], None],
    ) -> None:
        super().__init__(setting, run, staff, progress)
        self.wanted, self.chains = wanted, setting.chains

    def page(self) -> str:
        """The report of what is there."""
        return path_page(self.folder.view())

    def note(self, job: Any) -> str:
        """The scale and the seed."""
        return "" if isinstance(job, Testing) else f"λ × {job.scale:.2g}, seed {job.seed}"

    def stages(self, workers: Workers) -> None:
        """Dense networks, ends, chains, refinement, choice, test."""
        if self.setting.ascending:
            dense: dict[int, Sequence[float]] = dict.fromkeys(self.seeds, (0.0,))
            self.fit(workers, "dense networks", dense, meanwhile=self.scales_early)
            self.refuse_failed()
        scales = self.decided("scales", self.so_far.scales, self.find_scales)
        self.fit(workers, "path", dict.fromkeys(self.seeds, scales))
        bends = self.decided("bends", self.so_far.bends, self.find_bends)
        for first, between in bends:
            self.fit(workers, "extra points", dict.fromkeys(self.seeds, (between,)), start=first)
        select_stable(self, workers, scales)
        if self.setting.magnitude:
            chains = in_chains(self.setting, self.folder.view())
            self.work(workers, prune_point, "magnitude", chains)
        self.decided("choice", self.so_far.choice, self.choose)
        self.open_test(workers)

    @property
    def seeds(self) -> range:
        """The seeds, or folds, of the run."""
        return range(self.setting.seeds)

    def choose(self) -> SelectedRecord:
        """The point that is wanted."""
        return SelectedRecord(**vars(select(self.folder.view(), self.wanted)))

    def scales_early(self) -> None:
        """The grid, as soon as the first seed has a dense network: here, while others train."""
        if key(0, 0.0) in self.folder.view().records(PathFitRecord):
            self.decided("scales", self.so_far.scales, self.find_scales)

    def find_scales(self) -> Sequence[float]:
        """The grid, in the order of a chain."""
        self.progress(Progress("range of λ", 0, 1))
        scales = self.setting.grid.scales(self.find_ends)
        self.progress(Progress("range of λ", 1, 1))
        return sorted(scales, reverse=not self.setting.ascending)

    def find_ends(self) -> tuple[float, float]:
        """From the scale that leaves everything to the one that empties.

        Of a convex path that empties every seed; of a network's that a sweep of the first shows.
        """
        if not self.setting.ascending:
            weakest, strongest = zip(
                *(convex_ends(self.setting, s) for s in self.seeds), strict=True
            )
            return max(weakest), max(strongest)
        return swept_ends(self.setting, 0, self.folder.view().weights(key(0, 0.0)))

    def refuse_failed(self) -> None:
        """A chain whose dense network diverged has nothing to start from."""
        for fit in self.folder.view().records(FailedPointRecord).values():
            if not fit.scale:
                raise FitError(
                    "the dense network cannot be trained",
                    got=fit.failed,
                    expected="a network that learns without a penalty, in every seed",
                    remedy="Lower the learning rate (--lr).",
                )

    def find_bends(self) -> Sequence[tuple[float, float]]:
        """(left neighbour, new scale) where the score falls most between neighbours."""
        table = Table(self.folder.view())
        scores = {
            scale: table.mean(scale, lambda fit: fit.validation.score)
            for scale in table.scales
            if scale > 0
        }
        scales = list(scores)
        span = max(scores.values(), default=0.0) - min(scores.values(), default=0.0)
        falls = [
            (scores[a] - scores[b], a, b)
            for a, b in pairwise(scales)
            if scores[a] - scores[b] > _BEND * span
        ]
        falls = sorted(falls, reverse=True)[: self.setting.refine]
        order = 0 if self.setting.ascending else 1
        return [((a, b)[order], sqrt(a * b)) for _, a, b in falls]

    def fit(
        self,
        workers: Workers,
        stage: str,
        scales: dict[int, Sequence[float]],
        start: float | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Walk every seed's chain of scales, each point from the one before (first: ``start``).

        ``meanwhile`` is called after every fit, while the workers go on.
        """
        chains = [Scales(self.setting, seed, row, start) for seed, row in scales.items()]
        self.work(workers, fit_point, stage, chains, meanwhile)

    def open_test(self, workers: Workers) -> None:
        """Evaluate every network on the test part, once, after the choice."""

        def job(seed: int) -> Callable[[RunView, str], Testing]:
            return lambda view, name: Testing(seed, name, view.weights(name))

        names = networks(self.folder.view()).items()
        rows = [JobRow(row, (TestRecord,), job(seed)) for seed, row in names]
        self.work(workers, on_test_part, "test", rows)
