"""Group L1 → compact: LeNet-5 on MNIST, and a small ResNet beside filter-norm pruning.

    python benchmarks/compact.py lenet mnist.npz
    python benchmarks/compact.py resnet [mnist.npz]    (without: scikit-learn's digits)

Test errors are those of the last epoch. Latency is the median of interleaved runs on one thread
(for the ResNet its processor time, so that other work disturbs little);
the dense network and the published shapes are timed in the same rounds.
"""

import argparse
import copy
import time
from collections import OrderedDict
from collections.abc import Callable
from statistics import fmean, stdev

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

import shrinkage as sh
from shrinkage.compression.latency import interleaved, macs
from shrinkage.data import Spec, load, split
from shrinkage.data.models import lenet_5

BATCH = 128
LR = 3e-3
LAYERS = ("conv1", "conv2", "fc1")
PUBLISHED = {
    "dense 20-50-800-500": (20, 50, 800, 500),
    "SSL 3-12-800-500": (3, 12, 192, 500),
    "SBP 3-18-284-283": (3, 18, 284, 283),
    "BC-GHS 5-10-76-16": (5, 10, 76, 16),
}
"""Filters, filters, inputs of fc1 (SSL counts all 800; its 12 filters leave 192), its units."""


def mnist(path: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    with np.load(path) as file:
        x, y, x_test, y_test = (
            torch.from_numpy(file[k]) for k in ("x_train", "y_train", "x_test", "y_test")
        )
    images = [part.reshape(-1, 1, 28, 28).float() / 255 for part in (x, x_test)]
    return images[0], y.long(), images[1], y_test.long()


@torch.no_grad()
def error(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    wrong = sum(
        int((model(a).argmax(1) != b).sum())
        for a, b in zip(x.split(500), y.split(500), strict=True)
    )
    return 100 * wrong / len(y)


def epoch(
    model: nn.Module, x: Tensor, y: Tensor, optimizer: torch.optim.Optimizer, batch: int = BATCH
) -> None:
    """One epoch; then the network is in eval mode."""
    model.train()
    for rows in torch.randperm(len(x)).split(batch):
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    model.eval()


def adam(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=lr)


def widths(model: nn.Module) -> str:
    return "-".join(str(p.shape[0]) for name, p in model.named_parameters() if p.ndim > 1)


class Selected(nn.Module):
    """Only some of the flattened features reach the next layer."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.count]


def shaped(c1: int, c2: int, n: int, units: int) -> nn.Module:
    """LeNet-5 of a published shape; where fewer inputs than 16·c2 are read, the rest is cut off."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, c1, 5), pool1=nn.MaxPool2d(2), conv2=nn.Conv2d(c1, c2, 5),
            pool2=nn.MaxPool2d(2), flatten=nn.Flatten(), select=Selected(n),
            fc1=nn.Linear(n, units), relu=nn.ReLU(), out=nn.Linear(units, 10),
        )
    ).eval()  # fmt: skip


def lenet(args: argparse.Namespace) -> None:
    """Raise the strength epoch by epoch, cutting what is dead, down to a tenth of the MACs."""
    x, y, x_test, y_test = mnist(args.data)
    torch.manual_seed(args.seed)
    model, start = lenet_5(Spec(784, (1, 28, 28), 10)), time.perf_counter()
    example, batch = x_test[:8], x_test[:BATCH]
    whole = macs(model, (example,))

    def tell(what: str) -> None:
        count = macs(model, (example,))
        print(
            f"{what:14} {widths(model):14} {whole / count:5.2f} × fewer MACs, error "
            f"{error(model, x_test, y_test):.2f} %, {time.perf_counter() - start:.0f} s",
            flush=True,
        )

    for _ in range(args.dense):
        epoch(model, x, y, adam(model, 1e-3))
        tell("dense")
    rules = sh.Rules(
        {name: sh.GroupL1(s) for name, s in zip(LAYERS, args.strengths, strict=True)}
        | {"out": None}
    )
    scale = args.first
    while macs(model, (example,)) > whole / args.times:
        optimizer = adam(model, 1e-3)
        handle = sh.attach(optimizer, sh.Plan(model, rules.scaled(scale)))
        epoch(model, x, y, optimizer)
        handle.remove()
        model = sh.compact(model, example, batch_sizes=()).model
        tell(f"scale {scale:.3f}")
        scale *= args.growth
    for k in range(args.refit):
        epoch(model, x, y, adam(model, 2e-3 * (1 - k / args.refit)))
        tell("refit")
    final = sh.compact(model, example, batch_sizes=())
    print(final.report)
    rows = {
        **{name: shaped(*shape) for name, shape in PUBLISHED.items()},
        f"ours {widths(final.model)}": final.model,
    }
    times = interleaved([lambda m=m: m(batch) for m in rows.values()], 3.0)
    for (name, net), ms in zip(rows.items(), times, strict=True):
        print(
            f"{name:26} {macs(net, (example,)):>10,} MACs  {ms:6.2f} ms at batch {BATCH}, "
            f"{times[0] / ms:5.2f} × faster than dense"
        )


