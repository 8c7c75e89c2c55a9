"""Whether the weights that are left are worth what they cost."""

from statistics import median
from types import MappingProxyType

from shrinkage.reports.claims.verdicts import Claim, Verdict, at, conclude
from shrinkage.reports.facts import Facts
from shrinkage.reports.wording import num, percent
from shrinkage.runs import RemovalRecord, WorthRecord

LARGE = 0.1  # of the largest weight
SLOPES = MappingProxyType({"L1": "λ", "L2": "2λ|w|", "ElasticNet": "l1 + 2·l2|w|"})
"""What |∂loss/∂w| is at the survivors of a stationary point, by penalty of single weights."""
Slope = tuple[float, float, float]
"""|w|, |∂loss/∂w|, slope of the penalty."""
_FEW = 3
_AT_REST = 0.1


def survival(facts: Facts) -> Claim:
    """Does setting a large weight to zero raise the loss by at least the penalty it saves?

    Where the loss holds large weights with less than the penalty's slope, they are no more than on
    their way to zero: then what they are worth as a whole is half of the evidence, ``"partly"``.
    """
    parts = [_worth(facts, name) for name in facts.textbook]
    return conclude(
        parts,
        ending="one network each, the first seed: no uncertainty",
        empty="the closer look at the chosen networks comes at the end of a run",
    )


def _worth(facts: Facts, name: str) -> tuple[Verdict, str]:
    trace = facts.trace(name)
    if trace is None or not trace["worth"]:
        return "not measured", ""
    survivors = [s for s in trace["worth"]["survivors"] if None not in (s.w, s.rise, s.saved)]
    if not survivors:
        return "not seen", f"{at(facts, name)} leaves no weight to look at"
    large = _large_ones(survivors)
    worth = sum(s["rise"] >= s["saved"] for s in large)
    share = worth / len(large)
    verdict: Verdict = "seen" if share >= 0.9 else "not seen" if share < 0.5 else "partly"
    pull = _pull(_large_slopes(slopes(facts, name, trace["worth"])))
    if verdict == "seen" and pull is not None and pull < 1 - _AT_REST:
        verdict = "partly"
    few = len(large) < _FEW
    return "undecided" if few else verdict, (
        f"{at(facts, name)}: {worth} of the {len(large)} large weights looked at"
        f"{' (too few to tell)' if few else ''} raise the loss by at least the penalty saved when "
        f"set to zero{_slopes(facts, name, trace['worth'])}"
    )


def _large_ones(survivors: list[RemovalRecord]) -> list[RemovalRecord]:
    """Those of at least a tenth of the largest."""
    top = max(abs(s["w"]) for s in survivors)
    return [s for s in survivors if abs(s["w"]) >= LARGE * top]


def slopes(facts: Facts, name: str, worth: WorthRecord) -> list[Slope]:
    """Size and slopes of the weights looked at.

    Runs that did not store the penalty's slope get it by formula, under L1 and L2.
    """
    rate, penalty = facts.knob(name) or 0.0, facts.columns[name]["penalty"]
    sizes = [None if w is None else abs(w) for w in worth["w"]]
    demanded = worth.get("slope") or [
        {"L1": rate, "L2": None if w is None else 2 * rate * w}.get(penalty) for w in sizes
    ]
    return [
        (w, abs(g), abs(slope))
        for w, g, slope in zip(sizes, worth["grad"], demanded, strict=True)
        if w is not None and g is not None and slope is not None
    ]


def _large_slopes(rows: list[Slope]) -> list[Slope]:
    """Those of weights of at least a tenth of the largest."""
    top = max((w for w, _, _ in rows), default=0.0)
    return [row for row in rows if row[0] and row[0] >= LARGE * top]


def _pull(rows: list[Slope]) -> float | None:
    """How strongly the loss holds the middle one of these weights; 1 balances the penalty."""
    ratios = [slope / demanded for _, slope, demanded in rows if demanded]
    return median(ratios) if ratios else None


def _slopes(facts: Facts, name: str, worth: WorthRecord) -> str:
    """How near the slopes of the loss are to what a stationary point demands."""
    known = slopes(facts, name, worth)
    large = _large_slopes(known)
    pull = _pull(large)
    if pull is None:
        return ""
    formula = SLOPES[facts.columns[name]["penalty"]]
    unit = f"({formula})" if " " in formula else formula
    text = f"; of {len(large)} large survivors the median |∂loss/∂w| is {num(pull)}·{unit}"
    if pull < 1 - _AT_REST:
        text += " (it would be 1 at rest; with less, weights still shrink)"
    elif pull > 1 + _AT_REST:
        text += " (it would be 1 at rest)"
    zeros = [g <= demanded * (1 + _AT_REST) for w, g, demanded in known if not w and demanded]
    if zeros:
        within = percent(sum(zeros) / len(zeros))
        text += f", and {within} of {len(zeros)} zeros have at most {formula.split()[0]}"
    return text
