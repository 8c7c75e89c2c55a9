"""The path in words: its penalty, its choice."""

from shrinkage.lesson.estimates import mean, sd
from shrinkage.reports.paths.track import ChosenPoint, PartName, Stop, Track
from shrinkage.reports.words import count, listed, percent, score, score_spread
from shrinkage.runs import Family, PathFitRecord

FAMILIES = {"fit": "penalised fit", "refit": "refit", "stable": "stable features, refit"}


def lam(scale: float) -> str:
    """A scale as λ, in three digits.

    >>> lam(0.000721), lam(0.3847777)
    ('0.000721', '0.385')
    """
    return f"{scale:.3g}"


def penalty_sum(track: Track) -> str:
    """What λ multiplies: a sum where one penalty of strength 1 acts everywhere, else P(w)."""
    penalties = {rule.penalty for rule in track.config.rules} - {None}
    known = {"L1(strength=1.0)": "Σ|w|", "L2(strength=1.0)": "Σw²"}
    return known.get(penalties.pop() or "", "P(w)") if len(penalties) == 1 else "P(w)"


def penalties(track: Track) -> str:
    """The rules of the path, as they were given."""
    rules = [rule for rule in track.config.rules if rule.penalty is not None]
    if len(rules) == 1 and rules[0].key == "'*'":
        return str(rules[0].penalty)
    return "; ".join(f"{rule.key}: {rule.penalty}" for rule in rules) or "no penalty"


def family_label(family: str) -> str:
    """``"penalised fit"``, ``"refit"``, or a family's own name."""
    return FAMILIES.get(family, family)


def spread(track: Track, values: dict[int, float]) -> str:
    """A score's mean ± standard deviation over seeds."""
    return score_spread(track.score, mean(values), sd(values))


def shown(track: Track, stop: Stop, family: Family, part: PartName) -> dict[int, float]:
    """Scores in the column of a family: the dense network's are fits, the stable ones' refits."""
    if stop.apart:
        last = family == track.families[-1]
        return track.results(stop.scale, stop.family, part, "score") if last else {}
    return track.results(stop.scale, family, part, "score") if stop.scale or family == "fit" else {}


def choice_sentence(track: Track) -> str:
    """The choice: scale, weights left, scores, and why."""
    chosen = track.chosen
    if chosen is None:
        return "No network has been fit yet."
    opening = "Chosen" if chosen.final else "Nothing is chosen yet; so far"
    kind = {"fit": "the penalised fit", "refit": "refit on its support"}
    network = f"λ = {lam(chosen.scale)}, {kind.get(chosen.family, chosen.family)}"
    if not chosen.scale:
        network = f"λ = {lam(chosen.scale)}, the dense network"
    why = f": {chosen.why}"
    if chosen.family == "stable":
        network = "the stable features alone, refit"
        why += f" at λ ≥ {lam(chosen.scale)}"
    sentence = f"{opening}: {network}, with {_size(track, chosen)}, {_scores(track, chosen)}{why}."
    return f"{sentence} {no_better_sentence(track)}".rstrip()


def dense_sentence(track: Track) -> str:
    """The dense network beside it; nothing where the path began at the sparse end."""
    chosen = track.chosen
    if not track.dense or chosen is None or not chosen.scale:
        return ""
    return (
        f"The dense network, λ = 0, with all {track.size:,} weights: "
        f"{_scores(track, ChosenPoint(0.0, 'fit', '', final=False))}."
    )


def _size(track: Track, chosen: ChosenPoint) -> str:
    left = track.nonzeros(chosen.scale, chosen.family) or 0.0
    used = track.features(chosen.scale, chosen.family)
    inputs = track.config.spec.n_inputs
    text = (
        f"{left:,.0f} of {track.size:,} weights left "
        f"({percent(1 - left / track.size if track.size else 0.0)} exact zeros)"
    )
    if used is not None and used < inputs:
        text += f" and {count(used)} of {inputs:,} inputs in use"
    return text


def _scores(track: Track, chosen: ChosenPoint) -> str:
    parts: list[PartName] = ["validation", "test"]
    told = [
        f"{spread(track, values)} on {part}"
        for part in parts
        if (values := track.results(chosen.scale, chosen.family, part, "score"))
    ]
    return f"{track.score} {' and '.join(told)} data" if told else f"no {track.score} yet"


def no_better_sentence(track: Track) -> str:
    """Where the chosen network predicts no better than one that reads nothing; else nothing."""
    chosen, part = track.chosen, track.held_out
    empty = [scale for scale in track.scales if track.features(scale) == 0]
    if chosen is None or not empty:
        return ""
    constant = mean(track.results(empty[0], "fit", part, "score"))
    own = mean(track.results(chosen.scale, chosen.family, part, "score"))
    if constant is None or own is None or own > constant:
        return ""
    rare = " Where one class is rare, accuracy says little." if track.score == "accuracy" else ""
    return (
        f"No better than a constant prediction, whose {track.score} is "
        f"{score(track.score, constant)} on {part} data.{rare}"
    )


def trained_all_the_same(track: Track) -> str:
    """Of a path that would have been solved exactly, had no option asked for training."""
    asked = track.decisions.exact_without
    if not asked:
        return ""
    return f"the cost is convex here: without {listed(asked)} every point is solved exactly"


def trained_whole(track: Track) -> str:
    """Of a path whose network could not be cut while it was trained: how often, and why."""
    notes = [fit.shrunk for fit in track.view.records(PathFitRecord).values()]
    why = [note.whole for note in notes if note is not None and note.whole is not None]
    if not why:
        return ""
    return (
        f"{len(why)} of {len(track.all_fits)} fits trained the whole network, which takes longer "
        f"and gives the same; what nobody reads could not be cut out: {why[0]}"
    )
