"""L1 before BatchNorm: filters that keep their norm, filters that shrink, and L1 on γ beside each.

A ResNet with nine convolutions on 1000 digits, SGD with momentum 0.9 or Adam (at a tenth of the
learning rate), batches of 64, cosine decay, the penalty from 15 % of the epochs on.
Accuracy and loss on the test part; weights of convolutions that are not 0 (of filters with γ ≠ 0);
empty filters; the norms of the others at the end over those at attach (smallest, median, largest);
then the test loss after a tenth of the epochs more without a penalty, zeros held.
"""

import warnings
from itertools import product
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

import shrinkage as sh
from shrinkage.data import load
from shrinkage.plans.normalisation import invariances

CHANNELS, BATCH, WARMUP = 8, 64, 0.15
WAYS = {  # rescale, strength of γ over that of the weights
    "shrink": (False, 0.0),
    "shrink, γ": (False, 1.0),
    "keep": (True, 0.0),
    "keep, γ": (True, 1.0),
}
OPTIMIZERS = {
    "SGD": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "Adam": lambda p, lr: torch.optim.Adam(p, lr=lr / 10),
}


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(inner + self.shortcut(x))


def resnet() -> nn.Sequential:
    c = CHANNELS
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU()),
        *(Block(c, c), Block(c, 2 * c), Block(2 * c, 4 * c)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * c, 10)),
    )


def convolutions(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Rows of filters, and γ of the norm behind them."""
    modules = dict(model.named_modules())
    return [
        (modules[name].weight.detach().flatten(1), modules[found.norm].weight.detach())
        for name, found in invariances(model).items()
    ]


def norms(model: nn.Module) -> Tensor:
    return torch.cat([rows.norm(dim=1) for rows, _ in convolutions(model)])


def epoch(model: nn.Module, x: Tensor, y: Tensor, optimizer, schedule=None, masks=()) -> None:
    for rows in torch.randperm(len(x)).split(BATCH):
        if len(rows) < BATCH:
            continue
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()
        for weight, mask in masks:
            weight.grad.mul_(mask)
        optimizer.step()
        if schedule:
            schedule.step()


@torch.no_grad()
def tested(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    model.eval()
    out = torch.cat([model(part) for part in x.split(1000)])
    model.train()
    return float((out.argmax(1) == y).double().mean()), float(cross_entropy(out, y))


def run(data, way: str, kind: str, lr: float, strength: float, epochs: int, seed: int) -> str:
    start = perf_counter()
    torch.manual_seed(seed)
    x, y, x_test, y_test = data
    model = resnet()
    optimizer = OPTIMIZERS[kind](model.parameters(), lr)
    total = epochs * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    warmup = int(WARMUP * epochs)
    for _ in range(warmup):
        epoch(model, x, y, optimizer, schedule)
    rescale, share = WAYS[way]
    rules = {nn.Conv2d: sh.L1(strength)}
    if share:
        rules[nn.BatchNorm2d] = sh.L1(share * strength)
    plan = sh.Plan(model, rules, rescale=rescale)
    handle, before = sh.attach(optimizer, plan), norms(model)
    for _ in range(warmup, epochs):
        epoch(model, x, y, optimizer, schedule)
    handle.remove()
    accuracy, loss = tested(model, x_test, y_test)
    found = convolutions(model)
    nonzeros = sum(int((rows * (scale != 0)[:, None]).count_nonzero()) for rows, scale in found)
    after = norms(model)
    ratio = (after / before)[after > 0]
    empty = sum(int(((rows == 0).all(1) | (scale == 0)).sum()) for rows, scale in found)
    masks = [(e, (e != 0).to(e)) for e in map(plan.parameter, plan.penalised)]
    again = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(max(1, epochs // 10)):
        epoch(model, x, y, again, masks=masks)
    refitted = tested(model, x_test, y_test)[1]
    return (
        f"{way:10}{kind:5}{lr:6g}{strength:8g}{epochs:5}{seed:5}{100 * accuracy:9.2f}%{loss:8.4f}"
        f"{nonzeros:9,}{empty:7}{ratio.min():9.3f}{ratio.median():7.3f}{ratio.max():10.3f}"
        f"{refitted:10.4f}{perf_counter() - start:8.1f}"
    )


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", sh.ShrinkageWarning)
    digits = load("digits")
    x, y = digits.x.reshape(-1, 1, 8, 8), digits.y
    train, rest = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)).split(1000)
    data = x[train], y[train], x[rest], y[rest]
    settings = (
        *product(("SGD", "Adam"), (0.1,), (1e-3, 3e-3), (30,), (0, 1, 2)),
        *product(("SGD",), (0.1,), (1e-3, 3e-3), (120,), (0,)),
        *product(("SGD",), (0.4, 1.0), (1e-2,), (30,), (0, 1)),
    )
    print(
        f"{'way':10}{'opt':5}{'lr':>6}{'s':>8}{'ep':>5}{'seed':>5}{'test':>10}{'loss':>8}"
        f"{'nonzero':>9}{'empty':>7}{'norm min':>9}{'median':>7}"
        f"{'max':>10}{'refitted':>10}{'sec':>8}"
    )
    for setting in settings:
        for way in WAYS:
            print(run(data, way, *setting), flush=True)


if __name__ == "__main__":
    main()
