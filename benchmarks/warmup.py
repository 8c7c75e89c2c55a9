"""λ constant or raised: cost, nonzeros and accuracy on four tasks, beside the loss term.

``warmup.py [--seeds 0 1 2] [--tasks digits …] [--jsonl FILE]``: every way on the same network,
seed, batches and steps; the learning rate falls like a cosine (``--constant-rate``: not at all).
Cost is loss + λ·Σ|w| over all training rows after the last step, at the full λ for every way.
``--read FILE`` prints the tables of a file again. ``--why`` follows single trainings: living units,
which ones survive.

Ways: the loss term with λ constant and raised; exact L1 with λ constant, from 15 % of the steps on
(as our own training does), raised linearly over 10, 30 and 50 %, geometrically over 30 %. A cell
(task, optimizer, rate, λ, seed) is compared with the better of the two loss terms; cells in which
that costs no less than a network without weights do not count.
"""

import argparse
import json
from collections import defaultdict
from math import log
from pathlib import Path
from statistics import median

import torch
from sklearn.datasets import load_digits, make_friedman1
from torch import nn
from torch.nn import functional

import shrinkage as sh

WAYS = {
    "term": ("subgradient", 0.0, None),
    "term, raised": ("subgradient", 0.0, (0.3, "linear")),
    "constant": ("auto", 0.0, None),
    "from 15 %": ("auto", 0.15, None),
    "linear 10 %": ("auto", 0.0, (0.1, "linear")),
    "linear 30 %": ("auto", 0.0, (0.3, "linear")),
    "linear 50 %": ("auto", 0.0, (0.5, "linear")),
    "geometric 30 %": ("auto", 0.0, (0.3, "geometric")),
}
OPTIMIZERS = {
    "SGD .02": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    "SGD .1": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam 1e-3": lambda p: torch.optim.Adam(p, lr=1e-3),
    "Adam 1e-2": lambda p: torch.optim.Adam(p, lr=1e-2),
}
STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
STEPS, BATCH = 480, 50


class Rows(nn.Module):
    """A transformer over the eight rows of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.place = nn.Linear(8, 32), nn.Parameter(0.1 * torch.randn(8, 32))
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(self.read(x.view(-1, 8, 8)) + self.place).mean(1))


def mlp(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(n_inputs, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, n_outputs)
    )


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64, 10)),
    )


def digits():
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16).float(), torch.tensor(y)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:600]], y[order[:600]], x[order[600:]], y[order[600:]]


def friedman():
    x, y = (
        torch.tensor(part).float() for part in make_friedman1(1400, 10, noise=1.0, random_state=0)
    )
    y = ((y - y[:400].mean()) / y[:400].std(correction=0))[:, None]
    x = (x - x[:400].mean(0)) / x[:400].std(0)
    return x[:400], y[:400], x[400:], y[400:]


TASKS = {
    "digits MLP": (digits, lambda: mlp(64, 10), functional.cross_entropy, 1),
    "friedman": (friedman, lambda: mlp(10, 1), functional.mse_loss, 10 / 3),
    "digits CNN": (digits, convolutions, functional.cross_entropy, 1),
    "digits transformer": (digits, Rows, functional.cross_entropy, 1),
}
"""Data, network, loss, and what the strengths are multiplied by."""


def batches(n: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(n, generator=generator).split(BATCH)


def train(way, model, make_optimizer, task, strength, seed, *, falls=True, look=None):
    """Train in place; ``look(step, model)`` is called after every step."""
    (x, y, *_), _, loss, _ = task
    method, begins, rise = WAYS[way]
    optimizer = make_optimizer(model.parameters())
    warmup = None if rise is None else sh.Warmup(round(rise[0] * STEPS), rise[1])
    plan = sh.Plan(model, sh.L1(strength))
    handle = sh.attach(optimizer, plan, method=method, warmup=warmup)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step, rows in zip(range(STEPS), batches(len(x), seed), strict=False):
        handle.scale = float(step >= begins * STEPS)
        optimizer.zero_grad()
        loss(model(x[rows]), y[rows]).backward()
        optimizer.step()
        if falls:
            schedule.step()
        if look is not None:
            look(step, model)
    handle.remove()
    return plan


@torch.no_grad()
def judged(model, plan, task):
    (x, y, x_test, y_test), _, loss, _ = task
    answers = model(x_test)
    if y.is_floating_point():
        score = 1 - float(((answers - y_test) ** 2).mean() / y_test.var(correction=0))
    else:
        score = float((answers.argmax(1) == y_test).float().mean())
    weights = [parameter for _, _, parameter in plan.blocks()]
    nonzeros = sum(int(w.count_nonzero()) for w in weights)
    return {"cost": float(loss(model(x), y)) + plan.value(), "nonzeros": nonzeros, "score": score}


def empty_cost(y):
    if y.is_floating_point():
        return float(y.var(correction=0))
    shares = y.bincount() / len(y)
    return -sum(float(p) * log(p) for p in shares)


def prepared(name):
    data, *rest = TASKS[name]
    return data(), *rest


def cells(options):
    for seed in options.seeds:
        for name in options.tasks:
            task = prepared(name)
            for optimizer, make_optimizer in OPTIMIZERS.items():
                for strength in (s * task[3] for s in STRENGTHS):
                    cell = {
                        "task": name,
                        "optimizer": optimizer,
                        "strength": strength,
                        "seed": seed,
                    }
                    found = {}
                    for way in WAYS:
                        torch.manual_seed(seed)
                        model = task[1]()
                        plan = train(way, model, make_optimizer, task, strength, seed,
                                     falls=not options.constant_rate)  # fmt: skip
                        found[way] = judged(model, plan, task)
                    yield {**cell, "empty": empty_cost(task[0][1]), "ways": found}


def table(found, title):
    """Of exact's ways: ratios to the better loss term, and how they end."""
    living = [cell for cell in found if best_term(cell) < cell["empty"]]
    print(
        f"\n{title}: {len(found)} cells, the loss term is below the empty network in {len(living)}"
    )
    print(
        f"  {'':16}{'median':>8}{'worst':>8}{'> 1.01':>8}{'empty':>7}{'nonzeros':>10}{'score':>8}"
    )
    for way in WAYS:
        ends = [cell["ways"][way] for cell in living]
        ratios = [end["cost"] / best_term(cell) for end, cell in zip(ends, living, strict=True)]
        if not ratios:
            continue
        bad, empty = sum(r > 1.01 for r in ratios), sum(not end["nonzeros"] for end in ends)
        nonzeros = median(end["nonzeros"] for end in ends)
        score = sum(end["score"] for end in ends) / len(ends)
        print(f"  {way:16}{median(ratios):8.3f}{max(ratios):8.3f}{bad:8}{empty:7}"
              f"{nonzeros:10.0f}{score:8.3f}")  # fmt: skip


