"""How many weights minibatch noise keeps awake: LeNet-300-100 on MNIST, L1 s = 3e-4, 10 epochs.

``support.py FILE.npz``: batches of 128, cosine decay, one seed; every way at several learning
rates. Objective on the training data, test accuracy of the last epoch, weights that are not 0.
"""

import sys
from time import perf_counter

import torch
from torch.nn.functional import cross_entropy

import shrinkage as sh
from shrinkage.data import Data, Examples, load
from shrinkage.models import lenet_300_100

STRENGTH, EPOCHS = 3e-4, 10
OPTIMIZERS = {
    "SGD, momentum 0.9": (lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9), (0.05, 0.1, 0.2)),
    "Adam": (lambda p, lr: torch.optim.Adam(p, lr=lr), (1e-3, 3e-3, 1e-2, 2e-2)),
}


def train(data: Data, make_optimizer, lr: float, method: str) -> tuple[float, float, int]:
    torch.manual_seed(0)
    x, y = data.x, data.y
    model = lenet_300_100(data.spec)
    plan = sh.Plan(model, sh.L1(STRENGTH))
    optimizer = make_optimizer(model.parameters(), lr)
    handle = sh.attach(optimizer, plan, method=method)
    steps = EPOCHS * -(-len(x) // 128)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    handle.remove()
    found = sh.measure(model, plan, {"train": Examples(x, y), "test": data.test})
    objective = found.parts["train"].loss + found.penalty
    return objective, found.parts["test"].score, found.weights.total.nonzeros


def main() -> None:
    torch.set_num_threads(1)
    data = load(sys.argv[1])
    print(f"{'':28}{'lr':>8}{'objective':>12}{'test':>10}{'nonzeros':>10}{'seconds':>9}")
    for label, (make_optimizer, rates) in OPTIMIZERS.items():
        for method in ("prox", "averaged"):
            for lr in rates:
                start = perf_counter()
                objective, accuracy, nonzeros = train(data, make_optimizer, lr, method)
                seconds = perf_counter() - start
                print(
                    f"{label + ', ' + method:28}{lr:8g}{objective:12.4f}{100 * accuracy:9.2f}%"
                    f"{nonzeros:10,}{seconds:9.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
