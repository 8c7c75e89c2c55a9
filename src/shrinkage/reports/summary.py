"""What a contrast found, one row per column: pure arithmetic on a run folder's points."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from shrinkage import estimates
from shrinkage.runs import RunView

Point = dict[str, Any]

_CERTIFIED = {
    "stationary_gap": "gap",
    "kink_gap": "kink_gap",
    "residual": "residual",
    "objective": "objective",
    "null_objective": "null_objective",
}


@dataclass(frozen=True)
class Figure:
    """Mean over seeds and standard deviation (None with one seed); the values and their seeds."""

    mean: float
    sd: float | None
    values: tuple[float, ...]
    seeds: tuple[int, ...]

    @property
    def by_seed(self) -> dict[int, float]:
        """The value of each seed."""
        return dict(zip(self.seeds, self.values, strict=True))


def figure(values: Mapping[int, float | None]) -> Figure | None:
    """The figure of the values that exist; None where there are none."""
    known = estimates.by_seed(values)
    mean = estimates.mean(known)
    if mean is None:
        return None
    return Figure(mean, estimates.sd(known), tuple(known.values()), tuple(known))


def paired(these: Figure | None, those: Figure | None) -> Point | None:
    """Mean of these − those over the seeds of both, and its standard error (None with one)."""
    if these is None or those is None:
        return None
    deltas = estimates.paired(these.by_seed, those.by_seed)
    found = estimates.Difference.of(deltas)
    if found is None:
        return None
    return {"mean": found.mean, "se": found.se, "values": list(deltas.values())}


def summary(view: RunView) -> list[Point]:
    """One row per column at its chosen knob, all figures mean and sd over seeds.

    ``gap``: held-out log-loss (or squared error) minus training's. Held out is the test part
    once it is open, the validation part before (``held_out`` says which). Before the choice the
    try with the lowest mean validation loss so far stands in (``chosen`` False). Differences
    ``versus_none`` are paired by seed. ``stationary_gap``, ``kink_gap``, ``residual``,
    ``objective``, ``null_objective``: the certificate on the training data (None in runs without).
    """
    fits, tests = view.of_kind("fit"), view.of_kind("test")
    certificates = view.of_kind("certificate")
    rows = [_row(view, column, fits, tests, certificates) for column in view.config["columns"]]
    base = next((row for row in rows if row["name"] == "none" and row["fits"]), None)
    for row in rows:
        row["versus_none"] = None
        if base is not None and row is not base and row["fits"]:
            row["versus_none"] = {
                name: paired(row[name], base[name]) for name in ("gap", "held_out_loss")
            }
    return [_plain(row) for row in rows]


def _row(
    view: RunView,
    column: Point,
    fits: dict[str, Point],
    tests: dict[str, Point],
    certificates: dict[str, Point],
) -> Point:
    index, chosen = _chosen(view, column, fits)
    keys = [f"{column['name']}/{index}/{seed}" for seed in range(view.config["seeds"])]
    found = [fits[k] for k in keys if k in fits and "failed" not in fits[k]]
    opened = chosen and bool(found) and all(fit["key"] in tests for fit in found)
    held = {f["seed"]: tests[f["key"]] if opened else f["validation"] for f in found}
    without = [f for f in fits.values() if f["column"] == column["name"] and "failed" in f]

    def over(read: Callable[[Point], float | None]) -> Figure | None:
        return figure({fit["seed"]: read(fit) for fit in found})

    def certified(key: str) -> Callable[[Point], float | None]:
        return lambda f: certificates.get(f["key"], {}).get(key)

    return {
        "name": column["name"],
        "label": column["label"],
        "knob": column["knob"],
        "value": column["knobs"][index] if found else None,
        "index": index,
        "chosen": chosen,
        "fits": len(found),
        "failed": without[0]["failed"] if without and not found else None,
        "failures": sum(map(has_failed, without)),
        "held_out": "test" if opened else "validation",
        "score_name": found[0]["score_name"] if found else None,
        "train_loss": over(lambda f: f["train"]["loss"]),
        "train_score": over(lambda f: f["train"]["score"]),
        "held_out_loss": over(lambda f: held[f["seed"]]["loss"]),
        "held_out_score": over(lambda f: held[f["seed"]]["score"]),
        "gap": over(lambda f: _minus(held[f["seed"]]["loss"], f["train"]["loss"])),
        "penalty": over(lambda f: f["penalty"]),
        "penalty_share": over(lambda f: f["penalty_share"]),
        "zeros": over(lambda f: f["weights"]["zeros"] / f["weights"]["size"]),
        "nonzeros": over(lambda f: f["weights"]["nonzeros"]),
        "l1": over(lambda f: f["weights"]["l1"]),
        "l2": over(lambda f: f["weights"]["l2"]),
        "max_abs": over(lambda f: f["weights"]["max_abs"]),
        "top1": over(lambda f: f["weights"]["top1"]),
        "top10": over(lambda f: f["weights"]["top10"]),
        "gini": over(lambda f: f["weights"]["gini"]),
        "units_dead": over(lambda f: f["reach"] and f["reach"]["units_dead"]),
        "inputs_used": over(inputs_used),
        "units": found[0]["reach"] and found[0]["reach"]["units"] if found else None,
        "inputs": found[0]["reach"] and found[0]["reach"]["inputs"] if found else None,
        "weights": found[0]["weights"]["size"] if found else None,
        **{name: over(certified(key)) for name, key in _CERTIFIED.items()},
    }


def inputs_used(fit: Point) -> float | None:
    """The number of inputs on a path to an output; None where it is not known."""
    reach = fit["reach"]
    return None if reach is None else float(reach["inputs"] - reach["inputs_unused"])


def has_failed(fit: Point) -> bool:
    """Whether a fit was tried and failed; a column that does not apply has not been tried."""
    return "failed" in fit and bool(fit.get("applies", True))


def _chosen(view: RunView, column: Point, fits: dict[str, Point]) -> tuple[int, bool]:
    choice = view.decisions.get("choices", {}).get(column["name"])
    if choice is not None:
        return choice["index"], True
    losses: dict[int, list[float]] = {}
    for fit in fits.values():
        if fit["column"] == column["name"] and "failed" not in fit:
            loss = fit["validation"]["loss"]
            losses.setdefault(fit["index"], []).append(float("inf") if loss is None else loss)
    means = {index: fmean(values) for index, values in losses.items()}
    return (min(means, key=means.__getitem__) if means else 0), False


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _plain(row: Point) -> Point:
    return {k: asdict(v) if isinstance(v, Figure) else v for k, v in row.items()}


def idle(rows: Sequence[Point]) -> list[Point]:
    """The rows whose objective is not below that of the best constant prediction in some seed."""
    return [row for row in rows if row["fits"] and _idle_seeds(row)]


def idle_text(row: Point) -> str:
    """What is to be said of such a row."""
    seeds = _idle_seeds(row)
    some = "" if row["fits"] == 1 else f" in {seeds} of {row['fits']} seeds"
    return (
        f"{row['label']}: the objective on the training data is not below that of the best "
        f"constant prediction{some}: a network without weights would cost no more."
    )


def _idle_seeds(row: Point) -> int:
    if row["objective"] is None or row["null_objective"] is None:
        return 0
    nulls = row["null_objective"]  # of the seeds in which it is known
    known = dict(zip(nulls["seeds"], nulls["values"], strict=True))
    pairs = zip(row["objective"]["seeds"], row["objective"]["values"], strict=True)
    return sum(
        cost >= known[seed] - 1e-6 * abs(known[seed]) for seed, cost in pairs if seed in known
    )


def edges(view: RunView) -> dict[str, list[str]]:
    """Labels of the columns whose chosen λ is the ``"smallest"`` or the ``"largest"`` tried."""
    found: dict[str, list[str]] = {}
    for column in view.config["columns"]:
        choice = view.decisions.get("choices", {}).get(column["name"])
        last = len(column["knobs"]) - 1
        if column["knob"] == "strength" and choice is not None and last > 0:
            where = {0: "smallest", last: "largest"}.get(choice["index"])
            if where is not None:
                found.setdefault(where, []).append(column["label"])
    return found
