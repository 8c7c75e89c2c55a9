"""How one real step shrinks weights of different size."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from shrinkage.reports.claims.verdicts import Claim, Verdict, at, conclude
from shrinkage.reports.facts import Facts
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
    """Does L2 take 2λ·|w| from a weight?"""
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
    return _verdict(share), _with_exceptions(text, share)


def _range(values: Iterable[float]) -> str:
    known = sorted(values)
    low, high = num(known[0]), num(known[-1])
    return low if low == high else f"{low} to {high}"


def _verdict(share: float) -> Verdict:
    return "seen" if share >= 0.99 else "undecided" if share >= 0.9 else "not seen"


def _with_exceptions(text: str, share: float) -> str:
    return text if share >= 0.99 else f"{text}; only {percent(share)} of them as expected"
