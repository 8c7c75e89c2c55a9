"""What shrinking saves along a path: LeNet-300-100 on MNIST, with and without, point by point.

Both chains start from the same dense network and walk the same scales; their points are fit in
turns, by the training that `shrinkage.path` uses. Where nothing has left yet both are the same, and
the dense half is walked once. Seconds are processor time of one thread, over the sparse half of the
points: the larger scales.

    python benchmarks/shrinking.py mnist.npz [--points 14] [--json FILE]
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import torch

import shrinkage as sh
from shrinkage.data import from_user, load
from shrinkage.data.models import resolve
from shrinkage.experiments.fit import Training
from shrinkage.experiments.paths import strengths
from shrinkage.experiments.paths.points import fit_point
from shrinkage.experiments.paths.setting import PathSetting, PointJob, Weights
from shrinkage.experiments.paths.strengths import Grid
from shrinkage.plans import Rules
from shrinkage.runs import PathFitRecord

EPOCHS, BATCH = 6, 128
PENALTIES = {
    "L1": (sh.L1(1.0), 1e-5, 8e-2),
    "log-sum": (sh.LogSum(1.0, epsilon=0.1), 1e-5, 6e-1),
}  # ends as the sweep of a path finds them


def setting(data: Any, penalty: sh.Penalty, grid: Grid) -> PathSetting:
    """As `sh.path("lenet-300-100", data, penalty, seeds=1)`."""
    return PathSetting(
        data=from_user(data), factory=resolve("lenet-300-100"), train=Training(EPOCHS, BATCH),
        seeds=1, epochs=EPOCHS, rules=Rules(penalty), grid=grid, refine=0, point_epochs=0.2,
        most_rounds=2, refit=0.0, solver="train", magnitude=False,
    )  # fmt: skip


def walk(name: str, data: Any, points: int) -> dict[str, Any]:
    """Both chains of one penalty; what each point came to, and its seconds."""
    penalty, low, high = PENALTIES[name]
    small = setting(data, penalty, Grid(points, low, high))
    whole = replace(small, shrink=False)
    for one in (small, whole):
        one.split(0)  # cut and held from now on
    _, weights = fit_point(small, PointJob(0, 0.0))
    starts = [weights["0/0"]] * 2
    rows = []
    for number, scale in enumerate(strengths(points, low, high)):
        is_same = starts[0] is starts[1] and number < points // 2
        row, starts[0] = fitted(small, scale, starts[0])
        if is_same and row["shrunk"] is None:
            other, starts[1] = row, starts[0]
        else:
            other, starts[1] = fitted(whole, scale, starts[1])
        rows.append({"scale": scale, "whole": other, "shrunk": row})
        print(told(rows[-1]), flush=True)
    sparse = rows[points // 2 :]
    seconds = {way: sum(row[way]["seconds"] for row in sparse) for way in ("whole", "shrunk")}
    return {
        "penalty": name,
        "points": rows,
        "seconds": seconds,
        "saving": seconds["whole"] / seconds["shrunk"],
        "score": max(differs(row, key) for row in rows for key in ("score", "refit")),
        "nonzeros": max(
            differs(row, "nonzeros") / max(1, row["whole"]["nonzeros"]) for row in rows
        ),
    }


def fitted(chosen: PathSetting, scale: float, start: Weights) -> tuple[dict[str, Any], Weights]:
    """One point, and the weights that the next one starts from."""
    before = process_time()
    point, weights = fit_point(chosen, PointJob(0, scale, start))
    assert isinstance(point, PathFitRecord)
    assert point.refit is not None
    return {
        "seconds": process_time() - before,
        "nonzeros": point.weights.nonzeros,
        "score": point.validation.score,
        "refit": point.refit.validation.score,
        "shrunk": None if point.shrunk is None else point.shrunk.to_json(),
    }, weights[point.key]


def differs(row: dict[str, Any], key: str) -> float:
    """How far the two ways are apart."""
    return float(abs(row["whole"][key] - row["shrunk"][key]))


def told(row: dict[str, Any]) -> str:
    """One line of both ways."""
    ways = (
        f"{way} {row[way]['seconds']:5.2f} s {row[way]['nonzeros']:7,} weights "
        f"{row[way]['score']:.2%} refit {row[way]['refit']:.2%}"
        for way in ("whole", "shrunk")
    )
    return f"λ × {row['scale']:<8.2g}" + "   ".join(ways)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("--points", type=int, default=14)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load(options.mnist)
    found = [walk(name, data, options.points) for name in PENALTIES]
    for result in found:
        seconds = result["seconds"]
        print(
            f"{result['penalty']}: sparse half {seconds['whole']:.1f} s whole, "
            f"{seconds['shrunk']:.1f} s shrunk, {result['saving']:.1f} times; largest difference "
            f"{100 * result['score']:.2f} points, {result['nonzeros']:.1%} of the weights"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
