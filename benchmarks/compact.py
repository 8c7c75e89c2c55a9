"""Group L1 → compact: LeNet-5 on MNIST, and a small ResNet beside filter-norm pruning.

    python benchmarks/compact.py lenet mnist.npz
    python benchmarks/compact.py resnet mnist.npz

Test errors are those of the last epoch. Latency is the median of interleaved runs on one thread;
the dense network and the published shapes are timed in the same rounds.
"""

import argparse
import time
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import shrinkage as sh
from shrinkage.compaction.measuring import interleaved, macs
from shrinkage.data import Spec
from shrinkage.models import lenet_5

BATCH = 128
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
    wrong = sum(int((model(a).argmax(1) != b).sum()) for a, b in zip(x.split(500), y.split(500)))
    return 100 * wrong / len(y)


def epoch(model: nn.Module, x: Tensor, y: Tensor, lr: float, rules: sh.Rules | None = None) -> None:
    """One epoch of Adam under a plan, exact; then the network is in eval mode."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    if rules is not None:
        handle = sh.attach(optimizer, sh.Plan(model, rules, example_inputs=x[:2]))
    model.train()
    for rows in torch.randperm(len(x)).split(BATCH):
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    model.eval()
    if rules is not None:
        handle.remove()


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
            pool2=nn.MaxPool2d(2), flatten=nn.Flatten(), select=Selected(n), fc1=nn.Linear(n, units),
            relu=nn.ReLU(), out=nn.Linear(units, 10),
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
        epoch(model, x, y, 1e-3)
        tell("dense")
    rules = sh.Rules(
        {name: sh.GroupL1(s) for name, s in zip(("conv1", "conv2", "fc1"), args.strengths)}
        | {"out": None}
    )
    scale = args.first
    while macs(model, (example,)) > whole / args.times:
        epoch(model, x, y, 1e-3, rules.scaled(scale))
        model = sh.compact(model, example, batch_sizes=()).model
        tell(f"scale {scale:.3f}")
        scale *= args.growth
    for k in range(args.refit):
        epoch(model, x, y, 2e-3 * (1 - k / args.refit))
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


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("lenet")
    one.add_argument("data")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--strengths", type=float, nargs=3, default=(5e-3, 6e-4, 4e-4))
    one.add_argument("--dense", type=int, default=2)
    one.add_argument("--first", type=float, default=0.25)
    one.add_argument("--growth", type=float, default=1.4)
    one.add_argument("--times", type=float, default=10.5)
    one.add_argument("--refit", type=int, default=15)
    one.set_defaults(run=lenet)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
