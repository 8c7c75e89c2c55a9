"""The lesson's claims, each judged once: typed evidence in, a finding out.

A claim is a frozen dataclass of what was measured, and its ``finding`` is the verdict. The report
of a finished run and the live page only fill it in, and put it into words. Thresholds stand here,
each with its reason.
"""

from shrinkage.lesson.activations import Calmer
from shrinkage.lesson.compromise import Compromise, Ends, Exchange, Stand
from shrinkage.lesson.concentration import Concentration
from shrinkage.lesson.costs import CostSplit, Coverage, PenaltyTerm
from shrinkage.lesson.differences import BeatsPruning, DifferentWays
from shrinkage.lesson.overfitting import Overfitting
from shrinkage.lesson.sizes import Smaller
from shrinkage.lesson.sparsity import Selection, Sparsity
from shrinkage.lesson.steps import Moves, ProportionalStep, StepFit
from shrinkage.lesson.survival import Removal, Slopes, Survival
from shrinkage.lesson.verdicts import About, Finding, Verdict, halved, moves, worst

__all__ = [
    "About",
    "BeatsPruning",
    "Calmer",
    "Compromise",
    "Concentration",
    "CostSplit",
    "Coverage",
    "DifferentWays",
    "Ends",
    "Exchange",
    "Finding",
    "Moves",
    "Overfitting",
    "PenaltyTerm",
    "ProportionalStep",
    "Removal",
    "Selection",
    "Slopes",
    "Smaller",
    "Sparsity",
    "Stand",
    "StepFit",
    "Survival",
    "Verdict",
    "halved",
    "moves",
    "worst",
]
