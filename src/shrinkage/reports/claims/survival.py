"""Whether the weights that are left are worth what they cost."""

from types import MappingProxyType

from shrinkage.lesson import Removal, Slopes, Survival, Verdict
from shrinkage.reports.claims.sentences import Claim, at, of_first_seed
from shrinkage.reports.facts import Facts
from shrinkage.reports.words import num, percent
from shrinkage.runs import WorthRecord

SLOPES = MappingProxyType({"L1": "λ", "L2": "2λ|w|", "ElasticNet": "l1 + 2·l2|w|"})
"""What |∂loss/∂w| is at the survivors of a stationary point, by penalty of single weights."""
Slope = tuple[float, float, float]
"""|w|, |∂loss/∂w|, slope of the penalty."""


def survival(facts: Facts) -> Claim:
    """Does setting a large weight to zero raise the loss by at least the penalty it saves?"""
    parts = [_worth(facts, name) for name in facts.textbook]
    return of_first_seed(parts)


def _worth(facts: Facts, name: str) -> tuple[Verdict, str]:
    trace = facts.trace(name)
    if trace is None or trace.worth is None:
        return "not measured", ""
    tried = [
        Removal(abs(s.w), s.rise, s.saved)
        for s in trace.worth.survivors
        if s.w is not None and s.rise is not None and s.saved is not None
    ]
    judged = Survival.of(tried, Slopes.of(slopes(facts, name, trace.worth)))
    verdict = judged.finding.verdict
    if not judged.large:
        return verdict, f"{at(facts, name)} leaves no weight to look at"
    return verdict, (
        f"{at(facts, name)}: {judged.paying} of the {judged.large} large weights looked at"
        f"{' (too few to tell)' if judged.finding.reason == 'too few' else ''} raise the loss by "
        f"at least the penalty saved when set to zero{_told(facts, name, judged)}"
    )


def slopes(facts: Facts, name: str, worth: WorthRecord) -> list[Slope]:
    """Size and slopes of the weights looked at.

    Runs that did not store the penalty's slope get it by formula, under L1 and L2.
    """
    rate, penalty = facts.knob(name) or 0.0, facts.columns[name].penalty
    demanded = worth.slope or [_by_formula(penalty, rate, w) for w in worth.w]
    return [
        (abs(w), abs(g), abs(slope))
        for w, g, slope in zip(worth.w, worth.grad, demanded, strict=True)
        if w is not None and g is not None and slope is not None
    ]


def _by_formula(penalty: str | None, rate: float, w: float | None) -> float | None:
    if penalty == "L1":
        return rate
    return None if w is None or penalty != "L2" else 2 * rate * abs(w)


def _told(facts: Facts, name: str, judged: Survival) -> str:
    """How near the slopes of the loss are to what a stationary point demands."""
    slopes = judged.slopes
    if slopes.pull is None:
        return ""
    formula = SLOPES[facts.columns[name].penalty or ""]
    unit = f"({formula})" if " " in formula else formula
    text = f"; of {slopes.large} large survivors the median |∂loss/∂w| is {num(slopes.pull)}·{unit}"
    if slopes.is_moving:
        text += " (it would be 1 at rest; with less, weights still shrink)"
    elif slopes.is_held:
        text += " (it would be 1 at rest)"
    if slopes.within is not None:
        within = percent(slopes.within)
        text += f", and {within} of {slopes.zeros} zeros have at most {formula.split()[0]}"
    if judged.finding.reason == "zeros would leave":
        text += ", so that the others would leave zero"
    return text
