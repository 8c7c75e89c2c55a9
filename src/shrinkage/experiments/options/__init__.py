"""What contrast and path take, and what every command that trains has in common."""

from shrinkage.experiments.options.contrast import ContrastOptions, SizeOptions
from shrinkage.experiments.options.path import PathOptions, StabilityOptions
from shrinkage.experiments.options.shared import (
    ReachOptions,
    ReadingOptions,
    RunOptions,
    StepOptions,
    SubjectOptions,
    TrainingOptions,
    WorkerOptions,
)

__all__ = [
    "ContrastOptions",
    "PathOptions",
    "ReachOptions",
    "ReadingOptions",
    "RunOptions",
    "SizeOptions",
    "StabilityOptions",
    "StepOptions",
    "SubjectOptions",
    "TrainingOptions",
    "WorkerOptions",
]
