"""λ that rises over the first steps: its formula, its state, and where training ends."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

import shrinkage as sh
from shrinkage.data import Examples
from shrinkage.errors import AttachError, FitError
from shrinkage.experiments.fit import Treatment, fit

METHODS = pytest.mark.parametrize("method", ["prox", "averaged", "subgradient"])
RULES = {"0": sh.L1(0.02), "2": sh.GroupL1(0.02, by="input")}


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def batches(first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for k in range(10_000):
        x = torch.randn(16, 6, generator=generator)
        if k >= first:
            yield x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def train(net: nn.Module, optimizer: Optimizer, steps: int, stream: Any = None) -> None:
    for _, (x, y) in zip(range(steps), stream or batches(), strict=False):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# ------------------------------------------------------------------------------------ the formula


@METHODS
@pytest.mark.parametrize("shape", ["linear", "geometric"])
def test_each_step_has_its_share_of_the_strength(method: Any, shape: Any) -> None:
    lr, strength, steps = 0.1, 0.5, 20
    net = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    pull = torch.tensor([[1.0, -2.0, 0.02]], dtype=torch.float64)  # minimise ½‖w − pull‖² + s·Σ|w|
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.8, -0.7, 0.0]]))
    w = net.weight.detach().clone()
    optimizer = SGD(net.parameters(), lr=lr)
    warmup = sh.Warmup(steps, shape)
    handle = sh.attach(optimizer, sh.Plan(net, sh.L1(strength)), method=method, warmup=warmup)
    for k in range(1, 31):
        share = min(k / steps, 1) if shape == "linear" else min(0.01 ** (1 - k / steps), 1)
        assert handle.factor == pytest.approx(share, rel=1e-12)
        net.weight.grad = net.weight.detach() - pull
        optimizer.step()
        moved = w - lr * (w - pull)
        if method == "subgradient":
            w = moved - lr * share * strength * w.sign()
        else:
            w = moved.sign() * (moved.abs() - lr * share * strength).clamp(min=0)
        living = [0, 1] if method == "averaged" else [0, 1, 2]  # zeros are the average's
        torch.testing.assert_close(net.weight.detach()[:, living], w[:, living], rtol=1e-12, atol=0)


def test_zeros_stay_where_their_average_gradient_is_within_the_strength_of_now() -> None:
    # |g| = .02 exceeds λ·k/100 up to step 20, so the weight leaves zero, comes back once λ exceeds
    # it, and is exactly zero from then on
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    optimizer = SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)), warmup=100)
    seen = []
    for _ in range(150):
        net.weight.grad = torch.full((1, 1), -0.02)
        optimizer.step()
        seen.append(float(net.weight.detach()))
    rise = [0.1 * sum(0.02 - 1e-3 * k for k in range(1, n + 1)) for n in range(1, 40)]
    assert seen[:38] == pytest.approx(rise[:38], rel=1e-4, abs=1e-7)
    assert seen[18] == pytest.approx(max(seen))
    assert seen[39:] == [0.0] * 111


def test_a_step_that_amp_skips_and_a_scale_of_zero_do_not_count() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.05)
    handle = sh.attach(optimizer, sh.Plan(net, RULES), warmup=10)
    train(net, optimizer, 3)
    assert handle.factor == 0.4
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    x, y = next(batches())
    for broken in (True, False):
        optimizer.zero_grad()
        scaler.scale(nn.functional.cross_entropy(net(x), y)).backward()
        if broken:
            net[0].weight.grad[0, 0] = torch.inf
        scaler.step(optimizer)
        scaler.update()
        assert handle.factor == (0.4 if broken else 0.5)
    handle.scale = 0.0
    train(net, optimizer, 5)
    handle.scale = 2.0
    assert handle.factor == 1.0  # 2 · 5/10
    assert "step 4 of a warmup of 10" in repr(handle)


@METHODS
def test_accumulated_gradients_are_one_step(method: Any) -> None:
    nets = network(), network()
    for net, parts in zip(nets, (1, 4), strict=True):
        optimizer = SGD(net.parameters(), lr=0.05)
        sh.attach(optimizer, sh.Plan(net, RULES), method=method, warmup=10)
        for _, (x, y) in zip(range(20), batches(), strict=False):
            optimizer.zero_grad()
            for rows in zip(x.chunk(parts), y.chunk(parts), strict=True):
                (nn.functional.cross_entropy(net(rows[0]), rows[1]) / parts).backward()
            optimizer.step()
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


# -------------------------------------------------------------------------------------- the state


@METHODS
@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.05, 0.9), lambda p: Adam(p, 0.01)],
                         ids=["sgd", "adam"])  # fmt: skip
def test_a_resumed_warmup_is_bit_equal(method: Any, make: Any) -> None:
    def begin(seed: int, **options: Any) -> tuple[Any, ...]:
        net = network(seed)
        optimizer = make(net.parameters())
        return net, optimizer, sh.attach(optimizer, sh.Plan(net, RULES), method=method, **options)

    net, optimizer, handle = begin(0, warmup=sh.Warmup(60, "geometric"))
    stream = batches()
    train(net, optimizer, 35, stream)
    file = io.BytesIO()
    torch.save([thing.state_dict() for thing in (net, optimizer, handle)], file)
    file.seek(0)
    train(net, optimizer, 45, stream)
    fresh, again, resumed = begin(7)  # the saved warmup is taken over, as the scale is
    for thing, state in zip((fresh, again, resumed), torch.load(file), strict=True):
        thing.load_state_dict(state)
    assert resumed.factor == pytest.approx(0.01 ** (1 - 36 / 60))
    train(fresh, again, 45, batches(35))
    assert same(net, fresh)
    assert resumed.factor == handle.factor == 1.0
    for block, other in zip(handle.state_dict()["blocks"].values(),
                            resumed.state_dict()["blocks"].values(), strict=True):  # fmt: skip
        assert all(torch.equal(block[key], other[key]) for key in block)


def test_a_state_from_before_there_were_warmups_means_a_constant_strength() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.05)
    handle = sh.attach(optimizer, sh.Plan(net, RULES))
    train(net, optimizer, 30)
    old = {key: value for key, value in handle.state_dict().items() if key != "warmup"}
    for block in old["blocks"].values():
        block["clock"] = block["clock"][:5]
    fresh = network()
    fresh.load_state_dict(net.state_dict())
    again = SGD(fresh.parameters(), lr=0.05)
    resumed = sh.attach(again, sh.Plan(fresh, RULES), warmup=100)
    resumed.load_state_dict(old)
    assert resumed.factor == 1.0
    train(net, optimizer, 30, batches(30))
    train(fresh, again, 30, batches(30))
    assert same(net, fresh)


@pytest.mark.parametrize(
    "damage",
    [
        None,
        7,
        {"steps": 3},
        {"steps": -1, "shape": "linear", "taken": 0},
        {"steps": 1, "shape": "linear", "taken": 0.5},
    ],
    ids=str,
)
def test_a_damaged_warmup_is_refused_and_changes_nothing(damage: Any) -> None:
    net = network()
    handle = sh.attach(SGD(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1)), warmup=8)
    with pytest.raises(AttachError, match="warmup"):
        handle.load_state_dict({**handle.state_dict(), "warmup": damage})
    assert handle.factor == 1 / 8


# -------------------------------------------------------------------- what is given, where it ends


@pytest.mark.parametrize("wrong", [-1, 0.3, 100.0, True, "100", float("nan"), [10], [300]],
                         ids=str)  # fmt: skip
def test_what_is_no_warmup_is_refused(wrong: Any) -> None:
    net = network()
    optimizer, plan = SGD(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1))
    with pytest.raises(AttachError, match="warmup is") as caught:
        sh.attach(optimizer, plan, warmup=wrong)
    assert "a number of optimizer steps" in str(caught.value)
    sh.attach(optimizer, plan, warmup=np.int64(10))  # nothing was attached before


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(AttachError, match="warmup shape is unknown"):
        sh.Warmup(10, "cosine")  # type: ignore[arg-type]


@METHODS
@pytest.mark.parametrize("none", [0, 1])
def test_without_a_warmup_nothing_is_different(method: Any, none: int) -> None:
    nets = network(), network()
    for net, options in zip(nets, ({}, {"warmup": none}), strict=True):
        optimizer = Adam(net.parameters(), lr=0.01)
        sh.attach(optimizer, sh.Plan(net, RULES), method=method, **options)  # type: ignore[arg-type]
        train(net, optimizer, 40)
    assert same(*nets)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.05), lambda p: Adam(p, 0.02, (0.9, 0.99))],
                         ids=["sgd", "adam"])  # fmt: skip
def test_it_ends_where_a_constant_strength_does(make: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(60, 12, dtype=torch.float64)
    y = x[:, :3] @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + 0.3 * torch.randn(60)
    exact = Lasso(alpha=0.1, fit_intercept=False, tol=1e-12).fit(x, y).coef_
    net = nn.Linear(12, 1, bias=False, dtype=torch.float64)
    optimizer = make(net.parameters())
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.2)), warmup=200)
    for _ in range(1200):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x)[:, 0], y).backward()
        optimizer.step()
    found = net.weight.detach()[0].numpy()
    assert (exact == 0).sum() == (found == 0).sum() > 5
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------- a scale in full motion


@pytest.mark.parametrize("per_step", [1.02, 0.98, 1.0])
@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.02), lambda p: Adam(p, 0.01)],
                         ids=["sgd", "adam"])  # fmt: skip
def test_nothing_is_computed_more_often_while_the_scale_moves(
    make: Any, per_step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(self: sh.GroupL1, *arguments: Any) -> Any:
        nonlocal anew
        anew += 1
        return accumulate(self, *arguments)

    accumulate = sh.GroupL1.accumulate
    monkeypatch.setattr(sh.GroupL1, "accumulate", counted)
    monkeypatch.setattr("shrinkage.penalties.kernels.offered._LARGE", 0)
    pytest.importorskip("numba")
    counts, crews = [], set()
    for factor in (1.0, per_step):
        net, anew = network(), 0
        optimizer = make(net.parameters())
        handle = sh.attach(optimizer, sh.Plan(net, RULES))
        stream = batches()
        for k in range(60):
            handle.scale *= factor
            train(net, optimizer, 1, stream)
            if k >= 40 and factor != 1:
                crews.add(id(handle._crew))
        counts.append(anew)
    assert counts[0] == counts[1]
    assert len(crews) <= 1
    assert id(None) not in crews


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("penalty", [sh.L1(0.1), sh.GroupL1(0.1, by="input"),
                                     sh.LogSum(0.1, epsilon=10.0)], ids=str)  # fmt: skip
def test_zeros_leave_once_a_falling_strength_no_longer_holds_them(
    penalty: Any, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # |g| = .05 against λ·scale = .1·.98ᵏ: free from step 35 on, by lr·(|g| − λ·scale) a step
    monkeypatch.setattr("shrinkage.penalties.kernels.offered._LARGE", 0 if large else 2**14)
    net = nn.Linear(4, 1, bias=False)
    nn.init.zeros_(net.weight)
    optimizer = SGD(net.parameters(), lr=0.1)
    handle = sh.attach(optimizer, sh.Plan(net, penalty), method="averaged")
    seen, expected, w = [], [], 0.0
    for k in range(500):
        if k >= 400:
            handle.scale *= 0.98
        net.weight.grad = torch.full_like(net.weight, -0.05)
        optimizer.step()
        w += 0.1 * max(0.0, 0.05 - 0.1 * handle.scale)
        seen.append(net.weight.detach().clone())
        expected.append(w)
    assert (torch.stack(seen[:430]) == 0).all()
    late = 0 if not isinstance(penalty, sh.GroupL1) else 10  # groups are asked every ten steps
    assert seen[434 + late].all()
    for k in range(440 + late, 500):
        assert seen[k].flatten().tolist() == pytest.approx([expected[k]] * 4, rel=0.03, abs=2e-3)


# ------------------------------------------------------------------------------- our own training


@pytest.mark.parametrize("form", ["exact", "term"])
def test_our_own_training_raises_the_strength_once_it_acts(form: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(48, 6, generator=generator)
    data = Examples(x, (x[:, 0] > 0).long())
    ours, hand = network(), network()
    training = sh.Training(batch_size=16, lr=0.05, penalty_from=0.25, warmup=0.5)
    list(fit(sh.Plan(ours, sh.L1(0.02)), training, {"train": data}, epochs=8, seed=3,
             treatment=Treatment(form=form)))  # fmt: skip

    torch.manual_seed(3)
    order, plan = torch.Generator().manual_seed(3), sh.Plan(hand, sh.L1(0.02))
    optimizer = SGD(hand.parameters(), lr=0.05, momentum=0.9)
    handle = sh.attach(optimizer, plan) if form == "exact" else None
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 24)
    stream = (batch for _ in range(8) for batch in data.batches(16, order))
    for step, (rows, y) in enumerate(stream):
        share = 0.0 if step < 6 else min((step - 5) / 12, 1.0)  # 2 of 8 epochs, 12 of 24 steps
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(hand(rows), y)
        if handle:
            handle.scale = share
        elif share:
            loss = loss + share * plan.penalty()
        loss.backward()
        optimizer.step()
        schedule.step()
    for a, b in zip(ours.parameters(), hand.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert (ours[0].weight == 0).any() == (form == "exact")


def test_a_warm_network_has_the_whole_strength_at_once() -> None:
    ends = []
    for warmup in (0.0, 0.9):
        x, y = next(batches())
        net = network()
        training = sh.Training(batch_size=8, warmup=warmup)
        list(fit(sh.Plan(net, sh.L1(0.05)), training, {"train": Examples(x, y)}, epochs=3,
                 seed=0, treatment=Treatment(warm=True)))  # fmt: skip
        ends.append(net)
    assert same(*ends)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, "a", None, True, float("nan")], ids=str)
def test_a_share_out_of_range_is_refused(wrong: Any) -> None:
    with pytest.raises(FitError, match="warmup is"):
        sh.Training(warmup=wrong)


# ------------------------------------------------------------------------------- a collapse is said


@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_a_certificate_says_that_a_network_has_collapsed_and_the_remedy_works(scale: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(120, 6)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    net = network()
    plan = sh.Plan(net, sh.L1(0.5 * scale))
    optimizer = SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, plan)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    said = str(sh.certify(net, plan, (x, y)))
    assert ("A network without weights would cost no more." in said) == (scale == 1)


def test_the_certificate_tells_of_a_warmup_that_still_runs() -> None:
    x, y = next(batches())
    net = network()
    plan = sh.Plan(net, sh.L1(0.01))
    optimizer = SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, plan, warmup=4)
    train(net, optimizer, 1)
    assert "its handle applies it × 0.5" in str(sh.certify(net, plan, (x, y)))
    train(net, optimizer, 2)
    assert "its handle" not in str(sh.certify(net, plan, (x, y)))
