"""λ raised over the first steps, beside λ constant: cost at the full λ, weights, held-out score.

``warmup.py [SEEDS] [OUT.json]``: the same networks, batches and steps under the loss term and
exact L1, λ constant, or raised over 30 % of the steps. No polish. ``living``: cells in which some
way of training ends below the cost of the network without weights.
"""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from pathlib import Path
from statistics import median

import torch
from sklearn.datasets import load_digits, make_friedman1
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

import shrinkage as sh

STEPS, BATCH, SHARE = 600, 64, 0.3
WAYS = ("term", "term raised", "exact", "exact raised")
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    name: str
    make: Callable[[], nn.Module]
    data: Callable[[], tuple[Tensor, Tensor]]
    loss: Loss
    strengths: tuple[float, ...]


@dataclass(frozen=True)
class Cell:
    task: str
    optimizer: str
    strength: float
    seed: int
    way: str
    cost: float
    nonzeros: int
    score: float
    """Accuracy, or R², on held-out rows."""
    empty: float
    """The cost without weights: the best constant's loss."""


class Rows(nn.Module):
    """A transformer that reads a digit as eight rows."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 24)
        self.place = nn.Parameter(0.1 * torch.randn(8, 24))
        layer = nn.TransformerEncoderLayer(24, 4, 48, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x.view(-1, 8, 8)) + self.place).mean(1))


def digits() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16).float(), torch.tensor(y)


def friedman() -> tuple[Tensor, Tensor]:
    x, y = make_friedman1(1600, n_features=10, noise=1.0, random_state=0)
    return torch.tensor(x).float() * 2 - 1, torch.tensor((y - y.mean()) / y.std()).float()[:, None]


def dense(*sizes: int) -> nn.Module:
    layers = [m for n, k in pairwise(sizes) for m in (nn.Linear(n, k), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


STRONG = (3e-4, 1e-3, 3e-3, 6e-3, 1e-2)
TASKS = (
    Task("digits, dense", lambda: dense(64, 128, 10), digits, cross_entropy, STRONG),
    Task("digits, conv", convolutional, digits, cross_entropy, STRONG),
    Task("digits, transformer", Rows, digits, cross_entropy, STRONG),
    Task("friedman, dense", lambda: dense(10, 64, 32, 1), friedman, mse_loss,
         (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)),
)  # fmt: skip
OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "SGD .02": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    "SGD .1": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam 3e-3": lambda p: torch.optim.Adam(p, lr=3e-3),
    "Adam 1e-2": lambda p: torch.optim.Adam(p, lr=1e-2),
}


def trained(task: Task, optimizer: str, strength: float, seed: int, way: str) -> Cell:
    """One training."""
    x, y = task.data()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    rows, held = order[: len(x) // 2], order[len(x) // 2 :]
    torch.manual_seed(seed)
    model = task.make()
    plan = sh.Plan(model, sh.L1(strength))
    steps = OPTIMIZERS[optimizer](list(model.parameters()))
    method = "subgradient" if way.startswith("term") else "auto"
    sh.attach(steps, plan, method=method, warmup=int(SHARE * STEPS) if "raised" in way else 0)
    for _ in range(STEPS):
        some = rows[torch.randint(len(rows), (BATCH,))]
        steps.zero_grad()
        task.loss(model(x[some]), y[some]).backward()
        steps.step()
    model.eval()
    with torch.no_grad():
        loss, told = float(task.loss(model(x[rows]), y[rows])), model(x[held])
        score = (
            1 - float(mse_loss(told, y[held]) / y[held].var(unbiased=False))
            if y.is_floating_point()
            else float((told.argmax(1) == y[held]).double().mean())
        )
        empty = float(y[rows].var(unbiased=False)) if y.is_floating_point() else entropy(y[rows])
    nonzeros = sum(int(p.count_nonzero()) for _, _, p in plan.blocks())
    cost = loss + plan.value()
    return Cell(task.name, optimizer, strength, seed, way, cost, nonzeros, score, empty)


def entropy(labels: Tensor) -> float:
    shares = labels.bincount() / len(labels)
    return float(-(shares * shares.log()).sum())


def cells(seeds: int) -> Iterator[Cell]:
    for task, optimizer, seed in product(TASKS, OPTIMIZERS, range(seeds)):
        for strength, way in product(task.strengths, WAYS):
            yield trained(task, optimizer, strength, seed, way)


def table(found: list[Cell]) -> str:
    """Medians over the living cells of each task and optimizer."""
    by_way = {(c.task, c.optimizer, c.strength, c.seed, c.way): c for c in found}
    lines = [
        "| task, optimizer | living | exact / term | raised / best term | raised / exact | worse "
        "than 1.01 | emptied | emptied, raised |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, optimizer in [*dict.fromkeys((c.task, c.optimizer) for c in found), ("all", "")]:
        keys = [
            k for k in dict.fromkeys(key[:4] for key in by_way)
            if task == "all" or k[:2] == (task, optimizer)
        ]  # fmt: skip
        rows = [{way: by_way[(*key, way)] for way in WAYS} for key in keys]
        living = [r for r in rows if min(c.cost for c in r.values()) < 0.99 * r["exact"].empty]
        if not living:
            continue
        best = [min(r["term"].cost, r["term raised"].cost) for r in living]
        exact, raised = ([r[way].cost for r in living] for way in ("exact", "exact raised"))
        ratios = (
            [e / r["term"].cost for e, r in zip(exact, living, strict=True)],
            [a / b for a, b in zip(raised, best, strict=True)],
            [a / b for a, b in zip(raised, exact, strict=True)],
        )
        worse = sum(a > 1.01 * b for a, b in zip(raised, best, strict=True))
        gone = [sum(r[way].nonzeros == 0 for r in living) for way in ("exact", "exact raised")]
        shown = " | ".join(f"{median(values):.3f}" for values in ratios)
        name = f"{task}, {optimizer}".rstrip(", ")
        lines.append(f"| {name} | {len(living)} | {shown} | {worse} | {gone[0]} | {gone[1]} |")
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    warnings.simplefilter("ignore", sh.ShrinkageWarning)
    torch.set_num_threads(1)
    found = list(cells(int(argv[0]) if argv else 3))
    sys.stdout.write(table(found) + "\n")
    if argv[1:]:
        Path(argv[1]).write_text(json.dumps([asdict(cell) for cell in found]))


if __name__ == "__main__":
    main(sys.argv[1:])