class Block(nn.Module):
    """A basic residual block with batch norm."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)
        self.short = (
            nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.two(relu(self.bn1(self.one(x)))))
        return relu(out + self.short(x))


def small_resnet(stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, stride, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        Block(32, 32, 1), Block(32, 64, 2), Block(64, 64, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def images(data: str | None, train: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The first ``train`` of MNIST's training images and all test images, or digits."""
    if data is not None:
        x, y, x_test, y_test = mnist(data)
        return x[:train], y[:train], x_test, y_test
    found = split(load("digits"), 0, validation=0.01, test=0.4)
    return found.train.x, found.train.y, found.test.x, found.test.y


def by_norm(model: nn.Module, count: Callable[[int], int], x: Tensor) -> nn.Module:
    """Of each coupled set of n filters only the ``count(n)`` with the largest ‖·‖₂."""
    model = copy.deepcopy(model)
    plan = sh.Plan(model, RULES, example_inputs=x)
    for term in plan.terms():
        if term.group is not None:
            rows = term.read().detach()
            rows[rows.norm(dim=1).argsort(descending=True)[count(len(rows)) :]] = 0.0
            with torch.no_grad():
                term.write(rows)
    return sh.compact(model, x, batch_sizes=()).model


Cost = Callable[[nn.Module], float]


Share = Callable[[float], Callable[[int], int]]


def share(keep: float) -> Callable[[int], int]:
    """Filter-norm pruning: the same share of every set."""
    return lambda n: max(1, round(keep * n))


def rounded(n: int) -> int:
    """Down to whole blocks of 16, which is what convolutions compute in on CPUs."""
    return n if n < WIDE else n - n % WIDE


def blocks(keep: float) -> Callable[[int], int]:
    """The same share of every set, down to whole blocks."""
    return lambda n: rounded(share(keep)(n))


def cut(model: nn.Module, x: Tensor) -> nn.Module:
    """What the penalty has left, with widths that are fast."""
    return by_norm(sh.compact(model, x, batch_sizes=()).model, rounded, x)


def cut_to(model: nn.Module, most: float, x: Tensor, cost: Cost, widths: Share) -> nn.Module:
    """With the largest share of units, in hundredths, whose network costs at most so much."""
    low, high = 0, 100
    while high - low > 1:
        middle = (low + high) // 2
        fits = cost(by_norm(model, widths(middle / 100), x)) <= most
        low, high = (middle, high) if fits else (low, middle)
    return by_norm(model, widths(low / 100), x)


def costs(dense: nn.Module, example: Tensor, batch: Tensor) -> dict[str, Cost]:
    """What pruned networks may be made equal in: the time of a batch, or MACs; shares of dense.

    Timed in turns with the dense network, so that other processes slow down both.
    """
    dense = copy.deepcopy(dense).eval()
    whole = macs(dense, (example,))

    def latency(net: nn.Module) -> float:
        net.eval()
        ours, full = interleaved([lambda: net(batch), lambda: dense(batch)], 0.6, time.thread_time)
        return ours / full

    return {"latency": latency, "macs": lambda net: macs(net.eval(), (example,)) / whole}


PRUNING: dict[str, Share] = {"filter norm": share, "filter norm, blocks": blocks}
RULES = sh.Rules({"8": None, "*": sh.GroupL1(1.0, coupled=True)})


SMALL_BATCH, WIDE = 32, 16


