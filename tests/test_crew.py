"""Parameters looked after together go exactly the way that each goes by itself."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim import SGD, Adam, Optimizer

import shrinkage as sh
from counting import CountingCalls
from shrinkage.optim import Handle, Metric, crew
from shrinkage.optim.clips import Clipping
from shrinkage.optim.metrics import METRICS
from shrinkage.optim.seats import Read
from shrinkage.penalties.holds import Holds
from shrinkage.penalties.kernels import Clips, Samples, offered
from shrinkage.penalties.kernels.bundles import Passes
from shrinkage.penalties.steps import Steps
from test_attach import VARIANTS, Variant

pytest.importorskip("numba")
pytestmark = pytest.mark.filterwarnings("ignore::shrinkage.ShrinkageWarning")

PENALTIES: tuple[object, ...] = (
    sh.L1(0.01),
    sh.ElasticNet(0.01, 0.01),
    sh.GroupL1(0.02),
    sh.LogSum(0.01, epsilon=0.1),
    {"0": sh.L1(0.01), "4": sh.GroupL1(0.02), "6": sh.L1(0.003)},
)


MAIN = (PENALTIES[0], PENALTIES[-1])


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offered, "_LARGE", 0)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(crew, "passes_for", lambda _: None)


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3),
    ).to(dtype, memory_format=torch.channels_last)  # fmt: skip


def batches(dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    while True:
        x = torch.randn(16, 3, 8, 8, generator=generator)
        yield x.to(dtype), torch.randint(3, (16,), generator=generator)


Event = Callable[[nn.Module, Optimizer, Handle], None]


def trained(
    make: Callable[[list[nn.Parameter]], Optimizer],
    penalty: object,
    events: dict[int, Event] | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[nn.Module, Handle]:
    """60 steps, with something happening before some of them."""
    net, stream = network(dtype), batches(dtype)
    optimizer = make(list(net.parameters()))
    handle = sh.attach(optimizer, sh.Plan(net, penalty, biases=True))
    for step in range(60):
        x, y = next(stream)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x.to(net[0].weight.dtype)), y).backward()
        if events and step in events:
            events[step](net, optimizer, handle)
        optimizer.step()
    return net, handle


def same(ours: tuple[nn.Module, Handle], theirs: tuple[nn.Module, Handle]) -> None:
    for a, b in zip(ours[0].parameters(), theirs[0].parameters(), strict=True):
        assert torch.equal(a, b)
    blocks, others = (handle.state_dict()["blocks"] for _, handle in (ours, theirs))
    for name, block in blocks.items():
        for key, value in block.items():
            assert torch.equal(value, others[name][key]), (name, key)


@pytest.mark.parametrize("penalty", MAIN, ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_every_optimizer(
    variant: Variant,
    penalty: object,
    one_by_one: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clipped = 0

    def counted(self: Clipping, read: Read) -> bool:
        nonlocal clipped
        done = step(self, read)
        clipped += self.together
        return done

    step = Clipping.step
    monkeypatch.setattr(Clipping, "step", counted)
    together = trained(variant.make, penalty)
    if penalty == sh.L1(0.01) and variant.name != "adafactor":  # whose state lies in another way
        assert clipped > 40
    one_by_one()
    same(together, trained(variant.make, penalty))


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_every_penalty_in_both_precisions(
    dtype: torch.dtype, penalty: object, one_by_one: Callable[[], None]
) -> None:
    def made(p: list[nn.Parameter]) -> Optimizer:
        return Adam(p, lr=0.02)

    together = trained(made, penalty, dtype=dtype)
    one_by_one()
    same(together, trained(made, penalty, dtype=dtype))


@torch.no_grad()
def _write_all(net: nn.Module, _optimizer: Optimizer, _handle: Handle) -> None:
    net.load_state_dict({k: v * 2 for k, v in net.state_dict().items()})


@torch.no_grad()
def _write_one(net: nn.Module, _optimizer: Optimizer, _handle: Handle) -> None:
    net[4].weight += 1


def _replace(net: nn.Module, _optimizer: Optimizer, _handle: Handle) -> None:
    net[4].weight.data = net[4].weight.data.clone()


def _scale(_net: nn.Module, _optimizer: Optimizer, handle: Handle) -> None:
    handle.scale *= 0.7


def _rise(_net: nn.Module, _optimizer: Optimizer, handle: Handle) -> None:
    handle.scale *= 1.03


def _fall(_net: nn.Module, _optimizer: Optimizer, handle: Handle) -> None:
    handle.scale *= 0.97


def _off(_net: nn.Module, _optimizer: Optimizer, handle: Handle) -> None:
    handle.scale = 0.0


def _on(_net: nn.Module, _optimizer: Optimizer, handle: Handle) -> None:
    handle.scale = 1.0


def _reload(_net: nn.Module, optimizer: Optimizer, handle: Handle) -> None:
    handle.load_state_dict(handle.state_dict())
    optimizer.load_state_dict(optimizer.state_dict())


def _no_gradient(net: nn.Module, _optimizer: Optimizer, _handle: Handle) -> None:
    net[6].weight.grad = None


def _slower(_net: nn.Module, optimizer: Optimizer, _handle: Handle) -> None:
    optimizer.param_groups[0]["lr"] *= 0.5


def _no_number(net: nn.Module, _optimizer: Optimizer, _handle: Handle) -> None:
    net[6].weight.grad[0, 0] = torch.nan


def _share(_net: nn.Module, _optimizer: Optimizer, handle: Handle) -> None:
    """What a queue between processes does to the tensors of a checkpoint, in place."""
    for block in handle.state_dict()["blocks"].values():
        for tensor in block.values():
            tensor.share_memory_()


def _forget(_net: nn.Module, optimizer: Optimizer, _handle: Handle) -> None:
    optimizer.state.clear()


EVENTS: dict[str, dict[int, Event]] = {
    "all are written": {30: _write_all},
    "one is written, twice": {25: _write_one, 26: _write_one},
    "one lies elsewhere": {33: _replace},
    "the scale moves": {20: _scale, 21: _scale, 40: _scale},
    "the scale rises and falls": {
        **dict.fromkeys(range(5, 35), _rise),
        **dict.fromkeys(range(38, 58), _fall),
    },
    "off and on": {10: _off, 30: _on},
    "state is loaded": {17: _reload},
    "a gradient is missing": {35: _no_gradient, 36: _no_gradient},
    "the learning rate falls": {15: _slower, 44: _slower},
    "a checkpoint is shared": {30: _share},
    "the optimizer forgets": {30: _forget},
    "a gradient is no number": {50: _no_number},
}


@pytest.mark.parametrize("events", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("penalty", MAIN, ids=str)
@pytest.mark.parametrize("kind", [SGD, Adam, optim.RAdam])
def test_whatever_happens(
    kind: type[Optimizer],
    penalty: object,
    events: dict[int, Event],
    one_by_one: Callable[[], None],
) -> None:
    def made(p: list[nn.Parameter]) -> Optimizer:
        return kind(p, lr=0.02)

    together = trained(made, penalty, events)
    one_by_one()
    alone = trained(made, penalty, events)
    if events.get(50) is _no_number:  # NaN is not equal to itself
        for a, b in zip(together[0].parameters(), alone[0].parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    else:
        same(together, alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", [SGD, Adam, optim.RAdam])
def test_groups_in_lists_as_on_a_gpu(
    kind: type[Optimizer],
    dtype: torch.dtype,
    one_by_one: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(p: list[nn.Parameter]) -> Optimizer:
        return kind(p, lr=0.02)

    def counted(self: Holds, rows: list[Tensor], lengths: list[float]) -> None:
        nonlocal steps
        steps += len(rows) == 6
        in_lists(self, rows, lengths)

    steps, in_lists = 0, Holds._in_lists
    monkeypatch.setattr(Holds, "_in_lists", counted)
    monkeypatch.setattr(Holds, "_one_by_one", counted)
    together = trained(made, sh.GroupL1(0.02), {20: _scale, 40: _slower}, dtype)
    assert steps > 15
    zeros = [int((p == 0).sum()) for p in together[0].parameters()]
    assert 0 < sum(zeros) < sum(p.numel() for p in together[0].parameters())
    one_by_one()
    same(together, trained(made, sh.GroupL1(0.02), {20: _scale, 40: _slower}, dtype))


def test_groups_so_wide_that_each_is_worked_through_in_tiles(
    one_by_one: Callable[[], None],
) -> None:
    """Sums over other pieces of memory round otherwise, where there are several threads."""

    def run() -> tuple[nn.Module, Handle]:
        torch.manual_seed(0)
        net = nn.Linear(3, 140_000, bias=False)
        optimizer = Adam(net.parameters(), lr=0.01)
        handle = sh.attach(optimizer, sh.Plan(net, sh.GroupL1(1e-3, by="input")))
        for _ in range(20):
            net.weight.grad = torch.randn_like(net.weight)
            optimizer.step()
        return net, handle

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = run()
        one_by_one()
        same(together, run())
    finally:
        torch.set_num_threads(threads)


def test_a_layer_without_weights() -> None:
    net = nn.Linear(3, 5)
    net.weight = nn.Parameter(torch.empty(5, 0))
    optimizer = Adam(net.parameters(), lr=0.1)
    sh.attach(optimizer, sh.Plan(net, sh.GroupL1(1e-3)))
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()


def test_groups_that_hold_in_lists_take_fewer_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Holds, "_one_by_one", Holds._in_lists)

    def calls(kind: type[Optimizer]) -> int:
        torch.manual_seed(0)
        net = nn.Sequential(*(nn.Linear(20, 20, bias=False) for _ in range(40)))
        optimizer = kind(net.parameters(), lr=0.01)
        sh.attach(optimizer, sh.Plan(net, sh.GroupL1(1e-3)))
        for p in net.parameters():
            p.grad = torch.randn_like(p)
        for _ in range(121):  # so that the next is no turn
            optimizer.step()
        with CountingCalls() as counting:
            optimizer.step()
        return counting.calls

    for kind in (SGD, Adam):
        with monkeypatch.context() as patch:
            patch.setattr(crew, "passes_for", lambda _: None)
            alone = calls(kind)
        assert calls(kind) < alone - 40 * 6


def test_a_crew_that_does_not_look_is_found_out(
    one_by_one: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saboteurs: writes from outside missed, and samples not noted."""

    def made(p: list[nn.Parameter]) -> Optimizer:
        return SGD(p, lr=0.02)

    blind = Samples(ask=lambda: list, note=lambda: None, alive=())
    with monkeypatch.context() as patch:
        patch.setattr(crew, "samples_of", lambda *_: blind)
        missed = trained(made, sh.L1(0.01), {30: _write_all})
    one_by_one()
    with pytest.raises(AssertionError):
        same(missed, trained(made, sh.L1(0.01), {30: _write_all}))


