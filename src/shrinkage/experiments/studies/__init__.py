"""What all fits of a run have in common, what one fit came to in plain numbers, and chains."""

from shrinkage.experiments.studies.finished import Finished, check_options, opened
from shrinkage.experiments.studies.outcome import evaluated, history, outcome
from shrinkage.experiments.studies.start import Start
from shrinkage.experiments.studies.study import (
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
from shrinkage.experiments.studies.subject import Subject, subject

__all__ = [
    "Cut",
    "Finished",
    "Start",
    "Study",
    "Subject",
    "check_options",
    "describe_plan",
    "device_named",
    "evaluated",
    "history",
    "jobs_on",
    "opened",
    "outcome",
    "quiet_plan",
    "refuse_idle",
    "subject",
    "train_function",
    "workers",
]
