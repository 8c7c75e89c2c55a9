"""L1 softmax regression, where the truth is known: objective and support of each way to train.

Digits by default; ``truth.py FILE.npz [OUT.json]`` takes x_train and y_train (MNIST: pixels/255,
s = 1e-3). Learning rates are chosen on the training objective of the first seed. Beside the
candidates: scikit-learn's saga. The truth is an averaged network, polished. The JSON file holds
every trial.
"""

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import torch
from candidates import FACTORS, SVRG_COST, WAYS, averaged, loss_term
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import nn
from training import OPTIMIZERS, Row, Task, compare, summary, table, train, write

import shrinkage as sh
from shrinkage.data import Data, load

STRENGTH, SEEDS = 1e-3, 2
RATES = {"SGD": (0.1, 0.2, 0.4, 0.8), "Adam": (3e-3, 1e-2, 3e-2)}
FACTOR_RATES = {"SGD": (0.4, 0.8, 1.6, 3.2), "Adam": RATES["Adam"]}
COLUMNS = {
    "lr": "g",
    "objective": ".6f",
    "above": ".3%",
    "nonzeros": ".0f",
    "× truth": ".2f",
    "precision": ".3f",
    "recall": ".3f",
    "gap": ".2g",
    "seconds": ".1f",
}


def softmax_regression(data: Data) -> Task:
    x = data.x.flatten(1).contiguous()

    def make_model() -> nn.Linear:
        model = nn.Linear(x.shape[1], data.spec.n_outputs)
        nn.init.zeros_(model.weight)
        return model

    return Task(make_model, x, data.y, STRENGTH, epochs=10 if len(x) > 10_000 else 200)


def against(task: Task, truth: nn.Module) -> Callable[[nn.Module], dict[str, float]]:
    """What is measured on a network, given the true one."""
    data = task.x, task.y
    optimum = sh.certify(truth, task.plan(truth), data).objective
    support = truth.weight != 0

    def measure(model: nn.Module) -> dict[str, float]:
        found = sh.certify(model, task.plan(model), data)
        alive = model.weight != 0
        both = int((alive & support).sum())
        return {
            "objective": found.objective,
            "above": found.objective / optimum - 1,
            "nonzeros": found.nonzeros,
            "× truth": found.nonzeros / int(support.sum()),
            "precision": both / max(1, int(alive.sum())),
            "recall": both / int(support.sum()),
            "gap": found.gap,
        }

    return measure


def polished(task: Task, optimizer: str = "SGD", lr: float = 0.4) -> nn.Module:
    """The minimiser: dual averaging, then proximal Newton on all data."""
    model = train(task, averaged, OPTIMIZERS[optimizer], lr=lr)
    sh.polish(model, task.plan(model), (task.x, task.y), tol=1e-3)
    return model


def saga(task: Task) -> nn.Module:
    x, y = task.x, task.y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rival = LogisticRegression(
            l1_ratio=1.0,
            C=1 / (len(x) * STRENGTH),
            solver="saga",
            max_iter=30 if len(x) > 10_000 else 3000,
            tol=1e-6,
        ).fit(x.numpy(), y.numpy())
    model = task.make_model()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(rival.coef_))
        model.bias.copy_(torch.from_numpy(rival.intercept_))
    return model


def timed(make: Callable[[Task], nn.Module], task: Task) -> tuple[nn.Module, float]:
    start = perf_counter()
    return make(task), perf_counter() - start


def main() -> None:
    data = load(sys.argv[1] if len(sys.argv) > 1 else "digits")
    task = softmax_regression(data)
    truth, to_truth = timed(polished, task)
    other, to_other = timed(lambda task: polished(task, "Adam", 0.03), task)
    measure = against(task, truth)
    rival, to_rival = timed(saga, task)
    found = {
        "SGD": ("averaged, then polish", truth, to_truth),
        "Adam": ("averaged, then polish", other, to_other),
        "–": ("scikit-learn saga", rival, to_rival),
    }
    known: list[Row] = [
        {"optimizer": optimizer, "way": way, **measure(model), "seconds": seconds}
        for optimizer, (way, model, seconds) in found.items()
    ]
    print(f"{data.name}: {len(task.x)} rows, s = {STRENGTH:g}, {task.epochs} epochs, {SEEDS} seeds")
    print(table(known, COLUMNS))
    print(f"saga over training and polish: {to_rival / to_truth:.1f}, {to_rival / to_other:.1f}")
    longer = replace(task, epochs=round(SVRG_COST * task.epochs))
    trials = [
        *compare(task, {"loss term": loss_term, **WAYS}, RATES, measure, SEEDS),
        *compare(task, FACTORS, FACTOR_RATES, measure, SEEDS),
        *compare(longer, {"averaged, as long as SVRG": averaged}, RATES, measure, SEEDS),
    ]
    print(table(summary(trials), COLUMNS))
    if len(sys.argv) > 2:
        write(sys.argv[2], [*known, *(trial.row for trial in trials)])


if __name__ == "__main__":
    main()
