"""How one real step shrinks weights of different size."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from shrinkage.reports.claims.verdicts import Claim, Verdict, at, conclude
from shrinkage.reports.facts import Facts, weight, zero_share
from shrinkage.reports.wording import num, percent

_TOLERANCE = 0.05
_ROUNDING = 1.2e-7  # one unit in the last place of a float32 near 1
_MEASURED = "a real step is measured at the end of a run, for columns with a penalty"


@dataclass(frozen=True)
class Move:
    """A weight, what one unit of step size took from |w|, and how exactly that can be known."""

    w: float
    shrink: float
    rounding: float
    landed: bool

    def near(self, expected: float) -> bool:
        """Within the tolerance and the rounding of what is expected."""
        return abs(self.shrink - expected) <= _TOLERANCE * expected + self.rounding


def moves(facts: Facts, name: str) -> list[Move]:
    """The measured step of a column, weight by weight."""
    step = facts.step(name)
    if step is None:
        return []
    lr = step["lr"]
    rows = zip(step["w"], step["after"], step["delta"], strict=True)
    known = [(w, a, d) for w, a, d in rows if None not in (w, a, d) and a != 0]
    return [
        Move(
            abs(after),
            -delta if after > 0 else delta,
            _ROUNDING * abs(after) / lr,
            abs(after + lr * delta) <= _ROUNDING * abs(after),
        )
        for _, after, delta in known
    ]


def constant_step(facts: Facts) -> Claim:
    """Does L1 take λ from every weight, whatever its size?"""
    parts = [_constant(facts, name) for name in facts.with_penalty("L1")]
    return conclude(parts, empty=_MEASURED)


def _constant(facts: Facts, name: str) -> tuple[Verdict, str]:
    strength = facts.knob(name)
    found = moves(facts, name)
    if not strength or not found:
        return "not measured", ""
    landed = [m for m in found if m.landed]
    clear = [m for m in found if not m.landed and m.rounding < strength / 2]
    if not clear:
        return "undecided", f"{at(facts, name)} takes less than float32 can resolve"
    share = sum(m.near(strength) for m in clear) / len(clear)
    text = (
        f"{at(facts, name)} takes {_range(m.shrink / strength for m in clear)} λ per unit of step "
        f"size from {len(clear)} weights of |w| = {num(min(m.w for m in clear))} to "
        f"{num(max(m.w for m in clear))}"
    )
    if landed:
        text += f", and {len(landed)} nearer to zero than one step land on it"
    return _verdict(share), _with_exceptions(text, share)


def proportional_step(facts: Facts) -> Claim:
    """Does L2 take 2λ·|w| from a weight, and so leave no exact zeros?"""
    parts = [_proportional(facts, name) for name in facts.with_penalty("L2")]
    return conclude(parts, empty=_MEASURED)


def _proportional(facts: Facts, name: str) -> tuple[Verdict, str]:
    strength = facts.knob(name)
    found = moves(facts, name)
    if not strength or not found:
        return "not measured", ""
    clear = [m for m in found if m.rounding < strength * m.w]
    if not clear:
        return "undecided", f"{at(facts, name)} takes less than float32 can resolve"
    share = sum(m.near(2 * strength * m.w) for m in clear) / len(clear)
    large = max(clear, key=lambda m: m.w)
    middle = median(m.shrink for m in clear)
    text = (
        f"{at(facts, name)} takes {_range(m.shrink / (2 * strength * m.w) for m in clear)} times "
        f"2λ·|w| from {len(clear)} weights of |w| = {num(min(m.w for m in clear))} to "
        f"{num(large.w)}"
    )
    if middle > 0:
        text += f"; the largest loses {num(large.shrink / middle)} times what the median one does"
    verdict, text = _verdict(share), _with_exceptions(text, share)
    zeros = zeros_under_l2(facts, name)
    if not zeros:
        return verdict, text
    if verdict == "seen" and not _by_factors(facts):
        verdict = "partly"  # training did not shrink them in proportion
    return verdict, f"{text}; {zeros}"


def zeros_under_l2(facts: Facts, name: str) -> str:
    """How many exact zeros a column under L2 ended with, and why; nothing where it has none.

    Zeros that the unregularized networks have as often are none of the penalty's.
    """
    share = facts.mean(name, zero_share)
    without = None if facts.base is None else facts.mean(facts.base, zero_share)
    if not share or (without is not None and without >= share):
        return ""
    totals = [facts.values(name, weight(key)).values() for key in ("zeros", "size")]
    zeros, size = (int(sum(counts)) for counts in totals)
    seeds = f" of {len(totals[0])} seeds" if len(totals[0]) > 1 else ""
    why = _FACTOR if _by_factors(facts) else _DIVIDED
    return (
        f"{facts.label(name)} ends with {zeros:,} exact zeros among {size:,} penalised weights"
        f"{seeds} ({percent(share)}): {why}"
    )


def _by_factors(facts: Facts) -> bool:
    """Whether training is known to have multiplied weights under L2, as plain gradients do."""
    return "sgd" in str(facts.config["training"].get("optimizer", "")).lower()


_DIVIDED = (
    "optimizers like Adam divide a step by the size of the gradient, so that a weight which only "
    "the penalty moves, as in a dead unit, shrinks by about the learning rate per step"
)
_FACTOR = (
    "a weight which only the penalty moves, as in a dead unit, shrinks by the same factor at every "
    "step, until floating point rounds it to zero"
)


def _range(values: Iterable[float]) -> str:
    known = sorted(values)
    low, high = num(known[0]), num(known[-1])
    return low if low == high else f"{low} to {high}"


def _verdict(share: float) -> Verdict:
    return "seen" if share >= 0.99 else "undecided" if share >= 0.9 else "not seen"


def _with_exceptions(text: str, share: float) -> str:
    return text if share >= 0.99 else f"{text}; only {percent(share)} of them as expected"
