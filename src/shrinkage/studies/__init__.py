"""What all fits of a run have in common, what one fit came to in plain numbers, and chains."""

from shrinkage.studies.chains import (
    by_scale,
    complete,
    fit_at,
    is_usable,
    key,
    refit_key,
    stable_key,
    weights_key,
)
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
    "by_scale",
    "complete",
    "describe_plan",
    "fit_at",
    "history",
    "is_usable",
    "key",
    "outcome",
    "quiet_plan",
    "refit_key",
    "refuse_idle",
    "stable_key",
    "train_function",
    "weights_key",
    "workers",
]
