"""The stages of a path over its run folder, from the dense networks to the report."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from math import sqrt
from time import monotonic
from types import MappingProxyType
from typing import TypeVar

from shrinkage.errors import FitError
from shrinkage.experiments.paths.ends import convex_ends, swept_ends
from shrinkage.experiments.paths.engines import Staff, Workers
from shrinkage.experiments.paths.points import Outcome, ends, fit_point
from shrinkage.experiments.paths.pruning import Chains, Pruning, prune_point
from shrinkage.experiments.paths.selection import Table, Wanted, select
from shrinkage.experiments.paths.setting import Job, Setting, Weights, key
from shrinkage.experiments.paths.stabilising import select_stable
from shrinkage.experiments.paths.testing import Testing, networks, on_test_part
from shrinkage.experiments.studies.threads import threads
from shrinkage.progress import Progress
from shrinkage.runs import (
    Decisions,
    FailedPointRecord,
    PathFitRecord,
    PointRecord,
    Run,
    RunView,
    ScaleRecord,
    SelectedRecord,
    TestRecord,
)

J = TypeVar("J", Job, Pruning)
R = TypeVar("R", bound=ScaleRecord)
D = TypeVar("D")
_NONE: Mapping[str, Weights] = MappingProxyType({})

_BEND = 0.15
"""A fall of the score between neighbours, as a share of its whole range, that is a bend."""

_OFTEN, _REST = 10.0, 30.0
"""Seconds between two reports of an unfinished run, and as a multiple of what one takes."""


class Stages:
    """The stages of one path over an opened run folder; finished work is never repeated."""

    def __init__(
        self,
        setting: Setting,
        run: Run,
        wanted: Wanted,
        staff: Staff,
        progress: Callable[[Progress], None],
        write_report: Callable[[Run], None],
    ) -> None:
        self.setting, self.run_, self.wanted = setting, run, wanted
        self.staff, self.progress = staff, progress
        self.write_report = write_report
        # Threads change the last bits of a sum: one each, so that any number of workers agrees.
        self.threads = run.view().decided.threads or 1
        self.next_report = monotonic() + _OFTEN

    def run(self) -> None:
        """Dense networks, ends, chains, refinement, choice, test, report."""
        if not self.so_far.finished:
            with threads(self.threads):
                engine = self.staff.engine_for(
                    self.setting, threads=self.threads, chains=self.setting.chains
                )
                with Workers(engine) as workers:
                    self.stages(workers)
        self.write_report(self.run_)

    def stages(self, workers: Workers) -> None:
        """What :meth:`run` does, with the workers that do it."""
        self.run_.decide(threads=self.threads)
        if self.setting.ascending:
            dense: dict[int, Sequence[float]] = dict.fromkeys(self.seeds, (0.0,))
            self.fit(workers, "dense networks", dense, meanwhile=self.scales_early)
            self.refuse_failed()
        scales = self.decided("scales", self.so_far.scales, self.find_scales)
        self.fit(workers, "path", dict.fromkeys(self.seeds, scales))
        bends = self.decided("bends", self.so_far.bends, self.find_bends)
        for first, between in bends:
            self.fit(workers, "extra points", dict.fromkeys(self.seeds, (between,)), start=first)
        select_stable(self.setting, self.run_, workers, self.progress, scales)
        if self.setting.magnitude:
            self.prune(workers)
        self.decided("choice", self.so_far.choice, self.choose)
        self.open_test(workers)
        self.run_.finish()

    @property
    def seeds(self) -> range:
        """The seeds, or folds, of the run."""
        return range(self.setting.seeds)

    @property
    def so_far(self) -> Decisions:
        """What has been decided."""
        return self.run_.view().decided

    def decided(self, name: str, known: D | None, decide: Callable[[], D]) -> D:
        """A decision of the run: taken once, and ``known`` when the run goes on."""
        if known is not None:
            return known
        found = decide()
        self.run_.decide(**{name: found})
        return found

    def choose(self) -> SelectedRecord:
        """The point that is wanted."""
        return SelectedRecord(**vars(select(self.run_.view(), self.wanted)))

    def scales_early(self) -> None:
        """The grid, as soon as the first seed has a dense network: here, while others train."""
        if key(0, 0.0) in self.run_.view().records(PathFitRecord):
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
        return swept_ends(self.setting, 0, self.run_.view().weights(key(0, 0.0)))

    def refuse_failed(self) -> None:
        """A chain whose dense network diverged has nothing to start from."""
        for fit in self.run_.view().records(FailedPointRecord).values():
            if not fit.scale:
                raise FitError(
                    "the dense network cannot be trained",
                    got=fit.failed,
                    expected="a network that learns without a penalty, in every seed",
                    remedy="Lower the learning rate (--lr).",
                )

    def find_bends(self) -> Sequence[tuple[float, float]]:
        """(left neighbour, new scale) where the score falls most between neighbours."""
        table = Table(self.run_.view())
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
        chains: dict[int, Sequence[float]],
        start: float | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Walk every seed's chain of scales, each point from the one before (first: ``start``).

        ``meanwhile`` is called after every fit, while the workers go on.
        """
        known = self.run_.view().records(PointRecord)
        total = sum(map(len, chains.values()))
        done = sum(key(seed, s) in known for seed, scales in chains.items() for s in scales)
        jobs = [job for seed, scales in chains.items() if (job := self.first(seed, scales, start))]

        def then(job: Job, result: Outcome[PointRecord]) -> Job | None:
            return self.first(job.seed, chains[job.seed], start, result[1])

        self.record(workers.work(fit_point, jobs, then), stage, done, total, meanwhile)

    def record(
        self,
        results: Generator[tuple[J, Outcome[R]], None, None],
        stage: str,
        done: int,
        total: int,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Store points as they come: the weights first, so that no point is without them."""
        self.progress(Progress(stage, done, total))
        with closing(results):
            for job, (point, weights) in results:
                for name, tensors in weights.items():
                    self.run_.save_weights(name, tensors)
                self.run_.append(point)
                done += 1
                self.progress(Progress(stage, done, total, f"λ × {job.scale:.2g}, seed {job.seed}"))
                (meanwhile or self.report_now_and_then)()
        if done < total:  # an empty network stays so: its chain has ended
            empty = f"{total - done} not trained: nothing is left to shrink"
            self.progress(Progress(stage, total, total, empty))

    def report_now_and_then(self) -> None:
        """A report of what is there so far: seldom enough to take a small part of the time."""
        begun = monotonic()
        if begun > self.next_report:
            self.write_report(self.run_)
            ended = monotonic()
            self.next_report = ended + max(_OFTEN, _REST * (ended - begun))

    def prune(self, workers: Workers) -> None:
        """Magnitude pruning to the nonzeros of every point, chained like the path itself."""
        chains = Chains(self.setting, self.run_.view())
        results = workers.work(prune_point, chains.first(), chains.then)
        self.record(results, "magnitude", chains.done, chains.total)

    def first(
        self,
        seed: int,
        scales: Sequence[float],
        start: float | None,
        at_hand: Mapping[str, Weights] = _NONE,
    ) -> Job | None:
        """The first fit of a chain that is not in the run folder; None where all are, or failed.

        ``at_hand``: weights that need not be read, by name.
        """
        view = self.run_.view()
        fits = view.records(PointRecord)
        before = start if start is not None else (0.0 if self.setting.ascending else None)
        for scale in scales:
            fit = fits.get(key(seed, scale))
            if fit is None:
                if before is None or not scale:
                    return Job(seed, scale)
                known = fits.get(key(seed, before))  # missing where the chain has ended before it
                if not isinstance(known, PathFitRecord):
                    return None
                return _after(known, scale, view, at_hand)
            if ends(self.setting, fit):
                return None
            before = scale
        return None

    def open_test(self, workers: Workers) -> None:
        """Evaluate every network on the test part, once, after the choice."""
        view = self.run_.view()
        names, tested = networks(view), view.records(TestRecord)
        done, total = len(tested), sum(map(len, names.values()))
        left = {
            seed: iter([name for name in row if name not in tested]) for seed, row in names.items()
        }

        def next_of(seed: int) -> Testing | None:
            name = next(left[seed], None)
            return None if name is None else Testing(seed, name, view.weights(name))

        jobs = [job for seed in names if (job := next_of(seed))]
        results = workers.work(on_test_part, jobs, lambda job, _: next_of(job.seed))
        self.progress(Progress("test", done, total))
        with closing(results):
            for _, point in results:
                self.run_.append(point)
                done += 1
                self.progress(Progress("test", done, total))


def _after(
    known: PathFitRecord, scale: float, view: RunView, at_hand: Mapping[str, Weights]
) -> Job:
    """The fit at a scale from the weights of a known one."""
    name = known.key
    weights = at_hand[name] if name in at_hand else view.weights(name)
    return Job(known.seed, scale, weights, known.train.loss)
