"""How one real step shrinks weights of different size."""

from shrinkage.lesson import Moves, ProportionalStep, StepFit, Verdict
from shrinkage.reports.claims.sentences import Claim, at, conclude
from shrinkage.reports.facts import Facts, weight, zero_share
from shrinkage.reports.words import num, percent

_FLOAT32 = 1.2e-7  # one unit in the last place of a float32 near 1
_MEASURED = "a real step is measured at the end of a run, for columns with a penalty"


def moves(facts: Facts, name: str) -> Moves | None:
    """The measured step of a column, weight by weight; None where nothing has moved."""
    step = facts.step(name)
    if step is None:
        return None
    rows = zip(step.w, step.after, step.delta, strict=True)
    known = [
        (after, delta)
        for w, after, delta in rows
        if w is not None and after is not None and delta is not None
    ]
    found = Moves.of([w for w, _ in known], [d for _, d in known], step.lr, _FLOAT32)
    return found or None


def constant_step(facts: Facts) -> Claim:
    """Does L1 take λ from every weight, whatever its size?"""
    parts = [_constant(facts, name) for name in facts.with_penalty("L1")]
    return conclude(parts, empty=_MEASURED)


def _constant(facts: Facts, name: str) -> tuple[Verdict, str]:
    strength, found = facts.knob(name), moves(facts, name)
    if not strength or found is None:
        return "not measured", ""
    fit = StepFit.constant(found, strength)
    verdict = fit.finding.verdict
    if not fit.n:
        return verdict, f"{at(facts, name)} takes less than float32 can resolve"
    text = f"{at(facts, name)} takes {_range(fit)} λ per unit of step size {_from(fit)}"
    if fit.landed:
        text += f", and {fit.landed} nearer to zero than one step land on it"
    return verdict, _with_exceptions(text, fit)


def proportional_step(facts: Facts) -> Claim:
    """Does L2 take 2λ·|w| from a weight, and so leave no exact zeros?"""
    parts = [_proportional(facts, name) for name in facts.with_penalty("L2")]
    return conclude(parts, empty=_MEASURED)


def _proportional(facts: Facts, name: str) -> tuple[Verdict, str]:
    strength, found = facts.knob(name), moves(facts, name)
    if not strength or found is None:
        return "not measured", ""
    fit = StepFit.proportional(found, strength)
    judged = _judged(facts, name, fit)
    if not fit.n:
        return judged.finding.verdict, f"{at(facts, name)} takes less than float32 can resolve"
    text = f"{at(facts, name)} takes {_range(fit)} times 2λ·|w| {_from(fit)}"
    if fit.stretch is not None:
        text += f"; the largest loses {num(fit.stretch)} times what the median one does"
    zeros = zeros_under_l2(facts, name)
    text = _with_exceptions(text, fit)
    return judged.finding.verdict, f"{text}; {zeros}" if zeros else text


def _judged(facts: Facts, name: str, fit: StepFit) -> ProportionalStep:
    return ProportionalStep(
        fit,
        facts.mean(name, zero_share) or 0.0,
        None if facts.base is None else facts.mean(facts.base, zero_share),
        facts.config.training.optimizer or "",
    )


def zeros_under_l2(facts: Facts, name: str) -> str:
    """How many exact zeros of its own a column under L2 ended with, and why; else nothing."""
    judged = _judged(facts, name, StepFit(0, 0))
    if not judged.has_own_zeros:
        return ""
    totals = [facts.values(name, read).values() for read in (weight("zeros"), weight("size"))]
    zeros, size = (int(sum(counts)) for counts in totals)
    seeds = f" of {len(totals[0])} seeds" if len(totals[0]) > 1 else ""
    why = _FACTOR if judged.by_factors else _DIVIDED
    return (
        f"{facts.label(name)} ends with {zeros:,} exact zeros among {size:,} penalised weights"
        f"{seeds} ({percent(judged.zeros)}): {why}"
    )


_DIVIDED = (
    "optimizers like Adam divide a step by the size of the gradient, so that a weight which only "
    "the penalty moves, as in a dead unit, shrinks by about the learning rate per step"
)
_FACTOR = (
    "a weight which only the penalty moves, as in a dead unit, shrinks by the same factor at every "
    "step, until floating point rounds it to zero"
)


def _range(fit: StepFit) -> str:
    low, high = num(fit.low), num(fit.high)
    return low if low == high else f"{low} to {high}"


def _from(fit: StepFit) -> str:
    return f"from {fit.n} weights of |w| = {num(fit.smallest)} to {num(fit.largest)}"


def _with_exceptions(text: str, fit: StepFit) -> str:
    unfit = fit.n and fit.finding.verdict != "seen"
    return f"{text}; only {percent(fit.share)} of them as expected" if unfit else text
