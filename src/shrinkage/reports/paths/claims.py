"""What a path says about the compromise between loss and weights, in computed sentences."""

from itertools import pairwise
from statistics import fmean

from shrinkage.estimates import Difference, difference, mean
from shrinkage.reports.claims.verdicts import (
    ONE_SEED,
    Claim,
    Verdict,
    inseparable,
    not_measured,
    seeds_note,
)
from shrinkage.reports.paths.track import Track
from shrinkage.reports.paths.wording import lam, penalty_sum
from shrinkage.reports.wording import num, percent, score, signed
from shrinkage.runs import Family

TEXTS = {
    "compromise": "A compromise between small weights and low loss: λ sets the exchange rate.",
    "pruning": "Zeros found while training are worth more than weights cut afterwards.",
    "ends": "A small λ prefers the original loss, a large λ prefers small weights.",
}

Row = tuple[float, float, float]
"""λ, training loss, penalty / λ."""


def judged(track: Track) -> dict[str, tuple[str, Claim]]:
    """Text, verdict and sentence of each; undecided while the chains still grow."""
    rows = _rows(track)
    claims = {
        "compromise": _compromise(track, rows),
        "ends": _ends(track, rows),
        "pruning": _pruning(track),
    }
    return {name: (TEXTS[name], _so_far(track, claim)) for name, claim in claims.items()}


def _so_far(track: Track, claim: Claim) -> Claim:
    if track.stage != "fitting" or claim.verdict == "not measured":
        return claim
    return Claim("undecided", f"So far: {claim.sentence[0].lower()}{claim.sentence[1:]}")


def _rows(track: Track) -> list[Row]:
    found = [
        (s, mean(track.results(s, "fit", "train", "loss")), track.mean(s, lambda f: f.penalty))
        for s in track.scales
    ]
    return [(s, loss, p / s) for s, loss, p in found if loss is not None and p is not None]


def _compromise(track: Track, rows: list[Row]) -> Claim:
    """How many steps to a larger λ bought smaller weights with loss."""
    if len(rows) < 2:
        return not_measured("at least two points of the path are needed")
    steps = list(pairwise(rows))
    bought = sum(b[2] <= a[2] and b[1] >= a[1] for a, b in steps)
    verdict: Verdict = "seen" if bought == len(steps) else "partly"
    if 2 * bought <= len(steps):
        verdict = "not seen"
    symbol = penalty_sum(track)
    sentence = (
        f"{bought} of {len(steps)} steps to a larger λ lower {symbol}, or leave it, at a training "
        f"loss that is no lower"
    )
    paid = [(a, b) for a, b in steps if b[2] < a[2] and b[1] > a[1]]
    if len(paid) > 1:
        sentence += f"; a unit of {symbol} costs {_rate(*paid[0])} and {_rate(*paid[-1])}"
    return Claim(verdict, _from_capital(sentence))


def _rate(a: Row, b: Row) -> str:
    """The exchange rate of one step."""
    rate = (b[1] - a[1]) / (a[2] - b[2])
    return f"{num(rate, 2)} of loss from λ = {lam(a[0])} to {lam(b[0])}"


def _ends(track: Track, rows: list[Row]) -> Claim:
    """Loss and weights at both ends of the path."""
    if len(rows) < 2:
        return not_measured("at least two points of the path are needed")
    weak, strong = rows[0], rows[-1]
    symbol = penalty_sum(track)
    seen = weak[1] < strong[1] and weak[2] > strong[2]
    sentence = f"{_end(track, weak, symbol)}; {_end(track, strong, symbol)}"
    return Claim("seen" if seen else "not seen", _from_capital(sentence))


def _pruning(track: Track) -> Claim:
    """The path against magnitude pruning, at the same weights and epochs, paired by seed."""
    pairs = [
        (ours, theirs)
        for scale in track.scales
        if (theirs := track.pruned(scale, "score"))
        and (ours := track.results(scale, _better(track, scale), track.held_out, "score"))
    ]
    gains: dict[int, list[float]] = {}
    for ours, theirs in pairs:
        for seed in ours.keys() & theirs.keys():
            gains.setdefault(seed, []).append(ours[seed] - theirs[seed])
    found = difference({seed: fmean(row) for seed, row in gains.items()}, dict.fromkeys(gains, 0.0))
    if found is None:
        return not_measured("no point of the path has a pruned network beside it")
    means = [fmean(ours[seed] - theirs[seed] for seed in ours if seed in theirs)
             for ours, theirs in pairs if ours.keys() & theirs.keys()]  # fmt: skip
    ahead, behind = sum(m > 0 for m in means), sum(m < 0 for m in means)
    sentence = (
        f"at equally many weights and epochs the path has the higher {track.held_out} "
        f"{track.score} at {ahead} of {len(means)} points and pruning at {behind}; the mean "
        f"difference is {_points(track, found)}"
    )
    verdicts: dict[int | None, Verdict] = {1: "seen", -1: "not seen", 0: "undecided"}
    notes = {
        None: f" ({ONE_SEED})",
        0: f" ({seeds_note([found])}), which {inseparable(found)}",
    }
    sentence += notes.get(found.sign, f" ({seeds_note([found])})")
    return Claim(verdicts.get(found.sign, "undecided"), _from_capital(sentence))


def _better(track: Track, scale: float) -> Family:
    """The fit or its refit, whichever has the lower validation loss."""
    losses = {f: mean(track.results(scale, f, "validation", "loss")) for f in track.families}
    known = {family: loss for family, loss in losses.items() if loss is not None}
    return min(known, key=known.__getitem__)


def _points(track: Track, found: Difference) -> str:
    """A difference of scores; of accuracies in points of a per cent."""
    if track.score != "accuracy":
        return signed(found)
    se = None if found.se is None else 100 * found.se
    return f"{signed(Difference(100 * found.mean, se, found.n))} points"


def _end(track: Track, row: Row, symbol: str) -> str:
    scale, loss, size = row
    left = track.nonzeros(scale) or 0.0
    reached = score(track.score, mean(track.results(scale, "fit", track.held_out, "score")))
    return (
        f"at λ = {lam(scale)} the training loss is {num(loss)} and {symbol} {num(size)}, "
        f"with {percent(left / track.size)} of the weights left and {track.held_out} "
        f"{track.score} {reached}"
    )


def _from_capital(sentence: str) -> str:
    return f"{sentence[0].upper()}{sentence[1:]}."