def best_term(cell):
    return min(cell["ways"][way]["cost"] for way in WAYS if way.startswith("term"))


def tables(found):
    for key in ("task", "optimizer", "strength"):
        groups = defaultdict(list)
        for cell in found:
            name = cell[key]
            if key == "strength":  # the five of each task, from weak to strong
                name = f"λ = {name / TASKS[cell['task']][3]:.1g}"
            groups[name].append(cell)
        for name, group in groups.items():
            table(group, name)
    table(found, "all")


def above(found, way):
    """The cells of a way that cost more than 1.01 of the better loss term."""
    print(f"\nabove 1.01, {way}:")
    for cell in found:
        end, best = cell["ways"][way], best_term(cell)
        if best < cell["empty"] and end["cost"] > 1.01 * best:
            terms = " ".join(f"{cell['ways'][w]['cost']:.3f}" for w in WAYS)
            print(f"  {cell['task']}, {cell['optimizer']}, λ = {cell['strength']:.2g}, seed"
                  f" {cell['seed']}: {end['cost'] / best:.3f} ({end['nonzeros']} ≠ 0; {terms};"
                  f" empty {cell['empty']:.3f})")  # fmt: skip


# ------------------------------------------------------------------------------------------- why


def hidden(model):
    """The weights of the first hidden layer, a row for each unit."""
    return model[0].weight.detach()


def why(seed, optimizer="SGD .1", strength=0.01):
    """Living units over time on the digits MLP, and whether the useful ones survive.

    A unit's worth is the norm of its outgoing weights times that of its incoming ones in the same
    network trained without a penalty, on the same batches.
    """
    task = prepared("digits MLP")

    def trained(way, strength):
        torch.manual_seed(seed)
        model, units, pushed = task[1](), [], []

        def look(step, model):
            if (step + 1) % 48 == 0:
                units.append(int(hidden(model).any(1).sum()))
                pushed.append(outward(model, task, strength))

        plan = train(way, model, OPTIMIZERS[optimizer], task, strength, seed, look=look)
        return model, plan, units, pushed

    free, *_ = trained("constant", 0.0)
    worth = hidden(free).norm(dim=1) * free[2].weight.detach().norm(dim=0)
    size = hidden(free).abs()
    print(f"\n{optimizer}, λ = {strength:g}, seed {seed}: living units of 100, ten times")
    for way in WAYS:
        model, plan, units, pushed = trained(way, strength)
        end = judged(model, plan, task)
        alive, kept = hidden(model).abs(), hidden(model) != 0
        if way.startswith("term"):
            kept = alive > 1e-3
        lives = kept.any(1)
        k, weights = int(lives.sum()), int(kept.sum())
        best = torch.zeros_like(lives)
        best[worth.topk(k).indices] = True
        largest = torch.zeros_like(kept).flatten()
        largest[size.flatten().topk(weights).indices] = True
        both = int((largest.view_as(kept) & kept).sum())
        print(
            f"  {way:15} {units}  cost {end['cost']:.3f}, {end['nonzeros']} ≠ 0, {end['score']:.3f}"
        )
        print(f"  {'':15} weights that the loss holds: {pushed} %; of {k} units"
              f" {int((best & lives).sum())} are among the {k} of most worth without a penalty,"
              f" of {weights} weights {both} among its largest")  # fmt: skip


def outward(model, task, strength):
    """% of two layers' living weights that the loss pushes outward by 0.9·λ or more."""
    (x, y, *_), _, loss, _ = task
    weights = [model[0].weight, model[2].weight]
    gradients = torch.autograd.grad(loss(model(x), y), weights)
    holds = [
        (-g * w.sign() > 0.9 * strength)[w != 0] for g, w in zip(gradients, weights, strict=True)
    ]
    held = torch.cat(holds)
    return round(100 * float(held.float().mean())) if held.numel() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--constant-rate", action="store_true")
    parser.add_argument("--jsonl", type=Path)
    parser.add_argument("--read", type=Path, nargs="+")
    parser.add_argument("--why", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.why:
        for seed in options.seeds:
            why(seed)
        return
    if options.read:
        lines = (line for file in options.read for line in file.read_text().splitlines())
        found = [json.loads(line) for line in lines]
    else:
        found = []
        for cell in cells(options):
            found.append(cell)
            if options.jsonl:
                with options.jsonl.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(cell) + "\n")
    tables(found)
    for way in ("constant", "linear 30 %"):
        above(found, way)


if __name__ == "__main__":
    main()
