"""L1 softmax regression, where the truth is known: objective and support of each way to train.

Digits by default; ``truth.py FILE.npz [OUT.json]`` takes x_train and y_train (MNIST: pixels/255,
s = 1e-3). Learning rates are chosen on the training objective. Rivals in the same run:
scikit-learn's saga, and the penalty as a term in the loss. The truth is the polished network.
"""

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import shrinkage as sh
from shrinkage.data import load

STRENGTH = 1e-3
OPTIMIZERS = {
    "SGD, momentum 0.9": (
        lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
        (0.05, 0.1, 0.2, 0.4),
    ),
    "Adam": (lambda p, lr: torch.optim.Adam(p, lr=lr), (3e-3, 1e-2, 3e-2, 1e-1)),
}
METHODS = ("subgradient", "prox", "averaged")


class Row(dict):
    """One line of the table, and of the JSON file."""

    def __init__(self, name: str, lr: float | None, model: nn.Linear, x: Tensor, y: Tensor) -> None:
        plan = sh.Plan(model, sh.L1(STRENGTH))
        found = sh.certify(model, plan, (x, y))
        self.support = model.weight.detach() != 0
        super().__init__(
            name=name,
            lr=lr,
            objective=found.objective,
            gap=found.gap,
            nonzeros=found.nonzeros,
        )

    def compare(self, best: "Row") -> None:
        both = int((self.support & best.support).sum())
        self["above"] = self["objective"] / best["objective"] - 1
        self["precision"] = both / max(1, int(self.support.sum()))
        self["recall"] = both / max(1, int(best.support.sum()))


def fresh(x: Tensor, y: Tensor) -> nn.Linear:
    torch.manual_seed(0)
    model = nn.Linear(x.shape[1], int(y.max()) + 1)
    nn.init.zeros_(model.weight)
    return model


def train(x: Tensor, y: Tensor, make_optimizer, lr: float, method: str, epochs: int) -> nn.Linear:
    model = fresh(x, y)
    optimizer = make_optimizer(model.parameters(), lr)
    handle = sh.attach(optimizer, sh.Plan(model, sh.L1(STRENGTH)), method=method)
    batches = -(-len(x) // 128)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    handle.remove()
    return model


def saga(x: Tensor, y: Tensor, passes: int) -> nn.Linear:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rival = LogisticRegression(
            l1_ratio=1.0, C=1 / (len(x) * STRENGTH), solver="saga", max_iter=passes, tol=1e-6
        ).fit(x.numpy(), y.numpy())
    model = fresh(x, y)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(rival.coef_))
        model.bias.copy_(torch.from_numpy(rival.intercept_))
    return model


def rows(x: Tensor, y: Tensor, epochs: int) -> Iterator[Row]:
    trained: dict[str, nn.Linear] = {}
    for label, (make_optimizer, rates) in OPTIMIZERS.items():
        for method in METHODS:
            tried = []
            for lr in rates:
                start = perf_counter()
                model = train(x, y, make_optimizer, lr, method, epochs)
                seconds = perf_counter() - start
                row = Row(f"{label}, {method}", lr, model, x, y)
                tried.append((row["objective"], {**row, "seconds": seconds}, row, model))
            _, figures, row, model = min(tried, key=lambda item: item[0])
            row.update(figures)
            trained[row["name"]] = model
            yield row
    for label in OPTIMIZERS:
        model = trained[f"{label}, averaged"]
        start = perf_counter()
        sh.polish(model, sh.Plan(model, sh.L1(STRENGTH)), (x, y), tol=1e-3)
        seconds = perf_counter() - start
        row = Row(f"{label}, averaged + polish", None, model, x, y)
        row["seconds"] = seconds
        yield row
    start = perf_counter()
    model = saga(x, y, 30 if len(x) > 10_000 else 3000)
    seconds = perf_counter() - start
    row = Row("scikit-learn saga", None, model, x, y)
    row["seconds"] = seconds
    yield row


def main() -> None:
    torch.set_num_threads(1)
    data = load(sys.argv[1] if len(sys.argv) > 1 else "digits")
    x, y = data.x.flatten(1).contiguous(), data.y
    epochs = 10 if len(x) > 10_000 else 200
    found = list(rows(x, y, epochs))
    best = min(
        (row for row in found if row["name"].endswith("polish")), key=lambda row: row["objective"]
    )
    print(f"{data.name}: {len(x)} rows, s = {STRENGTH:g}, {epochs} epochs, lr by objective")
    heads = ("lr", "objective", "above", "nonzeros", "precision", "recall", "gap", "seconds")
    print(f"{'':36}" + "".join(f"{head:>11}" for head in heads))
    for row in found:
        row.compare(best)
        lr = "–" if row["lr"] is None else f"{row['lr']:g}"
        print(
            f"{row['name']:36}{lr:>11}{row['objective']:11.6f}{100 * row['above']:10.3f}%"
            f"{row['nonzeros']:11}{row['precision']:11.3f}{row['recall']:11.3f}"
            f"{row['gap']:11.2g}{row['seconds']:11.1f}"
        )
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
