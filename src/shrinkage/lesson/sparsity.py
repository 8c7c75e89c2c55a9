"""C9: L1 takes unimportant weights all the way to zero: feature selection, a sparse model."""

from collections.abc import Mapping
from dataclasses import dataclass

from shrinkage.lesson.estimates import Difference
from shrinkage.lesson.verdicts import Finding, Verdict, halved, moves, sign

SPARSE = 0.5
"""A model is sparse where most of its weights are zero."""


@dataclass(frozen=True)
class Sparsity:
    """Exact zeros, and a sparse model.

    ``share``: of the penalised weights; ``more``: than in networks that should have none, None
    where there are none beside it.
    """

    share: float
    more: Difference | None = None

    @property
    def finding(self) -> Finding:
        """Zeros of a network that is empty, or that others have too, are not the penalty's."""
        if self.share == 0:
            return Finding("not seen", "no zeros")
        if self.share == 1:
            return Finding("not seen", "nothing left")
        if moves(self.more, +1, "networks") == "not seen":
            return Finding("not seen", "no more than others")
        return Finding("seen") if self.share >= SPARSE else Finding("partly", "few zeros")


@dataclass(frozen=True)
class Selection:
    """Zeros that cost nothing, and inputs that are dropped.

    ``loss``: held-out loss minus that without a penalty, None where nothing is to compare with: the
    weights were unimportant if it is not higher. ``dropped``: by seed, whether the network leaves
    inputs out that are in use without a penalty; empty where it is not known, and then nothing
    speaks against it.
    """

    sparsity: Sparsity
    loss: Difference | None
    dropped: Mapping[int, bool]

    @property
    def cost(self) -> Finding:
        """Whether the weights that are zero were unimportant."""
        if self.loss is None:
            return Finding("undecided", "nothing to compare with")
        match sign(self.loss, "treatments"):
            case None:
                return Finding("undecided", "one seed")
            case 1:
                return Finding("not seen", "not unimportant")
            case 0:
                return Finding("undecided" if self.loss.mean > 0 else "seen", "losses alike")
        return Finding("seen")

    @property
    def features(self) -> Verdict:
        """Whether inputs are dropped: in all seeds, or in some."""
        if all(self.dropped.values()):
            return "seen"
        return "partly" if any(self.dropped.values()) else "not seen"

    @property
    def finding(self) -> Finding:
        """Without zeros nothing can cost; few of them, or no input dropped, are half of it."""
        zeros, cost = self.sparsity.finding, self.cost
        if zeros.verdict == "not seen":
            return zeros
        if cost.verdict == "seen" and zeros.verdict != "seen":
            return Finding("partly", zeros.reason)
        return Finding(halved(cost.verdict, self.features), cost.reason)
