"""What all fits of a run have in common, what one fit came to in plain numbers, and chains."""

from shrinkage.studies.asking import Questions, Rows
from shrinkage.studies.chains import (
    by_scale,
    complete,
    fit_at,
    key,
    refit_key,
    stable_key,
    weights_key,
)
from shrinkage.studies.finished import Finished, check_options, opened
from shrinkage.studies.outcome import evaluated, history, outcome
from shrinkage.studies.study import (
    Cut,
    Study,
    describe_plan,
    device_named,
    jobs_on,
    quiet_plan,
    refuse_idle,
    train_function,
    workers,
)
from shrinkage.studies.subject import Subject, subject

__all__ = [
    "Cut",
    "Finished",
    "Questions",
    "Rows",
    "Study",
    "Subject",
    "by_scale",
    "check_options",
    "complete",
    "describe_plan",
    "device_named",
    "evaluated",
    "fit_at",
    "history",
    "jobs_on",
    "key",
    "opened",
    "outcome",
    "quiet_plan",
    "refit_key",
    "refuse_idle",
    "stable_key",
    "subject",
    "train_function",
    "weights_key",
    "workers",
]
