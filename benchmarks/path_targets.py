"""LeNets on MNIST at published sparsities: the path, magnitude pruning, and the papers.

Chosen on validation data, last epoch, exact zeros; weights without biases; mean ± sd over seeds.
Magnitude pruning walks down the same numbers of weights, with equally many epochs.

    python benchmarks/path_targets.py mnist.npz lenet-300-100 --nonzeros 3000,2660 [--json FILE]
    python benchmarks/path_targets.py mnist.npz lenet-5 --nonzeros 1500
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter

import torch
from torch import nn

import shrinkage as sh
from shrinkage.data import Spec, load
from shrinkage.data.models import lenet_5, lenet_300_100

PUBLISHED = {
    "lenet-300-100": (
        ("Han et al. 2015", 22_000, 1.59),
        ("DNS 2016", 4_800, 1.99),
        ("Sparse VD 2017", 3_900, 1.92),
        ("RigL+ (last epoch)", 3_070, 1.69),
    ),
    "lenet-5": (
        ("Sparse VD 2017", 1_500, 0.75),
        ("AutoPrune 2019", 1_400, 0.80),
    ),
}


def channels_last(spec: Spec) -> nn.Module:
    """LeNet-5 in the memory layout that convolutions are faster in on CPUs."""
    model: nn.Module = lenet_5(spec).to(memory_format=torch.channels_last)
    return model


MODELS = {"lenet-300-100": lenet_300_100, "lenet-5": channels_last}


def told(errors: list[float]) -> str:
    """Mean ± sd of test errors in percent."""
    sd = f" ± {stdev(errors):.2f}" if len(errors) > 1 else ""
    return f"{fmean(errors):.2f}{sd} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("model", choices=list(PUBLISHED))
    parser.add_argument("--nonzeros", default="3000,2660", help="the most weights, several")
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--from", dest="weakest", type=float, default=5e-5)
    parser.add_argument("--to", dest="strongest", type=float, default=2e-3)
    parser.add_argument("--points", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--point-epochs", type=float, default=4)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--run", type=Path, help="keep the run folder, and go on with it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = sh.path(
            MODELS[options.model],
            load(options.mnist),
            sh.LogSum(1.0, epsilon=options.epsilon),
            run=options.run or Path(folder) / "run",
            points=options.points,
            weakest=options.weakest,
            strongest=options.strongest,
            refine=0,
            seeds=options.seeds,
            epochs=options.epochs,
            point_epochs=options.point_epochs,
            rounds=1,
            lr=options.lr,
            validation=0.1,
            device=options.device,
            jobs=options.jobs,
        )
        tests, results = path.view.of_kind("test"), []
        print(f"{'':28} {'weights':>8}  test error")
        for most in map(int, options.nonzeros.split(",")):
            point = path.choose(nonzeros=most)
            keys = [f"{seed}/{point.scale:.10g}" for seed in range(options.seeds)]
            end = "/refit" if point.family == "refit" else ""
            ours, magnitude = (
                [100 * (1 - tests[key + name]["score"]) for key in keys]
                for name in (end, "/magnitude")
            )
            count = point.row["nonzeros"]
            print(f"{'log-sum path, ' + point.family:28} {count:>8,.0f}  {told(ours)}")
            print(f"{'magnitude pruning':28} {count:>8,.0f}  {told(magnitude)}")
            results.append({"weights": count, "path": ours, "magnitude": magnitude})
        for paper, count, error in PUBLISHED[options.model]:
            print(f"{paper:28} {count:>8,}  {error:.2f} %")
    print(f"{perf_counter() - start:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
