"""The cost of a whole path beside independent trainings: a 784-20-20-10 MLP on MNIST, 44 points.

Amakor et al. (2023) report 3.5 times. The independent trainings get the smallest budget that comes
within 0.3 points of their own converged validation accuracy, the mean over five strengths; then
all 44 are trained with it. The path is `shrinkage.path` with the same learning rate, and its refit.
Accuracies are compared as means over seeds. One thread, processor time.

    python benchmarks/path_cost.py mnist.npz [--seeds 3] [--every 3] [--lr 0.05] [--json FILE]
"""

import argparse
import json
import tempfile
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import nn

import shrinkage as sh
from shrinkage.analysis.measures import evaluate
from shrinkage.data import Spec, load
from shrinkage.experiments.fit import Training, fit
from shrinkage.experiments.studies import quiet_plan

POINTS, BATCH, VALIDATION = 44, 128, 0.1
BUDGETS = (1, 2, 4, 8, 16, 32)  # epochs; the last one counts as converged
WITHIN = 0.003


def mlp(spec: Spec) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(spec.n_inputs, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU()),
        nn.Linear(20, spec.n_outputs),
    )


def alone(
    path: sh.RegularizationPath, scale: float, epochs: int, lr: float, seed: int = 0
) -> dict[str, float]:
    """One independent training at one strength."""
    start = process_time()
    model = path.setting.build(seed)
    plan = quiet_plan(model, sh.Rules(sh.L1(scale)))
    split = path.setting.split(seed)
    parts = {"train": split.train, "validation": split.validation}
    training = Training(epochs, BATCH, "sgd", lr)
    last = list(fit(plan, training, parts, epochs=epochs, seed=seed, looks=1))[-1]
    return {
        "scale": scale,
        "nonzeros": last.nonzeros,
        "validation": last.parts["validation"].score,
        "seconds": process_time() - start,
        "test": evaluate(model, split.test).score,
    }


def smallest_budget(path: sh.RegularizationPath, scales: list[float], lr: float) -> int:
    """The smallest budget whose mean accuracy is within 0.3 points of the largest one's."""
    few = [scales[k] for k in np.linspace(0, len(scales) - 8, 5).astype(int)]
    means = {e: np.mean([alone(path, s, e, lr)["validation"] for s in few]) for e in BUDGETS}
    for epochs, mean in means.items():
        print(f"  {epochs:>2} epochs: mean validation accuracy {mean:.4f}", flush=True)
    return next(e for e in BUDGETS if means[e] >= means[BUDGETS[-1]] - WITHIN)


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Of one strength, over seeds."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def interpolated(rows: list[dict[str, float]], nonzeros: float) -> float:
    """The path's accuracy at a number of nonzeros, between its points on a log axis."""
    rows = sorted((row for row in rows if row["nonzeros"] > 0), key=lambda row: row["nonzeros"])
    counts = np.log([row["nonzeros"] for row in rows])
    return float(np.interp(np.log(nonzeros), counts, [row["test"] for row in rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("--dense-epochs", type=int, default=32)
    parser.add_argument("--point-epochs", type=float, default=1.2)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="the budget, where it is known")
    parser.add_argument("--every", type=int, default=1, help="train only every so manieth alone")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        start = process_time()
        path = sh.path(
            mlp,
            load(options.mnist),
            sh.L1(1.0),
            run=Path(folder) / "run",
            points=POINTS,
            refine=0,
            seeds=options.seeds,
            rounds=1,
            epochs=options.dense_epochs,
            point_epochs=options.point_epochs,
            magnitude=False,
            batch_size=BATCH,
            lr=options.lr,
            validation=VALIDATION,
            jobs=1,
        )
        seconds = process_time() - start
        frame = path.frame()
        rows = [
            {"nonzeros": row["nonzeros"], "test": row["test_score"]}
            for row in frame.filter(frame["fit"] == "refit").to_dicts()
        ]
        scales = sorted(path.view.decisions["scales"])
        budget = options.epochs or smallest_budget(path, scales, options.lr)
        few = scales[:: options.every]
        print(f"independent trainings of {budget} epochs, {len(few)} of {POINTS}:", flush=True)
        others = [
            mean([alone(path, scale, budget, options.lr, seed) for seed in range(options.seeds)])
            for scale in few
        ]
    print(f"{'λ':>9} {'nonzeros':>9} {'alone':>8} {'path':>8} {'path − alone':>13}")
    worst = 1.0
    least = min(row["nonzeros"] for row in rows if row["nonzeros"])
    for other in others:
        if other["nonzeros"] < least:
            continue
        ours = interpolated(rows, other["nonzeros"])
        other["path"] = ours
        worst = min(worst, ours - other["test"])
        print(
            f"{other['scale']:>9.2g} {other['nonzeros']:>9,.0f} {other['test']:>8.2%} {ours:>8.2%} "
            f"{100 * (ours - other['test']):>+12.2f}p"
        )
    total = sum(other["seconds"] for other in others) * options.seeds * len(scales) / len(others)
    print(f"path: {seconds:.0f} s; independent: {total:.0f} s; {total / seconds:.1f} × cheaper")
    print(f"worst difference at equal nonzeros: {100 * worst:+.2f} points (at least −0.30 asked)")
    if options.json:
        result = {"path": rows, "seconds": seconds, "alone": others, "epochs": budget}
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
