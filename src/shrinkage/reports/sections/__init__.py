"""The sections of the page below its first screen, in the order they are read."""

from collections.abc import Callable

from shrinkage.reports.facts import Facts
from shrinkage.reports.sections.along import cost, exchange, overfitting, sizes
from shrinkage.reports.sections.base import Plot, Section
from shrinkage.reports.sections.comparison import comparison, coverage, dropout
from shrinkage.reports.sections.inside import activations, concentration, steps, zeros
from shrinkage.reports.sections.next_steps import making, next_steps
from shrinkage.reports.sections.stationary import stationary
from shrinkage.reports.sections.survival import survival

__all__ = ["SECTIONS", "Plot", "Section"]

SECTIONS: tuple[Callable[[Facts], Section], ...] = (
    cost, coverage, sizes, overfitting, activations, steps, zeros, concentration, survival,
    stationary, exchange, comparison, dropout, making, next_steps
)  # fmt: skip
