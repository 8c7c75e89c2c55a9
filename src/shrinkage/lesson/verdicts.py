"""What can be said of a claim, and how several findings make one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from shrinkage.lesson.estimates import Difference

Verdict = Literal["seen", "partly", "not seen", "undecided", "not measured"]
"""It holds, half of it does, it does not, the numbers cannot say, there are no numbers."""

About = Literal["treatments", "networks"]
"""What a claim speaks of.

``"treatments"``: what a penalty does to networks; seeds must tell it from chance, and one seed
decides nothing. ``"networks"``: those that were measured, as they stand, such as the ones on the
live page; with one seed the direction in that seed counts.
"""

_WORST: tuple[Verdict, ...] = ("not seen", "undecided", "partly", "seen")


@dataclass(frozen=True)
class Finding:
    """A verdict and its reason, one of the few that the claim names; empty where none is needed."""

    verdict: Verdict
    reason: str = ""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """A claim about several treatments holds only where it holds for all of them.

    >>> worst(["seen", "partly"]), worst(["undecided", "not seen"]), worst(["not measured"])
    ('partly', 'not seen', 'not measured')
    """
    known = set(verdicts)
    return next((verdict for verdict in _WORST if verdict in known), "not measured")


def halved(verdict: Verdict, other: Verdict) -> Verdict:
    """A claim of two halves: where the first is seen and the other is not, it is seen in part.

    >>> halved("seen", "not seen"), halved("seen", "seen"), halved("undecided", "not seen")
    ('partly', 'seen', 'undecided')
    """
    return "partly" if verdict == "seen" and other != "seen" else verdict


def sign(found: Difference, about: About) -> int | None:
    """The sign of a difference; None where one seed says nothing of treatments."""
    one_seed = found.sign is None
    return found.direction if one_seed and about == "networks" else found.sign


def moves(found: Difference | None, want: int, about: About) -> Verdict:
    """Whether a measure differs in the direction ``want`` (+1 or −1)."""
    if found is None:
        return "not measured"
    seen = sign(found, about)
    if seen is None or (seen == 0 and found.n > 1):
        return "undecided"
    return "seen" if seen == want else "not seen"
