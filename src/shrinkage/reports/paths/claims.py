"""What a path says about the compromise between loss and weights, in computed sentences."""

from shrinkage.lesson import BeatsPruning, Ends, Exchange, Stand
from shrinkage.lesson.estimates import Difference, mean, paired
from shrinkage.reports.claims.sentences import Claim, not_measured, seeds_note, unclear
from shrinkage.reports.paths.track import Track
from shrinkage.reports.paths.words import lam, penalty_sum
from shrinkage.reports.words import capital, num, percent, score, signed
from shrinkage.runs import Family

TEXTS = {
    "compromise": "A compromise between small weights and low loss: λ sets the exchange rate.",
    "pruning": "Zeros found while training are worth more than weights cut afterwards.",
    "ends": "A small λ prefers the original loss, a large λ prefers small weights.",
}


def judged(track: Track) -> dict[str, tuple[str, Claim]]:
    """Text, verdict and sentence of each; undecided while the chains still grow."""
    stands = [Stand(s, loss, p / s) for s, loss, p in track.costs]
    claims = {
        "compromise": _compromise(track, stands),
        "ends": _ends(track, stands),
        "pruning": _pruning(track),
    }
    return {name: (TEXTS[name], _so_far(track, claim)) for name, claim in claims.items()}


def _so_far(track: Track, claim: Claim) -> Claim:
    if track.stage != "fitting" or claim.verdict == "not measured":
        return claim
    return Claim("undecided", f"So far: {claim.sentence[0].lower()}{claim.sentence[1:]}")


def _compromise(track: Track, stands: list[Stand]) -> Claim:
    """How many steps to a larger λ bought smaller weights with loss."""
    if len(stands) < 2:
        return not_measured("at least two points of the path are needed")
    judged = Exchange(stands)
    symbol = penalty_sum(track)
    sentence = (
        f"{judged.bought} of {len(judged.steps)} steps to a larger λ lower {symbol}, or leave it, "
        f"at a training loss that is no lower"
    )
    paid = [(a, b) for a, b in judged.steps if b.size < a.size and b.loss > a.loss]
    if len(paid) > 1:
        sentence += f"; a unit of {symbol} costs {_rate(*paid[0])} and {_rate(*paid[-1])}"
    return Claim(judged.finding.verdict, f"{capital(sentence)}.")


def _rate(a: Stand, b: Stand) -> str:
    """The exchange rate of one step."""
    rate = (b.loss - a.loss) / (a.size - b.size)
    return f"{num(rate, 2)} of loss from λ = {lam(a.strength)} to {lam(b.strength)}"


def _ends(track: Track, stands: list[Stand]) -> Claim:
    """Loss and weights at both ends of the path."""
    if len(stands) < 2:
        return not_measured("at least two points of the path are needed")
    judged = Ends(stands[0], stands[-1])
    symbol = penalty_sum(track)
    sentence = f"{_end(track, judged.weak, symbol)}; {_end(track, judged.strong, symbol)}"
    return Claim(judged.finding.verdict, f"{capital(sentence)}.")


def _pruning(track: Track) -> Claim:
    """The path against magnitude pruning, at the same weights and epochs, paired by seed."""
    deltas = list(filter(None, (_gain(track, scale) for scale in track.scales)))
    found = Difference.of(mean(d.get(seed) for d in deltas) for seed in range(track.seeds))
    if found is None:
        return not_measured("no point of the path has a pruned network beside it")
    means = [mean(delta) or 0.0 for delta in deltas]
    ahead, behind = sum(m > 0 for m in means), sum(m < 0 for m in means)
    sentence = (
        f"at equally many weights and epochs the path has the higher {track.held_out} "
        f"{track.score} at {ahead} of {len(means)} points and pruning at {behind}; the mean "
        f"difference is {_points(track, found)}"
    )
    sentence += f" ({seeds_note([found])}){unclear(found)}"
    return Claim(BeatsPruning(found).finding.verdict, f"{capital(sentence)}.")


def _gain(track: Track, scale: float) -> dict[int, float]:
    """By seed, what the path's score has more than that of the pruned network beside it."""
    theirs = track.pruned(scale, "score")
    if not theirs:
        return {}
    return paired(track.results(scale, _better(track, scale), track.held_out, "score"), theirs)


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


def _end(track: Track, stand: Stand, symbol: str) -> str:
    scale = stand.strength
    left = track.nonzeros(scale) or 0.0
    reached = score(track.score, mean(track.results(scale, "fit", track.held_out, "score")))
    return (
        f"at λ = {lam(scale)} the training loss is {num(stand.loss)} and {symbol} "
        f"{num(stand.size)}, with {percent(left / track.size)} of the weights left and "
        f"{track.held_out} {track.score} {reached}"
    )
