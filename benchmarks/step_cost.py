"""What a penalty adds to a training step: interleaved steps of one process.

``step_cost.py [--json OUT.json]``: batches of 128, one thread and its processor time, so that other
processes disturb little; ratios of medians and of means, 1.00 is the step without a penalty. In the
mean is every tenth step, which computes anew what is held. All is pooled over rounds with new
networks: where their tensors come to lie alone moves a ratio by up to 0.03 either way.

Inputs are random and labels are a linear function's, another batch at every step: on one batch of
random labels over and over, L1 empties the network.

Rivals: the line that people write by hand, ``loss + lam * sum(p.abs().sum() for p in
model.parameters())``, and torchao's PAT where it is installed. The last figure is memory that
stays between steps, in bytes per parameter, beyond the network's and the optimizer's own.
"""

import argparse
import json
from itertools import cycle, pairwise
from pathlib import Path
from statistics import fmean, median
from time import thread_time

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import shrinkage as sh
from shrinkage.data import Spec
from shrinkage.data.models import lenet_300_100

try:
    from torchao.prototype.pat import PruneOptimizer
except ImportError:
    PruneOptimizer = None

STRENGTH = 1e-4
TURN = 7
"""Steps of one network in a row; the first is not counted, since it finds another's in cache.

Prime to the ten steps for which things are held, so that no kind of step is left out.
"""
OPTIMIZERS = {
    "SGD, momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam, fused": lambda p: torch.optim.Adam(p, fused=True),
}
PAT = {"PAT L1": ("ProxLasso", "ElemGrouper"), "PAT group L1": ("ProxGroupLasso", "Dim0Grouper")}
OURS = ("L1 prox", "L1 averaged", "group L1 prox", "group L1 averaged")
WAYS = ("none", "by hand", *OURS, *(PAT if PruneOptimizer else ()))


def mlp() -> nn.Module:
    """9.6 million parameters."""
    sizes = (784, 2400, 2400, 800, 10)
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]


NETWORKS = {"LeNet-300-100": (lambda: lenet_300_100(Spec(784, (784,), 10)), 600), "MLP": (mlp, 60)}
ROUNDS = {"LeNet-300-100": 5, "MLP": 1}
BATCHES = 128
"""Of different rows; all of them are 51 MB, more than caches hold."""


class Way:
    """One network with its optimizer and its way of applying the penalty."""

    def __init__(self, name: str, make_network, make_optimizer) -> None:
        torch.manual_seed(0)
        self.by_hand = name == "by hand"
        self.model, self.handle = make_network(), None
        parameters = list(self.model.parameters())
        if name in PAT:
            prox, grouper = PAT[name]
            rule = {"prox_type": prox, "group_type": grouper, "reg_lambda": STRENGTH}
            weights = [p for p in parameters if p.ndim > 1]
            rest = [p for p in parameters if p.ndim < 2]
            base = make_optimizer([{"params": weights, **rule}, {"params": rest}])
            self.optimizer = PruneOptimizer(base)
        else:
            self.optimizer = make_optimizer(parameters)
        if name in OURS:
            penalty = sh.L1(STRENGTH) if name.startswith("L1") else sh.GroupL1(STRENGTH)
            plan = sh.Plan(self.model, penalty)
            self.handle = sh.attach(self.optimizer, plan, method=name.split()[-1])

    def step(self, x: torch.Tensor, y: torch.Tensor) -> float:
        start = thread_time()
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(x), y)
        if self.by_hand:
            loss = loss + STRENGTH * sum(p.abs().sum() for p in self.model.parameters())
        loss.backward()
        self.optimizer.step()
        return thread_time() - start

    def bytes(self) -> int:
        """What optimizer and handle keep between steps."""
        kept = list(self.optimizer.state.values())
        if self.handle is not None:
            kept += self.handle.state_dict()["blocks"].values()
        tensors = (value for state in kept for value in state.values())
        return sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))


def learnable(generator: torch.Generator) -> list[tuple[torch.Tensor, torch.Tensor]]:
    x = torch.rand(BATCHES * 128, 784, generator=generator)
    y = ((x - 0.5) @ torch.randn(784, 10, generator=generator)).argmax(dim=1)
    return list(zip(x.split(128), y.split(128), strict=True))


def timed(ways: dict[str, Way], batches, steps: int) -> dict[str, list[float]]:
    """Seconds of each way's steps, once a third of them have passed."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    feeds = {name: cycle(batches) for name in ways}
    for _ in range(steps // TURN):
        for name, way in ways.items():
            turn = [way.step(*next(feeds[name])) for _ in range(TURN)]
            times[name] += turn[1:]
    return {name: found[len(found) // 3 :] for name, found in times.items()}


def rows(batches):
    for network, (make_network, steps) in NETWORKS.items():
        for optimizer, make_optimizer in OPTIMIZERS.items():
            settled: dict[str, list[float]] = {name: [] for name in WAYS}
            each: dict[str, list[float]] = {name: [] for name in WAYS}
            for _ in range(ROUNDS[network]):
                ways = {name: Way(name, make_network, make_optimizer) for name in WAYS}
                found = timed(ways, batches, steps)
                for name in WAYS:
                    settled[name] += found[name]
                    each[name].append(median(found[name]) / median(found["none"]))
            medians = {name: median(settled[name]) for name in WAYS}
            plain = ways["none"]
            size = sum(p.numel() for p in plain.model.parameters())
            for name, way in ways.items():
                yield {
                    "network": network,
                    "parameters": size,
                    "optimizer": optimizer,
                    "way": name,
                    "milliseconds": 1e3 * medians[name],
                    "ratio": medians[name] / medians["none"],
                    "ratio_of_means": fmean(settled[name]) / fmean(settled["none"]),
                    "ratios_of_rounds": each[name],
                    "bytes_per_parameter": (way.bytes() - plain.bytes()) / size,
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    found = []
    for row in rows(learnable(generator)):
        if row["way"] == "none":
            size, time = row["parameters"], row["milliseconds"]
            print(f"{row['network']}, {size:,} parameters, {row['optimizer']}: {time:.2f} ms")
        figures = f"{row['ratio']:6.2f}{row['ratio_of_means']:6.2f}"
        rounds = ", ".join(f"{ratio:.2f}" for ratio in sorted(row["ratios_of_rounds"]))
        memory = f"{row['bytes_per_parameter']:8.1f} B"
        print(f"  {row['way']:20}{figures}{memory}   rounds: {rounds}", flush=True)
        found.append(row)
    if PruneOptimizer is None:
        print("torchao's PAT was left out: pip install --no-deps torchao")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
