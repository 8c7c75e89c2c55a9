"""What a penalty adds to a training step: interleaved steps of one process, ratios of medians.

LeNet-300-100, batches of 128. 1.00 is the step without a penalty. The rival is the line that
people write by hand: ``loss + lam * sum(p.abs().sum() for p in model.parameters())``.
"""

from statistics import median
from time import perf_counter

import torch
from torch.nn.functional import cross_entropy

import shrinkage as sh
from shrinkage.data import Spec
from shrinkage.models import lenet_300_100

STEPS = 300
STRENGTH = 1e-4
OPTIMIZERS = {
    "SGD, momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam, fused": lambda p: torch.optim.Adam(p, fused=True),
}
WAYS = ("none", "by hand", "L1 prox", "L1 averaged", "group L1 prox", "group L1 averaged")


class Way:
    """One network with its optimizer and its way of applying the penalty."""

    def __init__(self, name: str, make_optimizer) -> None:
        torch.manual_seed(0)
        self.by_hand = name == "by hand"
        self.model = lenet_300_100(Spec(784, (784,), 10))
        self.optimizer = make_optimizer(self.model.parameters())
        if name.startswith(("L1", "group")):
            penalty = sh.L1(STRENGTH) if name.startswith("L1") else sh.GroupL1(STRENGTH)
            plan = sh.Plan(self.model, penalty)
            self.handle = sh.attach(self.optimizer, plan, method=name.split()[-1])

    def step(self, x: torch.Tensor, y: torch.Tensor) -> float:
        start = perf_counter()
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(x), y)
        if self.by_hand:
            loss = loss + STRENGTH * sum(p.abs().sum() for p in self.model.parameters())
        loss.backward()
        self.optimizer.step()
        return perf_counter() - start


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(128, 784, generator=generator)
    y = torch.randint(10, (128,), generator=generator)
    for label, make_optimizer in OPTIMIZERS.items():
        ways = {name: Way(name, make_optimizer) for name in WAYS}
        times: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(STEPS):
            for name, way in ways.items():
                times[name].append(way.step(x, y))
        base = median(times["none"])
        print(f"{label}: {1e3 * base:.2f} ms a step without a penalty")
        for name in WAYS:
            print(f"  {name:20} {median(times[name]) / base:5.2f}")


if __name__ == "__main__":
    main()
