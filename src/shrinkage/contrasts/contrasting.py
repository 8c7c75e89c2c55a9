"""contrast: fit every column, choose on validation, open the test set once, report."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from time import monotonic
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from shrinkage.contrasts.budgets import BudgetName, sized
from shrinkage.contrasts.columns import Column, columns_named
from shrinkage.contrasts.identity import default_folder, describe, fingerprint
from shrinkage.contrasts.progress import Progress, shown
from shrinkage.contrasts.settings import Cut, Job, Setting
from shrinkage.contrasts.tracing import trace, trace_steps
from shrinkage.contrasts.working import Point, run_job
from shrinkage.contrasts.working import train as train_once
from shrinkage.data import from_user, split
from shrinkage.errors import FitError, did_you_mean
from shrinkage.fitting import Loss, NotApplicableError, Train, Training
from shrinkage.measures import evaluate
from shrinkage.models import Factory, default_model, load_object, resolve
from shrinkage.paths import checked_grid, strengths, work
from shrinkage.paths import choose as choose_try
from shrinkage.paths.choice import Rule
from shrinkage.plans import Plan
from shrinkage.reports import report_page, summary, table_text
from shrinkage.runs import Run, RunView


@dataclass(frozen=True, eq=False)
class Contrast:
    """A finished contrast: its run folder and the networks behind it."""

    view: RunView
    setting: Setting

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.view.folder

    @property
    def report(self) -> Path:
        """The report, a self-contained page."""
        return self.folder / "report.html"

    def summary(self) -> list[dict[str, Any]]:
        """One row per column: chosen knob and its measures, mean and sd over seeds."""
        return summary(self.view)

    def model(self, column: str, seed: int = 0) -> nn.Module:
        """The trained network of a column's chosen try.

        Raises :class:`FitError` for a column that has none, and a seed that was not run.
        """
        choices = self.view.decisions["choices"]
        if column not in choices or seed not in range(self.setting.seeds):
            raise FitError(
                "no such network",
                got=f"column {column!r}, seed {seed!r}",
                expected=f"one of {', '.join(choices) or '(none)'}; "
                f"seeds below {self.setting.seeds}",
                remedy=did_you_mean(column, choices) + "summary() says which columns failed.",
            )
        chosen = choices[column]
        job = Job(column, chosen["index"], chosen["knob"], seed)
        model, _ = self.setting.network(self.setting.by_name[column], job.knob, seed)
        model.load_state_dict(self.view.weights(job.key))
        return model.eval()

    def __str__(self) -> str:
        return table_text(self.view)


def contrast(
    make_model: str | Factory | None,
    data: Any,
    *,
    columns: Sequence[str | Column] | None = None,
    run: str | Path | None = None,
    budget: BudgetName = "normal",
    tries: int | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: Any = "sgd",
    lr: float | None = None,
    loss: Loss | None = None,
    train: str | Train | None = None,
    train_size: int | None = None,
    validation: float = 0.2,
    test: float = 0.2,
    grid: Sequence[float] | None = None,
    choose: Rule = "1se",
    biases: bool = False,
    norms: bool = False,
    jobs: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Contrast:
    """Train the same network under several regularizers, and measure what each did.

    ``make_model``: a factory (no argument, or a spec with n_inputs, input_shape, n_outputs), a
    name, ``FILE.py:FACTORY``, or None for a default by data. ``data``: whatever
    :func:`shrinkage.data.from_user` takes. ``train``: your own ``train(model, plan, budget)``.
    Every column gets ``tries`` values of its knob (``grid``: the strengths), ``seeds`` seeds and
    the same epochs (``budget`` says how many where they are not given). Validation log-loss
    chooses (``"1se"``: the most regularized within one standard error of the best; ``"best"``),
    then the test set is opened once. ``run`` is the
    folder that holds everything (by default a name of its own under ``runs/``); the same call
    continues what was interrupted. ``progress`` takes :class:`Progress`; bars by default.

    Returns a :class:`Contrast`; ``str`` of it is the table. Raises the package's errors for bad
    input, each before anything is written.
    """
    _check_rule(choose)
    workers = _workers(jobs)
    source = from_user(data)
    factory = resolve(default_model(source.is_image) if make_model is None else make_model)
    n_train = len(split(source, 0, train_size=train_size, validation=validation, test=test).train)
    size = sized(budget, n_train, tries=tries, seeds=seeds, epochs=epochs, batch_size=batch_size)
    values = strengths(size.tries) if grid is None else checked_grid(grid)
    training = Training(size.epochs, size.batch_size, optimizer, lr, loss)
    setting = Setting(
        data=source,
        factory=factory,
        train=training if train is None else _train_function(train),
        columns=columns_named(columns),
        strengths=values,
        seeds=size.seeds,
        epochs=size.epochs,
        cut=Cut(train_size, validation, test),
        loss=loss,
        biases=biases,
        norms=norms,
    )
    config = _config(
        setting,
        _rehearse(setting),
        training if train is None else None,
        choose,
        default_model(source.is_image) if make_model is None else make_model,
    )
    with Run(run or default_folder(config), config) as folder:
        if not folder.points:
            _rehearse_training(setting)
        with shown(progress) as show:
            _Contrasting(setting, folder, choose, workers, show).run()
        return Contrast(folder.view(), setting)


class _Contrasting:
    """The stages of one contrast over an opened run folder; finished work is never repeated."""

    def __init__(
        self,
        setting: Setting,
        run: Run,
        rule: Rule,
        workers: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self.setting, self.run_, self.rule, self.progress = setting, run, rule, progress
        self.workers = workers
        # Threads change the last bits of a sum: one each, so that any number of workers agrees.
        self.threads = run.decisions.get("threads", 1)
        self.reported = 0.0

    def run(self) -> None:
        """Fit, choose, prune, choose, open the test set, look inside, report."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            self.stages()
        finally:
            torch.set_num_threads(before)

    def stages(self) -> None:
        """What :meth:`run` does."""
        if self.run_.decisions.get("finished"):
            self.report()
            return
        self.run_.decide(threads=self.threads)
        self.fit("fits", _jobs(self.setting))
        choices = self.choices()
        self.fit("pruning", list(self.pruning_jobs(choices)))
        choices = self.choices()
        self.run_.decide(choices=choices)
        self.open_test()
        self.trace(choices)
        self.run_.decide(finished=True)
        self.report()

    def fit(self, stage: str, jobs: Sequence[Job]) -> None:
        """Work through the jobs that are not in the run folder yet."""
        known = self.run_.view().of_kind("fit")
        left = [job for job in jobs if job.key not in known]
        done = len(jobs) - len(left)
        self.progress(Progress(stage, done, len(jobs)))
        results = work(run_job, self.setting, left, workers=self.workers, threads=self.threads)
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
                [fits.get(_key(column, k, seed), {}) for seed in range(self.setting.seeds)]
                for k in range(len(knobs))
            ]
            if any("key" not in fit for row in tries for fit in row):
                continue  # a pruning column before its fits
            choice = choose_try(_losses(tries), self.rule, ordered=column.knob != "learning rate")
            if choice is not None:
                chosen[column.name] = {**asdict(choice), "knob": knobs[choice.index]}
        return chosen

    def pruning_jobs(self, choices: Point) -> Iterator[Job]:
        """Pruning to the number of nonzeros that the chosen fit of each seed has."""
        fits = self.run_.view().of_kind("fit")
        for column in self.setting.columns:
            if column.prunes_like not in choices:
                continue
            index = choices[column.prunes_like]["index"]
            for k, knob in enumerate(column.knobs(self.setting.strengths)):
                for seed in range(self.setting.seeds):
                    model = fits[f"{column.prunes_like}/{index}/{seed}"]
                    yield Job(column.name, k, knob, seed, keep=model["weights"]["nonzeros"])

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

    def trace(self, choices: Point) -> None:
        """Look inside the chosen networks of the first seed."""
        view = self.run_.view()
        fits = view.of_kind("fit")
        jobs = []
        for name, choice in choices.items():
            fit = fits[f"{name}/{choice['index']}/0"]
            jobs.append(Job(name, choice["index"], choice["knob"], 0, fit["keep"]))
        left = [job for job in jobs if job.key not in view.of_kind("trace")]
        self.progress(Progress("closer look", len(jobs) - len(left), len(jobs)))
        results = work(trace, self.setting, left, workers=self.workers, threads=self.threads)
        with closing(results):
            for number, (_, point) in enumerate(results, start=len(jobs) - len(left) + 1):
                self.run_.append(point)
                self.progress(Progress("closer look", number, len(jobs)))
        if "none" in choices:
            start = view.weights(f"none/{choices['none']['index']}/0")
            for job in jobs:
                column = self.setting.by_name[job.column]
                if column.penalty is not None and f"{job.key}" not in view.of_kind("steps"):
                    self.run_.append(trace_steps(self.setting, job, start))

    def report(self, at_most_every: float = 0.0) -> None:
        """Write the report, unless the last one is younger than ``at_most_every`` seconds."""
        if monotonic() - self.reported >= at_most_every:
            self.run_.write("report.html", report_page(self.run_.view()))
            self.reported = monotonic()


