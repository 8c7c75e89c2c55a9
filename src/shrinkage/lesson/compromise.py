"""C12 and C13: a compromise between small weights and low loss, of which λ is the exchange rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from shrinkage.lesson.estimates import Difference
from shrinkage.lesson.verdicts import Finding, Verdict, moves, worst

HALVED = 2.0
"""Far ends of λ are two different networks: at the stronger, the weights are half or less."""


@dataclass(frozen=True)
class Compromise:
    """What a stronger λ changes: Σ|w| or Σw² falls, and training loss rises.

    What is measured are networks, so that one seed tells its own.
    """

    size: Difference | None
    loss: Difference | None

    @property
    def of_loss(self) -> Verdict:
        """Whether the loss rises."""
        return moves(self.loss, +1, "networks")

    @property
    def finding(self) -> Finding:
        """Both must move."""
        if self.size is None or self.loss is None:
            return Finding("not measured")
        return Finding(worst((moves(self.size, -1, "networks"), self.of_loss)))


@dataclass(frozen=True)
class Stand:
    """Where a network stands between the two: its training loss, and Σ|w|, Σw² or P(w)."""

    strength: float
    loss: float
    size: float


@dataclass(frozen=True)
class Ends:
    """C13: a small λ prefers the original loss, a large λ small weights."""

    weak: Stand
    strong: Stand

    @property
    def finding(self) -> Finding:
        """Loss higher and weights smaller; in part where they are not much smaller."""
        if not (self.weak.loss < self.strong.loss and self.weak.size > self.strong.size):
            return Finding("not seen")
        far = self.weak.size > HALVED * self.strong.size
        return Finding("seen") if far else Finding("partly", "not much smaller")


@dataclass(frozen=True)
class Exchange:
    """C12 along a whole path, whose stands are ordered by λ."""

    stands: Sequence[Stand]

    @property
    def steps(self) -> list[tuple[Stand, Stand]]:
        """From each λ to the next."""
        return list(pairwise(self.stands))

    @property
    def bought(self) -> int:
        """Steps that lower the weights, or leave them, at a loss that is no lower."""
        return sum(b.size <= a.size and b.loss >= a.loss for a, b in self.steps)

    @property
    def finding(self) -> Finding:
        """All steps, most of them, or not even most."""
        n = len(self.steps)
        if not n:
            return Finding("not measured")
        if self.bought == n:
            return Finding("seen")
        return Finding("partly" if 2 * self.bought > n else "not seen")
