"""C4 and C15: a penalty, or dropout, reduces overfitting."""

from dataclasses import dataclass

from shrinkage.lesson.estimates import Difference
from shrinkage.lesson.verdicts import About, Finding, sign

LEAST_GAP = 0.1
"""Of one network alone, held-out loss − training loss from where on it is overfitted: on a few
hundred held-out examples the loss is known to a few hundredths only. Where seeds tell chance from
effect it is enough that the gap is above 0."""


@dataclass(frozen=True)
class Overfitting:
    """A treatment against none: the differences of gap and held-out loss, and the gap of none.

    The gap must be smaller *and* the held-out loss lower: a network that learns nothing has no gap.
    Without overfitting there is nothing to reduce.
    """

    gap: Difference
    loss: Difference
    base_gap: float
    about: About = "treatments"

    @property
    def finding(self) -> Finding:
        """The reason says which of the two it is that does not hold, or cannot be told."""
        gap, loss = sign(self.gap, self.about), sign(self.loss, self.about)
        if gap is None or loss is None:
            return Finding("undecided", "one seed")
        if not self._overfitted:
            return Finding("undecided", "nothing to reduce")
        if loss > 0:
            return Finding("not seen", "only worse training" if gap < 0 else "worse loss")
        if gap > 0:
            return Finding("not seen", "wider gap")
        return _unless_unclear(gap, loss)

    @property
    def _overfitted(self) -> bool:
        return self.base_gap >= LEAST_GAP if self.about == "networks" else self.base_gap > 0


def _unless_unclear(gap: int, loss: int) -> Finding:
    if gap and loss:
        return Finding("seen", "less overfitting")
    if gap:
        return Finding("undecided", "losses alike")
    return Finding("undecided", "gaps alike" if loss else "both alike")