_FIRST_PICTURE = 4
_FIRST_COLUMNS = ("none", "l1_term", "l1", "l2")


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


def _key(column: Column, index: int, seed: int) -> str:
    return f"{column.name}/{index}/{seed}"


def _losses(tries: list[list[Point]]) -> np.ndarray:
    """Validation losses (tries, seeds, chunks); NaN where a fit failed."""
    counts = [len(f["validation"]["chunks"]) for row in tries for f in row if "validation" in f]
    blank = [float("nan")] * (counts[0] if counts else 1)
    return np.array(
        [[f["validation"]["chunks"] if "validation" in f else blank for f in row] for row in tries],
        dtype=float,
    )


def _rehearse(setting: Setting) -> Plan:
    """Build everything once: bad input is told before anything is written, warnings once."""
    for seed in range(setting.seeds):
        setting.split(seed)
    plan, warned = None, False
    for column in setting.columns:
        knobs = column.knobs(setting.strengths)
        try:
            model, made = setting.network(column, knobs[len(knobs) // 2], 0)
        except NotApplicableError:
            continue
        if plan is None or (column.penalty is not None and not warned):
            warned = column.penalty is not None
            plan = Plan(model, made.rules)  # this one warns
    if plan is None:
        raise FitError(
            "no column applies to this network",
            got=", ".join(setting.by_name),
            expected="at least one that does",
            remedy="Add a column such as l1.",
        )
    return plan


def _rehearse_training(setting: Setting) -> None:
    """Train one epoch, so that a function of the user's that fails does so before any fit.

    Any other outcome is left to the fits: a column that does not apply, or diverges.
    """
    penalised = [c for c in setting.columns if c.penalty is not None and c.form == "exact"]
    column = (penalised or list(setting.columns))[0]
    job = Job(column.name, 0, column.knobs(setting.strengths)[0], 0)
    with suppress(FitError):
        train_once(replace(setting, epochs=1), job, column)


def _check_rule(rule: str) -> None:
    if rule not in get_args(Rule):
        raise FitError(
            "choose is unknown",
            got=repr(rule),
            expected=" or ".join(get_args(Rule)),
            remedy=did_you_mean(str(rule), get_args(Rule)) + "1se is the default.",
        )


def _workers(jobs: int | None) -> int:
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise FitError(
            "jobs is out of range",
            got=jobs,
            expected="a number of worker processes ≥ 1",
            remedy="Leave it out for one per core.",
        )
    return jobs or os.cpu_count() or 1


def _train_function(train: str | Train) -> Train:
    return load_object(train) if isinstance(train, str) else train


def _config(
    setting: Setting, plan: Plan, training: Training | None, rule: Rule, model: object
) -> dict[str, Any]:
    """What a run is: two calls with equal configurations are the same run."""
    data, spec = setting.data, setting.data.spec
    return {
        "command": "contrast",
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "task": data.task,
            "examples": len(data.x),
            "classes": list(data.classes),
            "columns": list(data.columns),
        },
        "spec": asdict(spec),
        "model": {"name": describe(model), "fingerprint": fingerprint(setting.factory)},
        "training": {"name": "your own", "fingerprint": fingerprint(setting.train)}
        if training is None
        else {
            **{f.name: getattr(training, f.name) for f in fields(training)},
            "optimizer": describe(training.optimizer),
            "fingerprint": fingerprint(training.optimizer),
            "loss": None if training.loss is None else describe(training.loss),
        },
        "loss": None if setting.loss is None else fingerprint(setting.loss),
        "columns": [
            {
                "name": column.name,
                "label": column.label,
                "knob": column.knob,
                "knobs": list(column.knobs(setting.strengths)),
                "penalty": None
                if column.penalty is None
                else str(column.penalty_at(setting.strengths[0])).partition("(")[0],
                "weakest": str(column.penalty_at(column.knobs(setting.strengths)[0])),
                "form": column.form,
            }
            for column in setting.columns
        ],
        "seeds": setting.seeds,
        "epochs": setting.epochs,
        "cut": asdict(setting.cut),
        "choose": rule,
        "biases": setting.biases,
        "norms": setting.norms,
        "plan": [
            {
                "name": e.name,
                "path": e.path,
                "shape": list(e.shape),
                "role": e.role.value,
                "penalised": e.penalty is not None,
                "reason": e.reason,
            }
            for e in plan.entries
        ],
    }
