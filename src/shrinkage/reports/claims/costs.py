"""The two parts of the cost, and which parameters the second part covers."""

from shrinkage.estimates import difference, mean
from shrinkage.reports.claims.verdicts import (
    ONE_SEED,
    Claim,
    Verdict,
    conclude,
    described,
    not_measured,
)
from shrinkage.reports.facts import Facts, weight
from shrinkage.reports.wording import listed, num, percent, strength
from shrinkage.runs import FitRecord, ParameterConfig

_SAME = 1e-3


def cost_split(facts: Facts) -> Claim:
    """Is the measured penalty λ·Σ|w| for L1 and λ·Σw² for L2, in every fit?"""
    fits = [fit for fit in facts.fits.values() if fit["column"] in facts.textbook]
    fits = [fit for fit in fits if fit["penalty"] is not None]
    if not fits:
        return not_measured("no fit under L1 or L2 yet")
    apart = {fit["key"]: _apart(facts, fit) for fit in fits}
    far = max(apart, key=apart.__getitem__)
    if apart[far] > _SAME:
        return Claim(
            "not seen",
            f"Not seen here: in fit {far} the measured penalty departs from λ times the sum over "
            f"the weights by {percent(apart[far])}.",
        )
    fit = fits[len(fits) // 2]
    loss, penalty = fit["train"]["loss"], fit["penalty"]
    cost = None if loss is None else loss + penalty
    return Claim(
        "seen",
        f"In all {len(fits)} fits under L1 or L2 the measured penalty is λ times that sum, to "
        f"within {num(apart[far], 1)} of its value; for example {facts.label(fit['column'])} at "
        f"λ = {strength(fit['knob'])}: cost {num(cost)} = loss {num(loss)} + penalty "
        f"{num(penalty)}.",
    )


def _apart(facts: Facts, fit: FitRecord) -> float:
    squares = facts.columns[fit["column"]]["penalty"] == "L2"
    total = fit["weights"]["l2"] ** 2 if squares else fit["weights"]["l1"]
    expected = fit["knob"] * total
    return float(abs(fit["penalty"] - expected) / max(expected, 1e-12))


def penalty_share(facts: Facts) -> Claim:
    """Does the penalty term grow with λ, and what share of the cost is it?"""
    parts = [_grows(facts, name) for name in facts.textbook]
    knobs = [k for name in facts.textbook for k in facts.columns[name]["knobs"]]
    below = "all strengths tried are below 1" if knobs and max(knobs) < 1 else ""
    if knobs and not below:
        below = f"strengths tried reach {strength(max(knobs))}"
    note = "; ".join([below, ONE_SEED] if facts.seeds == 1 else [below])
    return conclude(parts, opening="penalty and its share of the cost: ", ending=note,
                    empty="no two strengths of L1 or L2 yet")  # fmt: skip


def _grows(facts: Facts, name: str) -> tuple[Verdict, str]:
    path = facts.along(name, lambda fit: fit["penalty"])
    if len(path) < 2:
        return "not measured", ""
    shares = dict(facts.along(name, lambda fit: fit["penalty_share"]))
    means = [mean(values.values()) or 0.0 for _, values in path]
    top = max(range(len(path)), key=means.__getitem__)

    def told(k: int) -> str:
        share = mean(shares.get(path[k][0], {}).values())
        return f"{num(means[k])} ({percent(share)}) at λ = {strength(path[k][0])}"

    if top == 0:
        return "not seen", f"{facts.label(name)} {told(0)} and nowhere more"
    text = f"{facts.label(name)} {told(0)}, {told(top)}"
    if top < len(path) - 1:
        sizes = facts.along(name, weight("l1"))
        left = mean(sizes[-1][1].values()) if sizes else None
        text += f", then {told(len(path) - 1)} with Σ|w| down to {num(left)}"
    return described(difference(path[top][1], path[0][1]), +1), text


def coverage(facts: Facts) -> Claim:
    """Are weights and biases of all convolutional and linear layers penalised?"""
    plan = facts.config.get("plan") or []
    meant = [e for e in plan if e["role"] in ("weight", "bias")]
    if not meant:
        return not_measured("the run records no plan")
    taken = [e for e in plan if e["penalised"]]
    left = [e for e in meant if not e["penalised"]]
    sizes = sum(_size(e) for e in taken), sum(_size(e) for e in plan)
    text = (
        f"{len(taken)} of {len(plan)} parameter tensors are penalised, {sizes[0]:,} of "
        f"{sizes[1]:,} numbers"
    )
    if not left:
        return Claim("seen", f"{text}: every weight and every bias.")
    names = [e["name"] for e in left]
    shown = listed(names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"])
    biases = all(e["role"] == "bias" for e in left)
    remedy = ", which is usual; --biases penalises them too" if biases else ""
    return Claim("not seen", f"Not the setting here: {text}; left out: {shown}{remedy}.")


def _size(entry: ParameterConfig) -> int:
    size = 1
    for length in entry["shape"]:
        size *= length
    return size
