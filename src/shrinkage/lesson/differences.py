"""C14: L1 and L2 work in different ways; and zeros found in training against weights cut after."""

from dataclasses import dataclass

from shrinkage.lesson.estimates import Difference
from shrinkage.lesson.verdicts import Finding, moves


@dataclass(frozen=True)
class DifferentWays:
    """C14: exact L1 has exact zeros, L2 has fewer.

    That is the difference in kind. How large the largest weight is, and how evenly they are spread,
    depends on the λ of each, and concentration is a claim of its own. What is measured are
    networks, so that one seed tells its own.
    """

    zeros: Difference | None

    @property
    def finding(self) -> Finding:
        """L1 − L2 must be above 0."""
        return Finding(moves(self.zeros, +1, "networks"))


@dataclass(frozen=True)
class BeatsPruning:
    """At equally many weights, a penalty predicts better than cutting the smallest afterwards.

    ``better``: penalised minus pruned, in a measure that is higher where predictions are better.
    """

    better: Difference | None

    @property
    def finding(self) -> Finding:
        """Seeds must tell it from chance."""
        return Finding(moves(self.better, +1, "treatments"))
