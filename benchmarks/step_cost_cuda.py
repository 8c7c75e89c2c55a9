"""What a penalty adds to a training step on a GPU, and how much of its bandwidth the pass uses.

    python benchmarks/step_cost_cuda.py [--json OUT.json] [--batch 128] [--size 224]
    python benchmarks/step_cost_cuda.py --count

First the clip alone: its kernel for all parameters in one launch, and PyTorch's operations, beside
a large copy, in bytes read and written per second. Then training steps of a ResNet-50, channels
last, in TF32 and under bfloat16 autocast: turns of several steps of each way in one process, the
device waited for at their ends only; ratios of medians, 1.00 is the step without a penalty.

``--count`` needs no GPU: the operations of PyTorch that group L1 asks for in each of ten steps, for
all parameters of that network together and for each by itself, as a GPU would be asked (in whole
tensors, without Numba). What they cost there is mostly to be launched.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu
from torch.utils._python_dispatch import TorchDispatchMode

import shrinkage as sh
from shrinkage.optim import crew, held, methods
from shrinkage.penalties import fused
from shrinkage.penalties.fused import clip
from shrinkage.penalties.holds import Holds
from shrinkage.penalties.kernels import Clips, passes_for
from shrinkage.penalties.steps import Steps

STRENGTH, TURN, TURNS = 1e-5, 10, 5
"""In ten steps is one in which what is held is computed anew."""
SETTLED = 100
"""Steps, on a small batch, after which it is held so long."""
OPTIMIZERS = {
    "SGD, momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam, fused": lambda p: torch.optim.Adam(p, fused=True),
}
OURS = {
    "L1 averaged": (sh.L1(STRENGTH), "auto"),
    "group L1 averaged": (sh.GroupL1(STRENGTH), "auto"),
}
WAYS = ("none", "by hand", *OURS)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1, with a shortcut."""

    def __init__(self, n_in: int, width: int, stride: int) -> None:
        super().__init__()
        n_out = 4 * width
        shapes = ((n_in, width, 1, 1), (width, width, 3, stride), (width, n_out, 1, 1))
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, k, s, k // 2, bias=False) for a, b, k, s in shapes
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b, _, _ in shapes)
        self.short = (
            nn.Identity()
            if stride == 1 and n_in == n_out
            else nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        )

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for k, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            out = norm(conv(out))
            out = relu(out) if k < 2 else out
        return relu(out + self.short(x))


def resnet_50() -> nn.Module:
    blocks, n_in = [], 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for k in range(count):
            blocks.append(Bottleneck(n_in, width, stride if k == 0 else 1))
            n_in = 4 * width
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000),
    )  # fmt: skip


class Way:
    """One network with its optimizer and its way of applying the penalty."""

    def __init__(self, name: str, make_optimizer, autocast: bool) -> None:
        torch.manual_seed(0)
        self.by_hand, self.autocast = name == "by hand", autocast
        self.model = resnet_50().to("cuda", memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.model.parameters())
        if name in OURS:
            penalty, method = OURS[name]
            sh.attach(self.optimizer, sh.Plan(self.model, penalty), method=method)

    def step(self, x: Tensor, y: Tensor) -> None:
        self.optimizer.zero_grad()
        mixed = torch.autocast("cuda", torch.bfloat16) if self.autocast else nullcontext()
        with mixed:
            loss = cross_entropy(self.model(x), y)
        if self.by_hand:
            loss = loss + STRENGTH * sum(p.abs().sum() for p in self.model.parameters())
        loss.backward()
        self.optimizer.step()


def turn(way: Way, x: Tensor, y: Tensor) -> float:
    torch.cuda.synchronize()
    start = perf_counter()
    for _ in range(TURN):
        way.step(x, y)
    torch.cuda.synchronize()
    return (perf_counter() - start) / TURN


def steps(x: Tensor, y: Tensor) -> Iterator[dict[str, object]]:
    for autocast in (False, True):
        for optimizer, make_optimizer in OPTIMIZERS.items():
            ways = {name: Way(name, make_optimizer, autocast) for name in WAYS}
            times: dict[str, list[float]] = {name: [] for name in WAYS}
            for way in ways.values():
                for _ in range(SETTLED):
                    way.step(x[:8], y[:8])
            for _ in range(TURNS):
                for name, way in ways.items():
                    times[name].append(turn(way, x, y))
            medians = {name: median(found[1:]) for name, found in times.items()}
            for name in WAYS:
                yield {
                    "precision": "bfloat16 autocast" if autocast else "TF32",
                    "optimizer": optimizer,
                    "way": name,
                    "milliseconds": 1e3 * medians[name],
                    "ratio": medians[name] / medians["none"],
                }