def test_a_state_in_another_layout(one_by_one: Callable[[], None]) -> None:
    """Adam's moments were made before the weights became channels last."""

    def run() -> nn.Module:
        net, stream = network().to(memory_format=torch.contiguous_format), batches(torch.float32)
        optimizer = Adam(net.parameters(), lr=0.02)
        for step in range(60):
            if step == 10:
                net.to(memory_format=torch.channels_last)
                sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)))
            x, y = next(stream)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
        return net

    together = run()
    one_by_one()
    for a, b in zip(together.parameters(), run().parameters(), strict=True):
        assert torch.equal(a, b)


class Rebinding(SGD):
    """An optimizer that puts new tensors in place of the old ones."""

    @torch.no_grad()
    def step(self, closure: object = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.data = p.data - group["lr"] * p.grad


class OtherPrecision(SGD):
    """Plain steps, whose size is told in the other precision."""


@pytest.mark.parametrize("kind", [Rebinding, OtherPrecision])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_optimizers_of_ones_own(
    kind: type[SGD],
    dtype: torch.dtype,
    one_by_one: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = torch.float64 if dtype == torch.float32 else torch.float32
    monkeypatch.setitem(METRICS, Rebinding, METRICS[SGD])
    monkeypatch.setitem(
        METRICS, OtherPrecision, lambda g, _, p: Metric(torch.full_like(p, g["lr"], dtype=other))
    )

    def made(p: list[nn.Parameter]) -> Optimizer:
        return kind(p, lr=0.1)

    together = trained(made, sh.L1(0.01), dtype=dtype)
    assert (together[0][4].weight == 0).any()
    one_by_one()
    same(together, trained(made, sh.L1(0.01), dtype=dtype))


class Positive(sh.L1):
    """Weights are 0 or positive."""

    def accumulate(self, w: Tensor, residual: Tensor, steps: Steps) -> None:
        super().accumulate(w, residual, steps)
        w.clamp_(min=0)


def test_a_penalty_that_accumulates_in_its_own_way() -> None:
    net, _ = trained(lambda p: SGD(p, lr=0.05), Positive(0.001))
    assert all(bool((p >= 0).all()) for p in net.parameters())


@pytest.mark.parametrize("kind", [SGD, Adam, optim.NAdam, optim.RAdam, optim.RMSprop])
def test_under_another_default_device(kind: type[Optimizer]) -> None:
    net = network()
    optimizer = kind(net.parameters(), lr=0.05)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)))
    x, y = next(batches(torch.float32))
    for device in ("cpu", "meta", "meta"):  # the optimizer's own state is made in the first step
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        with torch.device(device):
            optimizer.step()


