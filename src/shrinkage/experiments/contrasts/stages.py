"""The stages of a contrast over its run folder, from the first fit to the closer look."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from math import nan
from time import monotonic

from shrinkage.analysis.measures import evaluate
from shrinkage.errors import FitError
from shrinkage.experiments.contrasts.certifying import certify_fit
from shrinkage.experiments.contrasts.chaining import Chain, chains, first, way
from shrinkage.experiments.contrasts.settings import Job, Setting, key
from shrinkage.experiments.contrasts.tracing import trace, trace_steps
from shrinkage.experiments.contrasts.working import Outcome, run_job
from shrinkage.experiments.paths import Staff, Workers, choose
from shrinkage.experiments.paths.choice import Rule
from shrinkage.experiments.studies.threads import threads
from shrinkage.progress import Progress
from shrinkage.reports import report_page
from shrinkage.runs import (
    CertificateRecord,
    ChoiceRecord,
    FailedCertificateRecord,
    FailedFitRecord,
    FitRecord,
    Run,
    StepsRecord,
    TestRecord,
    TraceRecord,
    TrialRecord,
)

_FIRST_PICTURE = 4
_FIRST_COLUMNS = ("none", "l1_term", "l1", "l2")


class Stages:
    """The stages of one contrast over an opened run folder; finished work is never repeated."""

    def __init__(
        self,
        setting: Setting,
        run: Run,
        rule: Rule,
        staff: Staff,
        progress: Callable[[Progress], None],
    ) -> None:
        self.setting, self.run_, self.rule, self.progress = setting, run, rule, progress
        self.staff = staff
        # Threads change the last bits of a sum: one each, so that any number of workers agrees.
        self.threads = run.view().decided.threads or 1
        self.reported = 0.0

    def run(self) -> None:
        """Fit, choose, prune, choose, certify, open the test set, look inside, report."""
        if not self.run_.view().decided.finished:
            with threads(self.threads):
                engine = self.staff.engine_for(self.setting, threads=self.threads)
                with Workers(engine) as workers:
                    self.stages(workers)
        self.report()

    def stages(self, workers: Workers) -> None:
        """What :meth:`run` does, with the workers that do it."""
        self.run_.decide(threads=self.threads)
        self.fit(workers, "fits", _jobs(self.setting))
        choices = self.choices()
        self.fit(workers, "pruning", list(self.pruning_jobs(choices)))
        choices = self.choices()
        self.run_.decide(choices=choices)
        if not choices:
            self.report()
            raise self.nothing_usable()
        self.certify(choices)
        self.open_test()
        self.trace(workers, choices)
        self.run_.finish()

    def fit(self, workers: Workers, stage: str, jobs: Sequence[Job]) -> None:
        """Work through the jobs that are not in the run folder yet, chain by chain."""
        if not jobs:
            return
        view = self.run_.view()
        known = view.records(TrialRecord)
        done = sum(job.key in known for job in jobs)
        rows = chains(self.setting, jobs)
        row_of = {job.key: row for row in rows for job in row}

        def then(job: Job, result: Outcome) -> Job | None:
            at_hand = {job.key: result[1]}
            return first(self.setting, row_of[job.key], self.run_.view(), at_hand)

        self.progress(Progress(stage, done, len(jobs)))
        left = [job for row in rows if (job := first(self.setting, row, view))]
        results = workers.work(run_job, left, then)
        with closing(results):
            for number, (job, (point, weights)) in enumerate(results, start=done + 1):
                if weights:
                    self.run_.save_weights(job.key, weights)
                self.run_.append(point)
                note = f"{self.setting.by_name[job.column].label}, seed {job.seed}"
                self.progress(Progress(stage, number, len(jobs), note))
                if number >= min(_FIRST_PICTURE, len(jobs)):
                    self.report(at_most_every=10.0)

    def choices(self) -> dict[str, ChoiceRecord]:
        """The chosen try of every column, from validation losses only."""
        fits = self.run_.view().records(TrialRecord)
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
        records = self.run_.view().records(TrialRecord).values()
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
            remedy=f"Lower the learning rate (--lr), or look into {self.run_.folder}: "
            "its points are kept.",
        )

    def pruning_jobs(self, choices: Mapping[str, ChoiceRecord]) -> Iterator[Job]:
        """Pruning to the number of nonzeros that the chosen fit of each seed has."""
        fits = self.run_.view().records(FitRecord)
        for column in self.setting.columns:
            like = column.prunes_like
            if like is None or like not in choices:
                continue
            index = choices[like].index
            for k, knob in enumerate(column.knobs(self.setting.strengths)):
                for seed in range(self.setting.seeds):
                    model = fits[key(like, index, seed)]
                    yield Job(column.name, k, knob, seed, keep=model.weights.nonzeros)

    def certify(self, choices: Mapping[str, ChoiceRecord]) -> None:
        """How far the chosen network of every seed is from stationary, on its training data."""
        view = self.run_.view()
        known = {
            *view.records(CertificateRecord),
            *view.records(FailedCertificateRecord),
        }
        jobs = [
            Job(name, choice.index, choice.knob, seed)
            for name, choice in choices.items()
            for seed in range(self.setting.seeds)
        ]
        self.progress(Progress("certificates", 0, len(jobs)))
        for number, job in enumerate(jobs, start=1):
            if job.key not in known:
                self.run_.append(certify_fit(self.setting, job, view.weights(job.key)))
            self.progress(Progress("certificates", number, len(jobs)))

    def open_test(self) -> None:
        """Evaluate every network on the test part, once, after the choice."""
        view = self.run_.view()
        known, fits = view.records(TestRecord), view.records(FitRecord).values()
        parts = {seed: self.setting.split(seed).test for seed in range(self.setting.seeds)}
        for number, fit in enumerate(fits, start=1):
            if fit.key not in known:
                column = self.setting.by_name[fit.column]
                model, _ = self.setting.network(column, fit.knob, fit.seed)
                model.load_state_dict(view.weights(fit.key))
                result = evaluate(model, parts[fit.seed], self.setting.loss)
                self.run_.append(
                    TestRecord(key=fit.key, loss=result.loss, score=result.score, n=result.n)
                )
            self.progress(Progress("test", number, len(fits)))
        self.report()

    def trace(self, workers: Workers, choices: Mapping[str, ChoiceRecord]) -> None:
        """Look inside the chosen networks of the first seed."""
        view = self.run_.view()
        fits = view.records(TrialRecord)
        ways: list[Chain] = [
            way(fits, key(name, choice.index, 0)) for name, choice in choices.items()
        ]
        jobs = [steps[-1] for steps in ways]
        left = [steps for steps in ways if steps[-1].key not in view.records(TraceRecord)]
        self.progress(Progress("closer look", len(jobs) - len(left), len(jobs)))
        results = workers.work(trace, left)
        with closing(results):
            for number, (_, point) in enumerate(results, start=len(jobs) - len(left) + 1):
                self.run_.append(point)
                self.progress(Progress("closer look", number, len(jobs)))
        if "none" in choices:
            start = view.weights(key("none", choices["none"].index, 0))
            for job in jobs:
                column = self.setting.by_name[job.column]
                if column.penalty is not None and job.key not in view.records(StepsRecord):
                    self.run_.append(trace_steps(self.setting, job, start))

    def report(self, at_most_every: float = 0.0) -> None:
        """Write the report, unless the last one is younger than ``at_most_every`` seconds."""
        if monotonic() - self.reported >= at_most_every:
            self.run_.write("report.html", report_page(self.run_.view()))
            self.reported = monotonic()


def _jobs(setting: Setting) -> list[Job]:
    """All fits but pruning; first those of the first picture: middle knob, first seed."""
    jobs = [
        Job(column.name, k, knob, seed)
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
