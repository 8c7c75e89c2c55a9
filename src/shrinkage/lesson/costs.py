"""C1, C2 and C6: the second part of the cost, whom it concerns, and how large it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shrinkage.lesson.estimates import Difference, difference, mean
from shrinkage.lesson.verdicts import Finding, moves

SAME = 1e-5
"""How far a measured penalty may be from its formula, of its value. Both are sums in float64, so
that they differ by rounding alone; another formula (½·λ·Σw², a mean for a sum) is off by far more.
"""

MOST = 0.5
"""From this share of the cost on a penalty is large: it is the larger part."""


@dataclass(frozen=True)
class CostSplit:
    """C1: L1 adds λ·Σ|w| to the loss, L2 adds λ·Σw². The measured penalty, and that by hand."""

    penalty: float
    by_hand: float

    @property
    def apart(self) -> float:
        """How far they are apart, of the penalty by hand."""
        return abs(self.penalty - self.by_hand) / max(self.by_hand, 1e-12)

    @property
    def finding(self) -> Finding:
        """Seen where both are the same."""
        return Finding("seen" if self.apart <= SAME else "not seen")


@dataclass(frozen=True)
class Coverage:
    """C2: weights and biases of convolutional and dense layers are penalised.

    ``left_out``: how many of them are not. The scale and shift of normalisation layers are neither.
    """

    left_out: int

    @property
    def finding(self) -> Finding:
        """Seen where none is left out."""
        return Finding("not seen" if self.left_out else "seen")


@dataclass(frozen=True)
class PenaltyTerm:
    """C6: a large λ makes the penalty term large.

    ``penalties``: λ·P by seed, for every λ from the smallest on; ``share``: of the cost, at the
    largest. Where there are several λ the term must grow, with one it must be most of the cost.
    """

    penalties: Sequence[Mapping[int, float]]
    share: float | None = None

    @property
    def means(self) -> list[float]:
        """The mean penalty at every λ."""
        return [mean(values) or 0.0 for values in self.penalties]

    @property
    def top(self) -> int:
        """Where the penalty is largest: a strong λ leaves few weights to pay for."""
        return max(range(len(self.means)), key=self.means.__getitem__)

    @property
    def growth(self) -> Difference | None:
        """From the smallest λ to where the penalty is largest."""
        return difference(self.penalties[self.top], self.penalties[0])

    @property
    def finding(self) -> Finding:
        """What is measured are networks, so that one seed tells its own."""
        if len(self.penalties) == 1 and self.share is not None:
            return Finding("seen" if self.share > MOST else "not seen")
        if len(self.penalties) < 2:
            return Finding("not measured")
        return Finding("not seen" if self.top == 0 else moves(self.growth, +1, "networks"))