def test_momentum_that_falls_is_felt_at_once() -> None:
    layer = nn.Linear(200, 100, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.01, momentum=0.9)
    handle = sh.attach(optimizer, sh.Plan(layer, sh.L1(0.1)))

    def total() -> float:
        block = handle.state_dict()["blocks"]["weight"]
        return float(block["total"] + block["clock"][2] * block["step"])

    for step in range(60):
        if step == 50:
            before = total()
            optimizer.param_groups[0]["momentum"] = 0.0
        layer.weight.grad = torch.zeros_like(layer.weight)
        optimizer.step()
    assert total() - before == pytest.approx(10 * 0.01)


def test_a_closure(one_by_one: Callable[[], None]) -> None:
    def run() -> nn.Module:
        net, stream = network(), batches(torch.float32)
        optimizer = SGD(net.parameters(), lr=0.05)
        sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)))

        def closure() -> Tensor:
            x, y = next(stream)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            return loss

        for _ in range(40):
            optimizer.step(closure)
        return net

    together = run()
    one_by_one()
    for a, b in zip(together.parameters(), run().parameters(), strict=True):
        assert torch.equal(a, b)


def passes() -> Passes:
    loops = offered.compiled(32)
    assert loops is not None
    return loops.passes


def test_samples_name_what_was_written() -> None:
    weights = [torch.randn(shape) for shape in ((3, 1000), (1,), (2, 3, 4), (1500,))]
    kept = [w.reshape(-1)[:: -(-w.numel() // 1024)].clone() for w in weights]
    samples = Samples.of(passes(), weights, kept)
    assert samples.ask()() == []
    for at in ([0], [1, 3], [2], [0, 1, 2, 3]):
        for k in at:
            weights[k] += 1
        assert samples.ask()() == at
        samples.note()
        assert samples.ask()() == []
    weights[1][0] = torch.nan
    samples.note()
    assert samples.ask()() == [1], "NaN differs from everything"


def test_samples_lie_where_the_same_weights_do_in_any_layout() -> None:
    w = torch.randn(16, 8, 5, 5)
    kept = [w.reshape(-1)[:: -(-w.numel() // 1024)].clone()]
    for layout in (torch.contiguous_format, torch.channels_last):
        assert Samples.of(passes(), [w.to(memory_format=layout)], kept).ask()() == []


def test_clips_keep_what_they_write_alive() -> None:
    weights, residuals = [torch.ones(5)], [torch.zeros(5)]
    clips = Clips.of(passes(), weights, residuals)
    del residuals
    for _ in range(3):
        torch.full((5,), 7.0)  # would take the freed memory
        clips.run([0.25])
    torch.testing.assert_close(weights[0], torch.full((5,), 0.75))