def seconds(run: Callable[[], None], times: int = 9, in_a_row: int = 20) -> float:
    """The median of runs, so many in a row between two events that the device is never idle."""
    found = []
    for _ in range(times):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(in_a_row):
            run()
        end.record()
        torch.cuda.synchronize()
        found.append(start.elapsed_time(end) / 1e3 / in_a_row)
    return median(found[times // 3 :])


def bandwidths() -> Iterator[dict[str, object]]:
    big = torch.randn(2**28, device="cuda")
    into = torch.empty_like(big)
    copied = 2 * big.nbytes / seconds(lambda: into.copy_(big))
    yield {"what": "copy of 1 GiB", "terabytes_per_second": copied / 1e12, "share": 1.0}
    model = resnet_50().to("cuda", memory_format=torch.channels_last)
    weights = [p.detach() for p in model.parameters() if p.ndim > 1]
    residuals, totals, each = ([torch.rand_like(w) for w in weights] for _ in range(3))
    size = sum(w.nbytes for w in weights)
    passes = passes_for(weights)
    assert passes is not None, "Triton's kernels cannot be used"
    one, many = (
        Clips.of(passes, weights, residuals),
        Clips.of(passes, weights, residuals, totals, each),
    )
    n, pairs = len(weights), list(zip(weights, residuals, totals, each, strict=True))

    def by_torch(per_weight: bool) -> None:
        for w, residual, total, step in pairs:
            clip(w, residual, 0.1, Steps(total, step, 1.0) if per_weight else Steps(0.1, 0.1))

    for name, tensors, run in (
        ("clip, one launch", 4, lambda: one.run([0.01] * n)),
        ("clip, PyTorch", 4, lambda: by_torch(False)),
        ("clip, a step per weight, one launch", 6, lambda: many.run([1.0] * n + [0.1] * n)),
        ("clip, a step per weight, PyTorch", 6, lambda: by_torch(True)),
    ):
        found = tensors * size / seconds(run)
        yield {"what": name, "terabytes_per_second": found / 1e12, "share": found / copied}


class Operations(TorchDispatchMode):
    """Counts them."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def counted() -> Iterator[str]:
    fused.loops_for = lambda *_: None
    methods.tiles = held.tiles = lambda *tensors, **_: (tensors,)
    Holds._one_by_one = Holds._in_lists
    found = crew.passes_for
    for name, make in (("SGD", torch.optim.SGD), ("Adam", torch.optim.Adam)):
        for way, passes in (("each by itself", lambda _: None), ("together", found)):
            crew.passes_for = passes
            torch.manual_seed(0)
            model = resnet_50().to(memory_format=torch.channels_last)
            optimizer = make(model.parameters(), lr=1e-3)
            handle = sh.attach(optimizer, sh.Plan(model, sh.GroupL1(STRENGTH)))
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter) * 1e-3
            optimizer.step()  # which makes its state; then our part alone
            rows = []
            for step in range(1, SETTLED + 22):
                with Operations() as operations:
                    handle._before(optimizer, (optimizer,), {})
                    handle._after(optimizer)
                if step > SETTLED + 11:
                    rows.append(operations.count)
            yield f"{name:5} {way:15} {rows}, {sum(rows) / len(rows):,.0f} on average"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--count", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", sh.ShrinkageWarning)
    if options.count:
        for line in counted():
            print(line, flush=True)
        return
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    print(torch.cuda.get_device_name())
    rows: list[dict[str, object]] = []
    for row in bandwidths():
        rows.append(row)
        told = f"{row['terabytes_per_second']:6.2f} TB/s{row['share']:7.0%} of the copy"
        print(f"  {row['what']:38}{told}", flush=True)
    x = torch.randn(options.batch, 3, options.size, options.size, device="cuda")
    x, y = x.contiguous(memory_format=torch.channels_last), torch.randint(1000, (options.batch,))
    for row in steps(x, y.cuda()):
        rows.append(row)
        name = f"{row['precision']}, {row['optimizer']}, {row['way']}"
        print(f"  {name:52}{row['milliseconds']:8.2f} ms{row['ratio']:6.2f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
