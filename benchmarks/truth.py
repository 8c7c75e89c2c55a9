"""L1 softmax regression, where the truth is known: objective and nonzeros of each way to train.

Digits by default; ``truth.py FILE.npz`` takes x_train and y_train (MNIST: pixels/255, s = 1e-3).
Rivals in the same run: scikit-learn's saga, and the penalty as a term in the loss.
"""

import sys
import warnings
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
    "SGD, momentum 0.9": (lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9), (0.02, 0.05, 0.1)),
    "Adam": (lambda p, lr: torch.optim.Adam(p, lr=lr), (1e-3, 3e-3, 1e-2)),
}


def train(x: Tensor, y: Tensor, make_optimizer, lr: float, method: str, epochs: int) -> tuple:
    torch.manual_seed(0)
    model = nn.Linear(x.shape[1], int(y.max()) + 1)
    nn.init.zeros_(model.weight)
    plan = sh.Plan(model, sh.L1(STRENGTH))
    optimizer = make_optimizer(model.parameters(), lr)
    if method != "loss term":
        sh.attach(optimizer, plan, method=method)
    batches = -(-len(x) // 128)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    start = perf_counter()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            cost = cross_entropy(model(x[rows]), y[rows])
            if method == "loss term":
                cost = cost + plan.penalty()
            cost.backward()
            optimizer.step()
            schedule.step()
    seconds = perf_counter() - start
    with torch.no_grad():
        objective = cross_entropy(model(x), y).item() + plan.value()
    return objective, int(model.weight.count_nonzero()), seconds


def saga(x: Tensor, y: Tensor, passes: int) -> tuple:
    start = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rival = LogisticRegression(
            l1_ratio=1.0, C=1 / (len(x) * STRENGTH), solver="saga", max_iter=passes, tol=1e-6
        ).fit(x.numpy(), y.numpy())
    seconds = perf_counter() - start
    w, b = torch.tensor(rival.coef_).float(), torch.tensor(rival.intercept_).float()
    objective = cross_entropy(x @ w.T + b, y).item() + STRENGTH * w.abs().sum().item()
    return objective, int(w.count_nonzero()), seconds


def main() -> None:
    torch.set_num_threads(1)
    data = load(sys.argv[1] if len(sys.argv) > 1 else "digits")
    x, y = data.x.flatten(1), data.y
    epochs = 10 if len(x) > 10_000 else 200
    rows = [("scikit-learn saga", "–", *saga(x, y, 30 if len(x) > 10_000 else 3000))]
    for label, (make_optimizer, rates) in OPTIMIZERS.items():
        for method in ("loss term", "prox", "averaged"):
            tried = [(train(x, y, make_optimizer, lr, method, epochs), lr) for lr in rates]
            (objective, nonzeros, seconds), lr = min(tried, key=lambda item: item[0][0])
            rows.append((f"{label}, {method}", f"{lr:g}", objective, nonzeros, seconds))
    best = min(row[2] for row in rows)
    print(f"{data.name}: {len(x)} rows, s = {STRENGTH:g}, {epochs} epochs, lr by objective")
    print(f"{'':32}{'lr':>7}{'objective':>12}{'above best':>12}{'nonzeros':>10}{'seconds':>9}")
    for name, lr, objective, nonzeros, seconds in rows:
        above = f"{100 * (objective / best - 1):.3f} %"
        print(f"{name:32}{lr:>7}{objective:12.6f}{above:>12}{nonzeros:10}{seconds:9.1f}")


if __name__ == "__main__":
    main()