def raised(
    model: nn.Module, x: Tensor, y: Tensor, cost: Cost, most: float, first: float, growth: float
) -> list[float]:
    """Train under coupled group L1, stronger each epoch, until what is left costs at most so much.

    Returns the scales; the dead units are still there.
    """
    optimizer = adam(model, LR)
    handle = sh.attach(optimizer, sh.Plan(model, RULES, example_inputs=x[:2]))
    scales = []
    while not scales or cost(cut(model, x[:2])) > most:
        scales.append(first * growth ** len(scales))
        handle.scale = scales[-1]
        epoch(model, x, y, optimizer, SMALL_BATCH)
    handle.remove()
    return scales


def resnet(args: argparse.Namespace) -> None:
    """The coupled group path and filter-norm pruning: same epochs, same bound on latency (or MACs).

    Both may cost one part in ``times`` of the dense network. The path is over at the first epoch
    in which it does; filter norms keep the largest share of filters with which they do, or with
    which they take as long as the path's network, should that one, measured again, take longer;
    once in any number, and once in whole blocks, as the path's.
    """
    x, y, x_test, y_test = images(args.data, args.train)
    stride = 2 if x.shape[-1] > 20 else 1
    example, batch, most = x[:8], x_test[:BATCH], 1 / args.times
    rows = ("dense, before", "coupled group L1", *PRUNING)
    found: dict[str, list[float]] = {name: [] for name in rows}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        torch.manual_seed(seed)
        dense = small_resnet(stride)
        optimizer = adam(dense, LR)
        for _ in range(args.dense):
            epoch(dense, x, y, optimizer, SMALL_BATCH)
        model = copy.deepcopy(dense)
        cost = costs(dense, example, batch)[args.equal]
        scales = raised(model, x, y, cost, most, args.first, args.growth)
        model = cut(model, example)
        equal = max(most, fmean(cost(model) for _ in range(5)))  # timings vary: not to our favour
        nets = [dense, model]
        for widths_of in PRUNING.values():
            torch.manual_seed(seed)
            pruned = copy.deepcopy(dense)
            for k in range(len(scales)):  # evenly down to the bound
                most_now = equal ** ((k + 1) / len(scales))
                pruned = cut_to(pruned, most_now, example, cost, widths_of)
                epoch(pruned, x, y, adam(pruned, LR), SMALL_BATCH)
            nets.append(pruned)
        for net in nets[1:]:
            torch.manual_seed(seed)
            for k in range(args.refit):
                epoch(net, x, y, adam(net, LR * (1 - k / args.refit)), SMALL_BATCH)
        times = interleaved([lambda m=m: m(batch) for m in nets], 2.0, time.thread_time)
        print(f"seed {seed}: {len(scales)} epochs under the penalty, up to {scales[-1]:.3g}")
        for name, net, ms in zip(rows, nets, times, strict=True):
            found[name].append(error(net, x_test, y_test))
            print(
                f"  {name:20} {macs(net, (example,)):>10,} MACs  {ms:6.2f} ms at batch {BATCH}  "
                f"error {found[name][-1]:.2f} %  {widths(net)}",
                flush=True,
            )
    for name, errors in found.items():
        print(
            f"{name:20} error {fmean(errors):.2f} ± {stdev(errors) if errors[1:] else 0:.2f} % "
            f"of {len(y_test)} test images"
        )


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("lenet")
    one.add_argument("data")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--strengths", type=float, nargs=3, default=(1.5e-2, 5e-4, 4e-4))
    one.add_argument("--dense", type=int, default=2)
    one.add_argument("--first", type=float, default=0.25)
    one.add_argument("--growth", type=float, default=1.4)
    one.add_argument("--times", type=float, default=10.5)
    one.add_argument("--refit", type=int, default=14)
    one.set_defaults(run=lenet)
    two = commands.add_parser("resnet")
    two.add_argument("data", nargs="?")
    two.add_argument("--train", type=int, default=6000)
    two.add_argument("--first-seed", type=int, default=0)
    two.add_argument("--seeds", type=int, default=3)
    two.add_argument("--dense", type=int, default=8)
    two.add_argument("--first", type=float, default=2e-4)
    two.add_argument("--growth", type=float, default=1.12)
    two.add_argument("--times", type=float, default=4.0)
    two.add_argument("--refit", type=int, default=12)
    two.add_argument("--equal", choices=("latency", "macs"), default="latency")
    two.set_defaults(run=resnet)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
