"""The stages of a contrast over its run folder, from the first fit to the closer look."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import pairwise
from math import nan
from time import monotonic

from shrinkage.contrasts.certifying import certify_fit
from shrinkage.contrasts.chaining import Chain, chains, first, following, way
from shrinkage.contrasts.settings import Job, Setting, key
from shrinkage.contrasts.tracing import trace, trace_steps
from shrinkage.contrasts.working import Outcome, run_job
from shrinkage.errors import FitError
from shrinkage.measures import evaluate
from shrinkage.paths import Staff, Workers, choose
from shrinkage.paths.choice import Rule
from shrinkage.progress import Progress
from shrinkage.reports import report_page
from shrinkage.runs import Run
from shrinkage.studies import Point
from shrinkage.studies.threads import threads

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
        self.threads = run.decisions.get("threads", 1)
        self.reported = 0.0

    def run(self) -> None:
        """Fit, choose, prune, choose, certify, open the test set, look inside, report."""
        if not self.run_.decisions.get("finished"):
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
        self.run_.decide(finished=True)

    def fit(self, workers: Workers, stage: str, jobs: Sequence[Job]) -> None:
        """Work through the jobs that are not in the run folder yet, chain by chain."""
        if not jobs:
            return
        view = self.run_.view()
        known = view.of_kind("fit")
        done = sum(job.key in known for job in jobs)
        rows = chains(self.setting, jobs)
        after = {job.key: later for row in rows for job, later in pairwise(row)}

        def then(job: Job, result: Outcome) -> Job | None:
            point, weights = result
            later = after.get(job.key)
            if later is None:
                return None
            return following(self.setting, point, later, lambda _: weights or job.start or {})

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

    def choices(self) -> Point:
        """The chosen try of every column, from validation losses only."""
        fits = self.run_.view().of_kind("fit")
        chosen: Point = {}
        for column in self.setting.columns:
            knobs = column.knobs(self.setting.strengths)
            tries = [
                [fits.get(key(column.name, k, seed), {}) for seed in range(self.setting.seeds)]
                for k in range(len(knobs))
            ]
            if any("key" not in fit for row in tries for fit in row):
                continue  # a pruning column before its fits
            choice = choose(
                _chunks(tries),
                self.rule,
                ordered=column.knob != "learning rate",
                losses=_losses(tries),
            )
            if choice is not None:
                chosen[column.name] = {**asdict(choice), "knob": knobs[choice.index]}
        return chosen

    def nothing_usable(self) -> FitError:
        """The error of a run in which every try of every column failed in some seed."""
        fits = [f for f in self.run_.view().of_kind("fit").values() if f.get("applies", True)]
        failed = [str(fit["failed"]) for fit in fits if "failed" in fit]
        told = f"{len(failed)} of {len(fits)} fits failed, first: {failed[0]}" if failed else None
        return FitError(
            "no column has a usable try",
            got=told or f"{len(fits)} fits without a finite validation loss",
            expected="at least one try with a finite validation loss in every seed",
            remedy=f"Lower the learning rate (--lr), or look into {self.run_.folder}: "
            "its points are kept.",
        )

    def pruning_jobs(self, choices: Point) -> Iterator[Job]:
        """Pruning to the number of nonzeros that the chosen fit of each seed has."""
        fits = self.run_.view().of_kind("fit")
        for column in self.setting.columns:
            if column.prunes_like not in choices:
                continue
            index = choices[column.prunes_like]["index"]
            for k, knob in enumerate(column.knobs(self.setting.strengths)):
                for seed in range(self.setting.seeds):
                    model = fits[key(column.prunes_like, index, seed)]
                    yield Job(column.name, k, knob, seed, keep=model["weights"]["nonzeros"])

    def certify(self, choices: Point) -> None:
        """How far the chosen network of every seed is from stationary, on its training data."""
        view = self.run_.view()
        known = view.of_kind("certificate")
        jobs = [
            Job(name, choice["index"], choice["knob"], seed)
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
        known = view.of_kind("test")
        fits = [fit for key, fit in view.of_kind("fit").items() if "failed" not in fit]
        parts = {seed: self.setting.split(seed).test for seed in range(self.setting.seeds)}
        for number, fit in enumerate(fits, start=1):
            if fit["key"] not in known:
                column = self.setting.by_name[fit["column"]]
                model, _ = self.setting.network(column, fit["knob"], fit["seed"])
                model.load_state_dict(view.weights(fit["key"]))
                result = evaluate(model, parts[fit["seed"]], self.setting.loss)
                self.run_.append(
                    {
                        "kind": "test",
                        "key": fit["key"],
                        "loss": result.loss,
                        "score": result.score,
                        "n": result.n,
                    }
                )
            self.progress(Progress("test", number, len(fits)))
        self.report()

    def trace(self, workers: Workers, choices: Point) -> None:
        """Look inside the chosen networks of the first seed."""
        view = self.run_.view()
        fits = view.of_kind("fit")
        ways: list[Chain] = [
            way(fits, key(name, choice["index"], 0)) for name, choice in choices.items()
        ]
        jobs = [steps[-1] for steps in ways]
        left = [steps for steps in ways if steps[-1].key not in view.of_kind("trace")]
        self.progress(Progress("closer look", len(jobs) - len(left), len(jobs)))
        results = workers.work(trace, left)
        with closing(results):
            for number, (_, point) in enumerate(results, start=len(jobs) - len(left) + 1):
                self.run_.append(point)
                self.progress(Progress("closer look", number, len(jobs)))
        if "none" in choices:
            start = view.weights(key("none", choices["none"]["index"], 0))
            for job in jobs:
                column = self.setting.by_name[job.column]
                if column.penalty is not None and job.key not in view.of_kind("steps"):
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


def _chunks(tries: list[list[Point]]) -> list[list[list[float]]]:
    """Validation losses (tries, seeds, chunks); none where a fit failed."""
    return [[f["validation"]["chunks"] if _is_usable(f) else [] for f in row] for row in tries]


def _losses(tries: list[list[Point]]) -> list[list[float]]:
    """Validation losses (tries, seeds); NaN where a fit failed."""
    return [[f["validation"]["loss"] if _is_usable(f) else nan for f in row] for row in tries]


def _is_usable(fit: Point) -> bool:
    """Has the fit a finite validation loss? Single chunks may be without weight."""
    return "validation" in fit and fit["validation"]["loss"] is not None
