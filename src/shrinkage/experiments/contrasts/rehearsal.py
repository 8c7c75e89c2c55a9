"""Everything once before anything is written: bad input is told early, warnings once."""

from contextlib import suppress
from dataclasses import replace

from shrinkage.data.outputs import check_state
from shrinkage.errors import FitError
from shrinkage.experiments.contrasts.settings import ContrastSetting, TrialJob
from shrinkage.experiments.contrasts.trial import train
from shrinkage.experiments.fit import DivergedError, NotApplicableError
from shrinkage.experiments.runner.threads import threads
from shrinkage.plans import Plan


def rehearse(setting: ContrastSetting) -> Plan:
    """Build everything once: bad input is told before anything is written, warnings once."""
    for seed in range(setting.seeds):
        setting.split(seed)
    plan, warned = None, False
    for column in setting.columns:
        knobs = column.knobs(setting.strengths)
        middle = knobs[len(knobs) // 2]
        try:
            model, made = setting.network(column, middle, 0)
            column.training(setting.train, setting.loss, setting.split(0).validation, middle)
        except NotApplicableError:
            continue
        check_state(model)
        if plan is None:
            setting.warn_of_probabilities(model)
            setting.check_loss(model)
        if plan is None or (column.penalty is not None and not warned):
            warned = column.penalty is not None
            plan = Plan(model, made.rules, example_inputs=setting.example)  # this one warns
    if plan is None:
        raise FitError(
            "no column applies to this network",
            got=", ".join(setting.by_name),
            expected="at least one that does",
            remedy="Add a column such as l1.",
        )
    return plan


def rehearse_training(setting: ContrastSetting) -> None:
    """Train one epoch, so that what cannot work says so before anything is written.

    That is a function of the user's that fails, or a loss that is no mean. What a fit may come to
    is left to the fits: a column that does not apply, or diverges.
    """
    penalised = [c for c in setting.columns if c.penalty is not None and c.form == "exact"]
    column = (penalised or list(setting.columns))[0]
    job = TrialJob(column.name, 0, column.knobs(setting.strengths)[0], 0)
    with threads(1), suppress(NotApplicableError, DivergedError):
        once = replace(setting, epochs=1, point_epochs=None, polish=min(1, setting.polish))
        train(once, job, column)
