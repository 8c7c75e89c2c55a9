"""Verdicts, and how several parts make one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from shrinkage.estimates import Difference
from shrinkage.reports.facts import Facts
from shrinkage.reports.wording import strength

Verdict = Literal["seen", "partly", "not seen", "undecided", "not measured"]
ONE_SEED = "one seed: no uncertainty"
_WORST: tuple[Verdict, ...] = ("not seen", "undecided", "partly", "seen")


@dataclass(frozen=True)
class Claim:
    """What the data say about a claim."""

    verdict: Verdict
    sentence: str


def not_measured(why: str) -> Claim:
    """No data, and why."""
    return Claim("not measured", f"Not measured: {why}.")


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """A claim about several columns holds only where it holds for all of them."""
    known = set(verdicts)
    return next((verdict for verdict in _WORST if verdict in known), "not measured")


def conclude(
    parts: Sequence[tuple[Verdict, str]], *, opening: str = "", ending: str = "", empty: str
) -> Claim:
    """One claim from the parts of its columns; ``empty`` says why there are none."""
    told = [(verdict, text) for verdict, text in parts if verdict != "not measured"]
    if not told:
        return not_measured(empty)
    verdict = worst(v for v, _ in told)
    start = {"not seen": "Not seen here: ", "partly": "Seen in part: "}.get(verdict, "")
    body = opening + "; ".join(text for _, text in told) + (f" ({ending})" if ending else "")
    body = start + body if start else body[0].upper() + body[1:]
    return Claim(verdict, f"{body}.")


def described(found: Difference | None, want: int) -> Verdict:
    """Whether a measure of the networks themselves moves the way it should.

    With one seed, its direction in that seed's networks counts: they are what is described.
    """
    if found is None:
        return "not measured"
    sign = found.sign
    if sign is None:
        sign = (found.mean > 0) - (found.mean < 0)
        return "seen" if sign == want else "not seen"
    return "seen" if sign == want else "undecided" if sign == 0 else "not seen"


def inseparable(found: Difference, what: str = "") -> str:
    """That the seeds show no difference, and by which test.

    ``what``: the values compared, where the sentence has told them and not their difference.

    >>> inseparable(Difference(0.1, 0.2, 3))
    'a paired t test over 3 seeds cannot tell from 0'
    >>> inseparable(Difference(0.1, 0.2, 3), "the two values")
    'a paired t test over 3 seeds cannot tell the two values apart'
    """
    finding = f"{what} apart" if what else "from 0"
    return f"a paired t test over {found.n} seeds cannot tell {finding}"


def seeds_note(found: Iterable[Difference | None]) -> str:
    """How many seeds the differences are paired over."""
    counts = {d.n for d in found if d is not None}
    if not counts:
        return ""
    fewest = min(counts)
    return ONE_SEED if fewest == 1 else f"± one standard error, paired over {fewest} seeds"


def at(facts: Facts, name: str) -> str:
    """A column's label with its chosen strength."""
    symbol = {"strength": "λ = ", "dropout": "p = ", "learning rate": "lr × "}
    knob = symbol.get(facts.columns[name]["knob"], "")
    return f"{facts.label(name)} ({knob}{strength(facts.knob(name))})"
