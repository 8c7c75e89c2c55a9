"""Engines that work through many jobs: this process, processes over the cores, a Ray cluster."""

from shrinkage.experiments.paths.engines.engine import Engine, Workers
from shrinkage.experiments.paths.engines.staff import Staff

__all__ = ["Engine", "Staff", "Workers"]
