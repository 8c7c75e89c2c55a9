"""C3: both penalties push weights toward smaller values."""

from dataclasses import dataclass

from shrinkage.lesson.estimates import Difference
from shrinkage.lesson.verdicts import Finding, Verdict, moves, worst


@dataclass(frozen=True)
class Smaller:
    """How Σ|w|, ‖w‖₂ and max|w| differ under a stronger penalty.

    Against λ, all three must fall. A penalty may leave the largest weight alone and shrink the
    others: sum and norm alone are seen in part. What is measured are networks, so that one seed
    tells its own.
    """

    l1: Difference | None
    l2: Difference | None
    max_abs: Difference | None

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By measure."""
        sizes = {"l1": self.l1, "l2": self.l2, "max_abs": self.max_abs}
        return {name: moves(found, -1, "networks") for name, found in sizes.items()}

    @property
    def finding(self) -> Finding:
        """The worst of the three."""
        found = self.verdicts
        if "not measured" in found.values():
            return Finding("not measured")
        if found["l1"] == found["l2"] == "seen" and found["max_abs"] == "not seen":
            return Finding("partly", "the largest weight is not smaller")
        return Finding(worst(found.values()))
