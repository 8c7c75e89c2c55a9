"""Findings in words, and how several parts make one sentence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shrinkage.lesson import Verdict, worst
from shrinkage.lesson.estimates import Difference
from shrinkage.reports.facts import Facts
from shrinkage.reports.words import capital, strength
from shrinkage.runs.knobs import knob

ONE_SEED = "one seed: no uncertainty"


@dataclass(frozen=True)
class Claim:
    """What the data say about a claim."""

    verdict: Verdict
    sentence: str


def not_measured(why: str) -> Claim:
    """No data, and why."""
    return Claim("not measured", f"Not measured: {why}.")


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
    body = start + body if start else capital(body)
    return Claim(verdict, f"{body}.")


def of_first_seed(parts: Sequence[tuple[Verdict, str]], *, opening: str = "") -> Claim:
    """One claim from what the closer look at the chosen networks of the first seed shows."""
    return conclude(
        parts,
        opening=opening,
        ending="one network each, the first seed: no uncertainty",
        empty="the closer look at the chosen networks comes at the end of a run",
    )


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


def unclear(*found: Difference | None) -> str:
    """That the seeds do not show one of these differences; else nothing."""
    alike = [d for d in found if d is not None and d.sign == 0]
    return f", which {inseparable(alike[0])}" if alike else ""


def seeds_note(found: Iterable[Difference | None]) -> str:
    """How many seeds the differences are paired over."""
    counts = {d.n for d in found if d is not None}
    if not counts:
        return ""
    fewest = min(counts)
    return ONE_SEED if fewest == 1 else f"± one standard error, paired over {fewest} seeds"


def at(facts: Facts, name: str) -> str:
    """A column's label with its chosen strength."""
    brief = knob(facts.columns[name].knob).brief
    return f"{facts.label(name)} ({brief}{strength(facts.knob(name))})"
