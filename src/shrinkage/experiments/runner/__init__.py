"""Works through the jobs of a run: chains of jobs, who computes them, and where results go."""

from shrinkage.experiments.runner.chains import Chain, JobRow, Outcome, Weights
from shrinkage.experiments.runner.engine import Workers
from shrinkage.experiments.runner.staff import Staff
from shrinkage.experiments.runner.stages import Stages

__all__ = ["Chain", "JobRow", "Outcome", "Staff", "Stages", "Weights", "Workers"]
