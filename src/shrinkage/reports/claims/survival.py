"""Whether the weights that are left are worth what they cost."""

from statistics import median

from shrinkage.reports.claims.verdicts import Claim, Verdict, at, conclude
from shrinkage.reports.facts import Facts, Point
from shrinkage.reports.wording import num, percent

LARGE = 0.1  # of the largest weight
_FEW = 3
_AT_REST = 0.1


def survival(facts: Facts) -> Claim:
    """Does setting a large weight to zero raise the loss by at least the penalty it saves?"""
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
    survivors = [s for s in trace["worth"]["survivors"] if None not in s.values()]
    if not survivors:
        return "not seen", f"{at(facts, name)} leaves no weight to look at"
    large = large_ones(survivors)
    worth = sum(s["rise"] >= s["saved"] for s in large)
    share = worth / len(large)
    verdict: Verdict = "seen" if share >= 0.9 else "not seen" if share < 0.5 else "undecided"
    few = len(large) < _FEW
    return "undecided" if few else verdict, (
        f"{at(facts, name)}: {worth} of the {len(large)} large weights looked at"
        f"{' (too few to tell)' if few else ''} raise the loss by at least the penalty saved when "
        f"set to zero{_slopes(facts, name, trace)}"
    )


def large_ones(survivors: list[Point]) -> list[Point]:
    """Those of at least a tenth of the largest."""
    top = max(abs(s["w"]) for s in survivors)
    return [s for s in survivors if abs(s["w"]) >= LARGE * top]


def _slopes(facts: Facts, name: str, trace: Point) -> str:
    """How near the slopes of the loss are to what a stationary point demands."""
    strength = facts.knob(name)
    rows = zip(trace["worth"]["w"], trace["worth"]["grad"], strict=True)
    known = [(abs(w), abs(g)) for w, g in rows if w is not None and g is not None]
    alive = [(w, g) for w, g in known if w > 0]
    if not strength or not alive:
        return ""
    if facts.columns[name]["penalty"] == "L2":
        ratio = median(g / (2 * strength * w) for w, g in alive)
        text, zeros = f", their median |∂loss/∂w| is {num(ratio)}·2λ|w|", []
    else:
        ratio = median(g / strength for _, g in alive)
        text = f", their median |∂loss/∂w| is {num(ratio)}·λ"
        zeros = [g for w, g in known if w == 0]
    text = text.replace("their", "over all survivors the")
    if zeros:
        within = sum(g <= strength * (1 + _AT_REST) for g in zeros) / len(zeros)
        text += f", and {percent(within)} of the zeros have at most λ"
    return text if abs(ratio - 1) <= _AT_REST else f"{text} (it would be 1 at rest)"
