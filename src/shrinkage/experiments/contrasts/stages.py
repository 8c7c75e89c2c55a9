"""The stages of a contrast over its run folder, from the first fit to the closer look."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan

from shrinkage.errors import FitError
from shrinkage.experiments.contrasts.certificates import certify_fit
from shrinkage.experiments.contrasts.settings import ContrastSetting, TrialJob, key
from shrinkage.experiments.contrasts.trace import Way, trace, trace_steps
from shrinkage.experiments.contrasts.trial import run_job, tested
from shrinkage.experiments.contrasts.tries import in_chains, way
from shrinkage.experiments.paths import choose
from shrinkage.experiments.paths.choice import ChoiceRule
from shrinkage.experiments.runner import JobRow, Staff, Stages, Workers
from shrinkage.progress import Progress
from shrinkage.reports import report_page
from shrinkage.runs import (
    CertificateRecord,
    ChoiceRecord,
    FailedCertificateRecord,
    FailedFitRecord,
    FitRecord,
    Run,
    RunView,
    StepsRecord,
    TestRecord,
    TraceRecord,
    TrialRecord,
)
from shrinkage.runs.schema import LineRecord

_FIRST_PICTURE = 4
"""Fits after which there is something to see."""
_FIRST_COLUMNS = ("none", "l1_term", "l1", "l2")


class ContrastStages(Stages[ContrastSetting]):
    """The stages of one contrast over an opened run folder."""

    def __init__(
        self,
        setting: ContrastSetting,
        run: Run,
        rule: ChoiceRule,
        staff: Staff,
        progress: Callable[[Progress], None],
    ) -> None:
        super().__init__(setting, run, staff, progress)
        self.rule, self.fits, self.next_report = rule, 0, 0.0

    def page(self) -> str:
        """The report of what is there."""
        return report_page(self.folder.view())

    def note(self, job: TrialJob | Way) -> str:
        """The column and the seed."""
        one = job.last if isinstance(job, Way) else job
        return f"{self.setting.by_name[one.column].label}, seed {one.seed}"

    def stages(self, workers: Workers) -> None:
        """Fit, choose, prune, choose, certify, open the test set, look inside."""
        self.fit(workers, "fits", _jobs(self.setting))
        choices = self.choices()
        self.fit(workers, "pruning", list(self.pruning_jobs(choices)))
        choices = self.choices()
        self.folder.decide(choices=choices)
        if not choices:
            self.report()
            raise self.nothing_usable()
        certified = (CertificateRecord, FailedCertificateRecord)
        rows = _rows(self.to_certify(choices), certified)
        self.work(workers, certify_fit, "certificates", rows)
        self.open_test(workers)
        self.look(workers, choices)

    def fit(self, workers: Workers, stage: str, jobs: Sequence[TrialJob]) -> None:
        """Work through the jobs that are not in the run folder yet, chain by chain."""
        if jobs:
            self.work(workers, run_job, stage, in_chains(self.setting, jobs), self.show_fits)

    def show_fits(self) -> None:
        """The first report where there is something to see; then now and then."""
        self.fits += 1
        if self.fits >= _FIRST_PICTURE:
            self.report_now_and_then()

    def choices(self) -> dict[str, ChoiceRecord]:
        """The chosen try of every column, from validation losses only."""
        fits = self.folder.view().records(TrialRecord)
        chosen: dict[str, ChoiceRecord] = {}
        for column in self.setting.columns:
            knobs = column.knobs(self.setting.strengths)
            names = [
                [key(column.name, k, seed) for seed in range(self.setting.seeds)]
                for k in range(len(knobs))
            ]
            if any(name not in fits for row in names for name in row):
                continue  # a pruning column before its fits
            tries = [[fits[name] for name in row] for row in names]
            choice = choose(
                _chunks(tries),
                self.rule,
                ordered=column.is_ordered,
                losses=_losses(tries),
            )
            if choice is not None:
                chosen[column.name] = ChoiceRecord(**vars(choice), knob=knobs[choice.index])
        return chosen

    def nothing_usable(self) -> FitError:
        """The error of a run in which every try of every column failed in some seed."""
        records = self.folder.view().records(TrialRecord).values()
        lost = [record for record in records if isinstance(record, FailedFitRecord)]
        failed = [record.failed for record in lost if record.applies]
        fits = len(records) - len(lost) + len(failed)
        if lost and not fits:
            return FitError(
                "no column applies to this network and training",
                got=lost[0].failed,
                expected="at least one that does",
                remedy="Add a column such as l1, in another run folder.",
            )
        told = f"{len(failed)} of {fits} fits failed, first: {failed[0]}" if failed else None
        return FitError(
            "no column has a usable try",
            got=told or f"{fits} fits without a finite validation loss",
            expected="at least one try with a finite validation loss in every seed",
            remedy=f"Lower the learning rate (--lr), or look into {self.folder.folder}: "
            "its points are kept.",
        )

    def pruning_jobs(self, choices: Mapping[str, ChoiceRecord]) -> Iterator[TrialJob]:
        """Pruning to the number of nonzeros that the chosen fit of each seed has."""
        fits = self.folder.view().records(FitRecord)
        for column in self.setting.columns:
            like = column.prunes_like
            if like is None or like not in choices:
                continue
            index = choices[like].index
            for k, knob in enumerate(column.knobs(self.setting.strengths)):
                for seed in range(self.setting.seeds):
                    model = fits[key(like, index, seed)]
                    yield TrialJob(column.name, k, knob, seed, keep=model.weights.nonzeros)

    def to_certify(self, choices: Mapping[str, ChoiceRecord]) -> list[TrialJob]:
        """The chosen networks; of a penalty in both forms those of both at either's choice."""
        columns, fits = self.setting.by_name, self.folder.view().records(FitRecord)
        tries = [
            (other.name, choice.index, choice.knob)
            for name, choice in choices.items()
            for other in columns.values()
            if other.name == name or other.is_other_form_of(columns[name])
        ]
        jobs = [
            TrialJob(name, index, knob, seed)
            for name, index, knob in dict.fromkeys(tries)
            for seed in range(self.setting.seeds)
        ]
        return [job for job in jobs if job.key in fits]

    def open_test(self, workers: Workers) -> None:
        """Evaluate every network on the test part, once, after the choice."""
        fits = self.folder.view().records(FitRecord).values()
        jobs = [TrialJob(fit.column, fit.index, fit.knob, fit.seed) for fit in fits]
        self.work(workers, tested, "test", _rows(jobs, (TestRecord,)))
        self.report()

    def look(self, workers: Workers, choices: Mapping[str, ChoiceRecord]) -> None:
        """Look inside the chosen networks of the first seed."""
        view = self.folder.view()
        fits = view.records(TrialRecord)
        names = [key(name, choice.index, 0) for name, choice in choices.items()]
        rows = [JobRow((name,), (TraceRecord,), lambda _, n: Way(way(fits, n))) for name in names]
        self.work(workers, trace, "closer look", rows)
        if "none" not in choices:
            return
        start = view.weights(key("none", choices["none"].index, 0))
        for name, choice in choices.items():
            job = TrialJob(name, choice.index, choice.knob, 0, start=start)
            column = self.setting.by_name[name]
            if column.penalty is not None and job.key not in view.records(StepsRecord):
                self.folder.append(trace_steps(self.setting, job))


