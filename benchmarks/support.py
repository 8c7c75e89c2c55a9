"""How many weights minibatch noise keeps awake: LeNet-300-100 on MNIST, L1 s = 3e-4, 10 epochs.

``support.py FILE.npz [OUT.json]``: every way at its best of several learning rates, one seed.
Objective on the training data, test accuracy of the last epoch, weights that are not 0, and ratios
to ``averaged`` under the same optimizer. Then deep factorization, whose penalty is another one:
accuracy against weights at several strengths. The JSON file holds every trial.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from candidates import DEEP, FACTORS, SVRG_COST, WAYS, averaged
from torch import nn
from training import Row, Task, Trial, compare, summary, table, write

import shrinkage as sh
from shrinkage.data import Data, Examples, load
from shrinkage.data.models import lenet_300_100

RATES = {"SGD": (0.2, 0.4), "Adam": (1e-2, 2e-2)}
FACTOR_RATES = {"SGD": (0.4, 0.8), "Adam": (5e-3, 1e-2, 2e-2)}
FRONT = (({"averaged": averaged}, (1e-4, 3e-4, 1e-3), 2e-2), (DEEP, (3e-5, 1e-4), 1e-2))
COLUMNS = {
    "lr": "g",
    "objective": ".4f",
    "× objective": ".3f",
    "test": ".2%",
    "nonzeros": ",.0f",
    "× nonzeros": ".2f",
    "seconds": ".1f",
}
FRONT_COLUMNS = {"strength": "g", "lr": "g", "loss": ".4f", "test": ".2%", "nonzeros": ",.0f"}


def lenet(data: Data) -> Task:
    return Task(lambda: lenet_300_100(data.spec), data.x, data.y, strength=3e-4, epochs=10)


def measuring(task: Task, data: Data) -> Callable[[nn.Module], dict[str, float]]:
    parts = {"train": Examples(task.x, task.y), "test": data.test}

    def measure(model: nn.Module) -> dict[str, float]:
        found = sh.measure(model, task.plan(model), parts)
        return {
            "strength": task.strength,
            "loss": found.parts["train"].loss,
            "objective": found.parts["train"].loss + found.penalty,
            "test": found.parts["test"].score,
            "nonzeros": found.weights.total.nonzeros,
        }

    return measure


def with_ratios(rows: list[Row]) -> list[Row]:
    base = {row["optimizer"]: row for row in rows if row["way"] == "averaged"}

    def ratio(row: Row, key: str) -> float:
        return row[key] / base[row["optimizer"]][key]

    return [row | {f"× {k}": ratio(row, k) for k in ("objective", "nonzeros")} for row in rows]


def front(task: Task, data: Data) -> Iterator[Trial]:
    for ways, strengths, lr in FRONT:
        for strength in strengths:
            other = replace(task, strength=strength)
            yield from compare(other, ways, {"Adam": (lr,)}, measuring(other, data))


def main() -> None:
    torch.set_num_threads(1)
    data = load(sys.argv[1])
    task = lenet(data)
    measure = measuring(task, data)
    longer = replace(task, epochs=round(SVRG_COST * task.epochs))
    trials = [
        *compare(task, WAYS, RATES, measure),
        *compare(task, FACTORS, FACTOR_RATES, measure),
        *compare(longer, {"averaged, as long as SVRG": averaged}, RATES, measure),
    ]
    print(table(with_ratios(summary(trials)), COLUMNS))
    others = [*front(task, data)]
    print(table((trial.row for trial in others), FRONT_COLUMNS))
    if len(sys.argv) > 2:
        write(sys.argv[2], (trial.row for trial in [*trials, *others]))


if __name__ == "__main__":
    main()
