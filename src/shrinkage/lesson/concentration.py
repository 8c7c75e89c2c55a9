"""C10: L1 concentrates the network into few, highly important connections."""

from dataclasses import dataclass

from shrinkage.lesson.estimates import Difference
from shrinkage.lesson.verdicts import About, Finding, Verdict, moves, worst


@dataclass(frozen=True)
class Concentration:
    """Against no penalty: the share of Σ|w| in the largest 10 % of the weights, the Gini index.

    ``drop``: what the score loses without the largest 10 % of the weights left, None where it was
    not measured: important connections are missed.
    """

    top10: Difference | None
    gini: Difference | None
    drop: float | None = None
    about: About = "treatments"

    @property
    def finding(self) -> Finding:
        """Both measures must be higher, and the connections missed."""
        if self.top10 is None or self.gini is None:
            return Finding("not measured")
        verdicts: list[Verdict] = [moves(d, +1, self.about) for d in (self.top10, self.gini)]
        if self.drop is not None:
            verdicts.append("seen" if self.drop > 0 else "not seen")
        return Finding(worst(verdicts))
