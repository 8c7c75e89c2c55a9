"""The training that the benchmarks share: one loop, in which only the way to zeros differs.

Batches of 128, cosine decay. A *way* is a context manager around the loop: it sees the
:class:`Run`, hooks into its optimizer, and leaves the finished weights in the network.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from statistics import fmean
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

import shrinkage as sh

BATCH = 128
OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "SGD": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "Adam": lambda p, lr: torch.optim.Adam(p, lr=lr),
}
Row = dict[str, float | str]


@dataclass(frozen=True)
class Task:
    """Minimise the mean cross-entropy of (x, y) + strength·Σ|w|."""

    make_model: Callable[[], nn.Module]
    x: Tensor
    y: Tensor
    strength: float
    epochs: int

    @property
    def penalty(self) -> sh.L1:
        return sh.L1(self.strength)

    @property
    def batches(self) -> int:
        return -(-len(self.x) // BATCH)

    def plan(self, model: nn.Module) -> sh.Plan:
        return sh.Plan(model, self.penalty)

    def loss(self, model: nn.Module, rows: Tensor | slice) -> Tensor:
        return cross_entropy(model(self.x[rows]), self.y[rows])


class Run:
    """One training: the network, its optimizer, the epoch and the rows of the current batch."""

    def __init__(self, task: Task, make_optimizer: Callable[..., Optimizer], lr: float) -> None:
        self.task, self.lr, self._make_optimizer = task, lr, make_optimizer
        self.model = task.make_model()
        self.plan = task.plan(self.model)
        self.epoch, self.rows = 0, torch.arange(0)

    @cached_property
    def optimizer(self) -> Optimizer:
        """Over the parameters that the network has when this is first asked for."""
        return self._make_optimizer(self.model.parameters(), self.lr)

    @property
    def weights(self) -> list[Tensor]:
        """The penalised parameters."""
        return [parameter for _, _, parameter in self.plan.blocks()]


Way = Callable[[Run], AbstractContextManager[None]]


def train(
    task: Task, way: Way, make_optimizer: Callable[..., Optimizer], lr: float, seed: int = 0
) -> nn.Module:
    torch.manual_seed(seed)
    run = Run(task, make_optimizer, lr)
    with way(run):
        steps = task.epochs * task.batches
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(run.optimizer, steps)
        for run.epoch in range(task.epochs):
            for run.rows in torch.randperm(len(task.x)).split(BATCH):
                run.optimizer.zero_grad()
                task.loss(run.model, run.rows).backward()
                run.optimizer.step()
                schedule.step()
    return run.model


@dataclass(frozen=True)
class Trial:
    """A finished training, and what was measured on it: the objective, among others."""

    optimizer: str
    way: str
    lr: float
    seed: int
    figures: Mapping[str, float]

    @property
    def row(self) -> Row:
        return {
            "optimizer": self.optimizer,
            "way": self.way,
            "lr": self.lr,
            "seed": self.seed,
            **self.figures,
        }


def compare(
    task: Task,
    ways: Mapping[str, Way],
    rates: Mapping[str, Sequence[float]],
    measure: Callable[[nn.Module], Mapping[str, float]],
    seeds: int = 1,
) -> Iterator[Trial]:
    """Every way under every optimizer at every learning rate; further seeds at the best rate."""

    def trial(optimizer: str, way: str, lr: float, seed: int) -> Trial:
        start = perf_counter()
        model = train(task, ways[way], OPTIMIZERS[optimizer], lr, seed)
        seconds = perf_counter() - start
        figures = measure(model) if is_finite(model) else {"objective": inf}
        found = Trial(optimizer, way, lr, seed, {**figures, "seconds": seconds})
        print(*found.row.values(), sep="  ", file=sys.stderr, flush=True)
        return found

    for optimizer, tried in rates.items():
        for way in ways:
            first = [trial(optimizer, way, lr, 0) for lr in tried]
            yield from first
            for seed in range(1, seeds):
                yield trial(optimizer, way, best(first).lr, seed)


def is_finite(model: nn.Module) -> bool:
    return all(bool(p.isfinite().all()) for p in model.parameters())


def best(trials: Iterable[Trial]) -> Trial:
    """The lowest objective on the training data; that of a training that diverged is infinite."""
    return min(trials, key=lambda trial: trial.figures["objective"])


def summary(trials: Iterable[Trial]) -> list[Row]:
    """Of each way under each optimizer its best learning rate, and the means over the seeds."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.optimizer, trial.way), []).append(trial)
    return [_means(group) for group in groups.values()]


def _means(group: list[Trial]) -> Row:
    chosen = best(trial for trial in group if trial.seed == 0)
    seeds = [trial.figures for trial in group if trial.lr == chosen.lr]
    means = {key: fmean(figures[key] for figures in seeds) for key in chosen.figures}
    return {**chosen.row, **means, "seeds": len(seeds)}


def table(rows: Iterable[Row], columns: Mapping[str, str]) -> str:
    """A line per row; ``columns`` are its keys with their formats."""
    lines = [("optimizer", *columns, "way"), *(tuple(_cells(row, columns)) for row in rows)]
    return "\n".join(
        "".join(f"{cell:>12}" for cell in line[:-1]) + f"  {line[-1]}" for line in lines
    )


def _cells(row: Row, columns: Mapping[str, str]) -> Iterator[str]:
    yield str(row["optimizer"])
    for key, form in columns.items():
        yield f"{row[key]:{form}}" if key in row else "–"
    yield str(row["way"])


def write(path: str, rows: Iterable[Row]) -> None:
    Path(path).write_text(json.dumps(list(rows), indent=1), encoding="utf-8")
