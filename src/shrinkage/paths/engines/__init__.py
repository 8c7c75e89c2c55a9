"""Engines that work through many jobs: this process, processes over the cores, a Ray cluster."""

from shrinkage.paths.engines.engine import Engine, Workers
from shrinkage.paths.engines.staff import Staff

__all__ = ["Engine", "Staff", "Workers"]
