"""The stages of a run over its folder: what is finished is never repeated."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import closing
from time import monotonic
from typing import Any, Generic, TypeVar

from shrinkage.experiments.runner.chains import Chain, Outcome, Weights
from shrinkage.experiments.runner.engine import Workers
from shrinkage.experiments.runner.staff import Staff
from shrinkage.experiments.runner.threads import threads
from shrinkage.progress import Progress
from shrinkage.runs import Decisions, Run, RunView
from shrinkage.runs.schema import LineRecord

S = TypeVar("S")
J = TypeVar("J", bound=Hashable)
D = TypeVar("D")

_OFTEN, _REST = 10.0, 30.0
"""Seconds between two reports of an unfinished run, and as a multiple of what one takes."""


class Stages(ABC, Generic[S]):
    """The stages of one run over its opened folder.

    ``setting`` is what all jobs share. Subclasses say what the stages are, and write the report.
    """

    chains: int | None = None
    """The most chains that can be worked on at once; None: as many as there are workers."""

    def __init__(
        self, setting: S, run: Run, staff: Staff, progress: Callable[[Progress], None]
    ) -> None:
        self.setting, self.folder, self.staff, self.progress = setting, run, staff, progress
        # Threads change the last bits of a sum: one each, so that any number of workers agrees.
        self.threads = run.view().decided.threads or 1
        self.next_report = monotonic() + _OFTEN

    @abstractmethod
    def stages(self, workers: Workers) -> None:
        """All stages, in order."""

    @abstractmethod
    def page(self) -> str:
        """The report of what is there."""

    @abstractmethod
    def note(self, job: Any) -> str:
        """What a finished job was, for who waits."""

    def run(self) -> None:
        """Go through the stages, unless that has been done, and report."""
        if not self.so_far.finished:
            with threads(self.threads):
                engine = self.staff.engine_for(
                    self.setting, threads=self.threads, chains=self.chains
                )
                with Workers(engine) as workers:
                    self.folder.decide(threads=self.threads)
                    self.stages(workers)
                    self.folder.finish()
        self.report()

    @property
    def so_far(self) -> Decisions:
        """What has been decided."""
        return self.folder.view().decided

    def decided(self, name: str, known: D | None, decide: Callable[[], D]) -> D:
        """A decision of the run: taken once, and ``known`` when the run goes on."""
        if known is not None:
            return known
        found = decide()
        self.folder.decide(**{name: found})
        return found

    def work(
        self,
        workers: Workers,
        function: Callable[[Any, J], Outcome[LineRecord]],
        stage: str,
        chains: Sequence[Chain[J]],
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Work through what the folder lacks of the chains; records are stored as they come.

        The weights go first, so that no record is without them. ``meanwhile`` is called after
        every job, while the workers go on; None: the report is written now and then.
        """
        view = self.folder.view()
        total = sum(len(chain.names) for chain in chains)
        done = sum(_known(chain, view) for chain in chains)
        owners: dict[J, Chain[J]] = {}

        def first(chain: Chain[J], at_hand: Mapping[str, Weights]) -> J | None:
            job = chain.first(self.folder.view(), at_hand)
            if job is not None:
                owners[job] = chain
            return job

        jobs = [job for chain in chains if (job := first(chain, {}))]
        self.progress(Progress(stage, done, total))
        results = workers.work(function, jobs, lambda job, got: first(owners.pop(job), got[1]))
        with closing(results):
            for job, (record, weights) in results:
                for name, tensors in weights.items():
                    self.folder.save_weights(name, tensors)
                self.folder.append(record)
                done += 1
                self.progress(Progress(stage, done, total, self.note(job)))
                (meanwhile or self.report_now_and_then)()
        if done < total:  # an empty network stays so: its chain has ended
            empty = f"{total - done} not trained: nothing is left to shrink"
            self.progress(Progress(stage, total, total, empty))

    def report(self) -> None:
        """Write the report."""
        self.folder.write("report.html", self.page())

    def report_now_and_then(self) -> None:
        """A report of what is there so far: seldom enough to take a small part of the time."""
        begun = monotonic()
        if begun > self.next_report:
            self.report()
            ended = monotonic()
            self.next_report = ended + max(_OFTEN, _REST * (ended - begun))


def _known(chain: Chain[J], view: RunView) -> int:
    """How many of a chain's records are in the folder."""
    known = chain.known(view)
    return sum(name in known for name in chain.names)
