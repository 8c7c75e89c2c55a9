"""What one worker does with one job: fit, measure, and say it in plain numbers."""

from dataclasses import replace

from torch import nn

from shrinkage.analysis.measures import evaluate
from shrinkage.analysis.polish import polish, quiet
from shrinkage.experiments.columns import Column
from shrinkage.experiments.contrasts.kinks import kink_samples
from shrinkage.experiments.contrasts.settings import ContrastSetting, TrialJob
from shrinkage.experiments.contrasts.tries import epochs
from shrinkage.experiments.fit import DivergedError, Epoch, NotApplicableError, fit, look
from shrinkage.experiments.runner import Outcome
from shrinkage.experiments.studies import history, outcome
from shrinkage.plans import Plan
from shrinkage.runs import FailedFitRecord, FitRecord, TestRecord, TrialRecord

_APART = 1_000_003
"""Between the shuffles of two tries of a chain: each has its own."""


def run_job(setting: ContrastSetting, job: TrialJob) -> Outcome[TrialRecord]:
    """Fit one network; its point for the run folder and its weights.

    A fit that diverges, and a column that does not apply, give a point that says so: the other
    columns go on. Anything else raises: bad input, a user's function that fails.
    """
    column = setting.by_name[job.column]
    try:
        model, plan, looks = train(setting, job, column)
    except (NotApplicableError, DivergedError) as error:
        applies = isinstance(error, DivergedError)
        return FailedFitRecord(**job.about, failed=error.briefly, applies=applies), {}
    measured = outcome(model, plan, looks[-1], setting.data.spec)
    point = FitRecord(**job.about, **vars(measured), history=history(looks))
    return point, {job.key: dict(model.state_dict())}


def tested(setting: ContrastSetting, job: TrialJob) -> Outcome[TestRecord]:
    """Loss and score of a trained network on the test part."""
    model, _ = setting.trained(job)
    result = evaluate(model, setting.split(job.seed).test, setting.loss)
    return TestRecord(key=job.key, loss=result.loss, score=result.score, n=result.n), {}


def train(
    setting: ContrastSetting, job: TrialJob, column: Column, *, with_test: bool = False
) -> tuple[nn.Module, Plan, list[Epoch]]:
    """Build and train the network of a job; its way, looked at on the parts of its split.

    A job that goes on from another counts its epochs from where that one ended. Where the setting
    says so, a network with an exact penalty is polished: one look more.
    """
    model, plan = setting.trained(job)
    length = epochs(setting, job)
    split = setting.split(job.seed)
    parts = {"train": split.train, "validation": split.validation}
    if with_test:
        parts["test"] = split.test
    training = column.training(setting.train, setting.loss, split.validation, job.knob)
    with column.acting(plan, job.knob):
        looks = list(
            fit(
                plan,
                training,
                parts,
                epochs=length,
                seed=(job.seed + _APART * job.begun) % 2**32,  # what NumPy takes, too
                treatment=job.treatment(column),
                loss=setting.loss,
            )
        )
    if setting.polish and column.penalty is not None and column.form == "exact":
        samples = kink_samples(model, split.train)
        polish(
            model,
            plan,
            split.train,
            setting.loss,
            rounds=setting.polish,
            samples=samples,
            progress=quiet,
        )
        looks.append(look(model, plan, parts, setting.loss, length + 1))
    return model, plan, [replace(seen, epoch=job.begun + seen.epoch) for seen in looks]