def _rows(jobs: Sequence[TrialJob], kinds: tuple[type[LineRecord], ...]) -> list[JobRow[TrialJob]]:
    """What is asked of trained networks: of a seed's in a row, as its data are at hand."""
    by_name = {job.key: job for job in jobs}

    def with_weights(view: RunView, name: str) -> TrialJob:
        return replace(by_name[name], start=view.weights(name))

    seeds = sorted({job.seed for job in jobs})
    names = [[job.key for job in jobs if job.seed == seed] for seed in seeds]
    return [JobRow(row, kinds, with_weights) for row in names]


def _jobs(setting: ContrastSetting) -> list[TrialJob]:
    """All fits but pruning; first those of the first picture: middle knob, first seed."""
    jobs = [
        TrialJob(column.name, k, knob, seed)
        for seed in range(setting.seeds)
        for column in setting.columns
        if column.prunes_like is None
        for k, knob in enumerate(column.knobs(setting.strengths))
    ]
    middle = (len(setting.strengths) - 1) // 2
    return sorted(jobs, key=lambda j: (j.seed, j.index != middle, j.column not in _FIRST_COLUMNS))


def _chunks(tries: Sequence[Sequence[TrialRecord]]) -> list[list[list[float]]]:
    """Validation losses (tries, seeds, chunks); none where a fit failed."""
    return [
        [f.validation.chunk_losses if isinstance(f, FitRecord) and f.is_usable else [] for f in row]
        for row in tries
    ]


def _losses(tries: Sequence[Sequence[TrialRecord]]) -> list[list[float]]:
    """Validation losses (tries, seeds); NaN where a fit failed."""
    return [[nan if (loss := _loss(fit)) is None else loss for fit in row] for row in tries]


def _loss(fit: TrialRecord) -> float | None:
    """The validation loss; None where a fit failed, or its loss is not finite."""
    return fit.validation.loss if isinstance(fit, FitRecord) else None
