"""From minibatch training to rest on the kinks of ReLU and max-pooling: 200 digits, s = 3e-3.

    python benchmarks/kinks.py [cnn|mlp] [--epochs 400] [--rounds 600]

The kink-aware gap (50 gradients within 1e-3 of the weights' size) before and after `polish`, with
objective and weights; biases are penalised too, float64, one thread.
"""

import argparse
from time import perf_counter

import torch

import shrinkage as sh
from shrinkage.analysis.certificates import Certificate
from shrinkage.analysis.polish import Round
from shrinkage.data import load, split
from shrinkage.data.models import cnn, mlp
from shrinkage.experiments.fit import Training, fit


def told(what: str, found: Certificate, start: float) -> None:
    print(
        f"{what:8} kink-aware gap {found.kink_gap:.3f}  plain {found.gap:.2f}  objective "
        f"{found.objective:.4f}  weights {found.nonzeros:,}  {perf_counter() - start:.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", default="cnn", choices=("cnn", "mlp"))
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--strength", type=float, default=3e-3)
    parser.add_argument("--tol", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    data = load("digits")
    train = split(data, options.seed, train_size=200).train
    model = {"cnn": cnn, "mlp": mlp}[options.network](data.spec)
    plan, start = sh.Plan(model, sh.L1(options.strength), biases=True), perf_counter()
    training = Training(options.epochs, 32)
    for _ in fit(
        plan, training, {"train": train}, epochs=options.epochs, seed=options.seed, looks=1
    ):
        pass
    model.double()
    rows = (train.x.double(), train.y)
    told("trained", sh.certify(model, plan, rows, samples=50), start)

    def show(at: Round) -> None:
        if at.number % 50 == 0:
            print(f"  round {at.number}: objective {at.objective:.4f}", flush=True)

    found = sh.polish(
        model, plan, rows, tol=options.tol, rounds=options.rounds, samples=50, progress=show
    )
    told("polished", found, start)
    print("\n".join(found.notes))


if __name__ == "__main__":
    main()
