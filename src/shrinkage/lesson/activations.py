"""C5: smaller weights reduce the effect on the activations; no filter overpowers the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from shrinkage.lesson.verdicts import About, Finding


@dataclass(frozen=True)
class Calmer:
    """A measure of the activations in every layer: (under the penalty, without one).

    Its two measures are judged apart, because the one does not follow from the other: the mean
    |activation|, and the share of it that the strongest filter carries. Activations that are all
    smaller by the same factor are smaller; no filter overpowers the others any less.
    """

    layers: Sequence[tuple[float, float]]
    about: About = "treatments"

    @property
    def smaller(self) -> int:
        """In how many layers it is smaller."""
        return sum(under < without for under, without in self.layers)

    @property
    def finding(self) -> Finding:
        """Most of the layers decide; a single one of a single network says nothing of a penalty."""
        n, count = len(self.layers), 2 * self.smaller
        if not n:
            return Finding("not measured")
        if count == n or (n == 1 and self.about == "treatments"):
            return Finding("undecided")
        return Finding("seen" if count > n else "not seen")
