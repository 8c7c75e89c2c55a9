"""What all fits of a run have in common, and what one fit came to in plain numbers."""

from shrinkage.studies.outcome import Point, history, outcome
from shrinkage.studies.study import (
    Cut,
    Study,
    describe_plan,
    quiet_plan,
    refuse_idle,
    train_function,
    workers,
)

__all__ = [
    "Cut",
    "Point",
    "Study",
    "describe_plan",
    "history",
    "outcome",
    "quiet_plan",
    "refuse_idle",
    "train_function",
    "workers",
]
