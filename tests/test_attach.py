"""A plan at work on an optimizer: exact zeros, the right fixed points, and nothing else."""

import copy
import gc
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from math import cos, pi
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import Lasso
from torch import Tensor, nn, optim
from torch.optim import SGD, Adam, AdamW, Optimizer

from shrinkage.errors import AttachError, PlanError, ShrinkageWarning
from shrinkage.optim import Metric, attach, register_metric
from shrinkage.optim.metrics import METRICS
from shrinkage.optim.verification import mismatch
from shrinkage.penalties import L1, L2, ElasticNet, GroupL1, Penalty
from shrinkage.penalties.kernels import offered
from shrinkage.plans import Plan

METHODS = ("prox", "averaged")


@pytest.fixture(autouse=True)
def _together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks, too, are looked after by a crew; test_crew.py says that it is the same."""
    monkeypatch.setattr(offered, "_LARGE", 0)


@dataclass(frozen=True)
class Variant:
    """One optimizer, a step size for the least squares below, and the arguments it refuses."""

    name: str
    kind: type[Optimizer]
    lr: float
    options: dict[str, Any] = field(default_factory=dict)
    decays: bool = True  # cosine decay of lr while the least squares are solved

    def make(self, parameters: Any, lr: float | None = None) -> Optimizer:
        return self.kind(parameters, lr=self.lr if lr is None else lr, **self.options)


VARIANTS = [
    Variant("sgd", SGD, 0.1),
    Variant("sgd-momentum", SGD, 0.01, {"momentum": 0.9}),
    Variant("sgd-nesterov", SGD, 0.01, {"momentum": 0.9, "nesterov": True}),
    Variant("sgd-dampening", SGD, 0.05, {"momentum": 0.9, "dampening": 0.5}),
    Variant("sgd-foreach", SGD, 0.01, {"momentum": 0.9, "foreach": True}),
    Variant("sgd-fused", SGD, 0.01, {"momentum": 0.9, "fused": True}),
    Variant("sgd-maximize", SGD, 0.01, {"momentum": 0.9, "maximize": True}),
    Variant("adam", Adam, 0.02),
    Variant("adam-betas", Adam, 0.02, {"betas": (0.5, 0.99), "eps": 1e-4}),
    Variant("adam-amsgrad", Adam, 0.02, {"amsgrad": True}),
    Variant("adam-foreach", Adam, 0.02, {"foreach": True}),
    Variant("adam-fused", Adam, 0.02, {"fused": True}),
    Variant("adamax", optim.Adamax, 0.03),
    Variant("nadam", optim.NAdam, 0.02),
    Variant("nadam-foreach", optim.NAdam, 0.02, {"foreach": True, "momentum_decay": 0.1}),
    Variant("radam", optim.RAdam, 0.05),
    Variant("rmsprop", optim.RMSprop, 0.01),
    Variant("rmsprop-momentum", optim.RMSprop, 0.002, {"momentum": 0.9, "alpha": 0.9}),
    Variant("adagrad", optim.Adagrad, 0.3),
    Variant("adagrad-decay", optim.Adagrad, 0.3, {"lr_decay": 1e-3}),
    Variant("adadelta", optim.Adadelta, 2.0),
    Variant("adafactor", optim.Adafactor, 0.05),
    Variant("asgd", optim.ASGD, 0.1, {"lambd": 0.0}, decays=False),
    Variant("adamw", AdamW, 0.02, {"weight_decay": 0.0}),
    Variant("adamw-fused", AdamW, 0.02, {"weight_decay": 0.0, "fused": True, "amsgrad": True}),
]
EVERY = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
SOME = pytest.mark.parametrize(
    "variant", [v for v in VARIANTS if v.name in ("sgd-momentum", "adam")], ids=lambda v: v.name
)
BOTH = pytest.mark.parametrize("method", METHODS)


# --------------------------------------------------------------- least squares, solved exactly


@dataclass(frozen=True)
class Problem:
    """mean over rows and targets of (x·wᵀ − y)², as ½ tr(w A wᵀ) − tr(b wᵀ) + c."""

    A: Tensor
    b: Tensor
    c: float

    def loss(self, w: Tensor) -> float:
        return float(0.5 * ((w @ self.A) * w).sum() - (self.b * w).sum()) + self.c

    def grad(self, w: Tensor) -> Tensor:
        return w @ self.A - self.b

    def cost(self, w: Tensor, penalty: Penalty) -> float:
        rows = w.T if isinstance(penalty, GroupL1) else w  # groups: by="input"
        return self.loss(w) + float(penalty.value(rows))


N, INPUTS, TARGETS = 60, 12, 3


@cache
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, INPUTS)) @ (np.eye(INPUTS) + 0.2 * rng.normal(size=(INPUTS, INPUTS)))
    x /= x.std(axis=0)
    truth = rng.normal(size=(INPUTS, TARGETS)) * (np.arange(INPUTS) % 2 == 0)[:, None]
    return x, x @ truth + 0.5 * rng.normal(size=(N, TARGETS))


@cache
def problem() -> Problem:
    x, y = (torch.from_numpy(part) for part in data())
    return Problem(2 * x.T @ x / y.numel(), 2 * y.T @ x / y.numel(), float((y * y).mean()))


PENALTIES = {
    "l1": L1(0.1),
    "l2": L2(0.05),
    "elastic": ElasticNet(l1=0.08, l2=0.05),
    "group": GroupL1(0.12, by="input"),
}


@cache
def exact(name: str) -> Tensor:
    """argmin of the problem's loss + penalty, from scikit-learn or in closed form."""
    (x, y), penalty = data(), PENALTIES[name]
    tight = {"fit_intercept": False, "tol": 1e-12, "max_iter": 100_000}
    half = TARGETS / 2  # scikit-learn's loss is RSS/(2n), ours RSS/(n·targets)
    match penalty:
        case L1(s):
            model = Lasso(half * s, **tight)
        case ElasticNet(l1, l2):
            alpha = half * (l1 + 2 * l2)
            model = SklearnElasticNet(alpha, l1_ratio=half * l1 / alpha, **tight)
        case L2(s):
            p = problem()
            return torch.linalg.solve(p.A + 2 * s * torch.eye(INPUTS, dtype=p.A.dtype), p.b.T).T
        case GroupL1(s):
            return torch.from_numpy(group_lasso(s * TARGETS**0.5))
    return torch.from_numpy(np.stack([model.fit(x, y[:, k]).coef_ for k in range(TARGETS)]))


def group_lasso(kappa: float) -> np.ndarray:
    """20,000 proximal gradient steps of the textbook, written without the package."""
    A, b = problem().A.numpy(), problem().b.numpy()
    step, w = 1 / np.linalg.eigvalsh(A).max(), np.zeros((TARGETS, INPUTS))
    for _ in range(20_000):
        w = w - step * (w @ A - b)
        norm = np.maximum(np.linalg.norm(w, axis=0), 1e-300)
        w = w * np.maximum(1 - step * kappa / norm, 0)
    return w


def test_the_exact_solutions_are_exact() -> None:
    p = problem()
    for name, penalty in PENALTIES.items():
        w = exact(name)
        rows, grad = (w.T, p.grad(w).T) if name == "group" else (w, p.grad(w))
        assert float(penalty.distance(rows, grad).max()) < 1e-6, name
        if penalty.slope:
            assert 0 < int((w == 0).sum()) < w.numel(), name


def solve(
    variant: Variant, penalty: Penalty, method: Any, steps: int, *, zeros: bool = False
) -> Tensor:
    """Full-batch training on the problem, cosine decay; returns the weights of the network."""
    net = nn.Linear(INPUTS, TARGETS, bias=False, dtype=torch.float64)
    torch.manual_seed(1)
    nn.init.normal_(net.weight, std=0.3)
    optimizer = variant.make(net.parameters())
    attach(optimizer, Plan(net, penalty), method=method)
    sign = -1.0 if variant.options.get("maximize") else 1.0
    p, w = problem(), net.weight
    with torch.no_grad():
        w.grad = torch.zeros_like(w)
        for k in range(steps):
            for group in optimizer.param_groups:
                decay = 0.5 * (1 + cos(pi * k / steps)) if variant.decays else 1.0
                group["lr"] = variant.lr * decay
            w.grad.copy_(p.grad(w)).mul_(sign)
            optimizer.step()
            if zeros and k > steps // 2 and k % 20 == 0:
                assert (w == 0).any()
                assert not (w.abs() < 1e-12)[w != 0].any()
    return w.detach()


def check_solution(w: Tensor, name: str) -> None:
    penalty, best = PENALTIES[name], exact(name)
    assert problem().cost(w, penalty) <= problem().cost(best, penalty) * (1 + 1e-3)
    if penalty.slope:
        assert int(((w == 0) != (best == 0)).sum()) <= (TARGETS if name == "group" else 1)
    else:
        torch.testing.assert_close(w, best, atol=0.06, rtol=0)


STEPS = 900


@EVERY
@BOTH
def test_the_fixed_point_is_the_minimiser(variant: Variant, method: str) -> None:
    check_solution(solve(variant, PENALTIES["l1"], method, STEPS, zeros=True), "l1")


@SOME
@BOTH
@pytest.mark.parametrize("name", ["l2", "elastic", "group"])
def test_the_fixed_point_of_every_penalty(variant: Variant, method: str, name: str) -> None:
    steps = 1500  # averaging a smooth penalty forgets its start as 1/T: "auto" never does
    check_solution(solve(variant, PENALTIES[name], method, steps), name)


@BOTH
def test_the_fixed_point_does_not_depend_on_the_step(method: str) -> None:
    """(w − 1)²/2 + 0.1·|w| + 0.5·w² is least at 0.9/2, with a step as long as the curvature."""
    w = nn.Linear(1, 1, bias=False)
    optimizer = SGD(w.parameters(), lr=0.5)
    attach(optimizer, Plan(w, ElasticNet(l1=0.1, l2=0.5)), method=method)
    for _ in range(60):
        optimizer.zero_grad()
        (0.5 * (w.weight - 1).square().sum()).backward()
        optimizer.step()
    assert w.weight.item() == pytest.approx(0.45, abs=1e-6)


def test_subgradient_training_makes_no_zeros() -> None:
    w = solve(VARIANTS[1], PENALTIES["l1"], "subgradient", STEPS)
    assert not (w == 0).any()
    assert (exact("l1") == 0).any()


SABOTEURS: dict[str, tuple[Variant, Callable[..., Metric]]] = {
    "momentum ignored": (VARIANTS[1], lambda group, state, parameter: Metric(group["lr"])),
    "dampening ignored": (
        VARIANTS[3],
        lambda group, state, parameter: Metric(group["lr"] / (1 - 0.9)),
    ),
    "Euclidean step under Adam": (VARIANTS[7], lambda group, state, parameter: Metric(group["lr"])),
    "variance instead of its root": (
        VARIANTS[7],
        lambda group, state, parameter: Metric(group["lr"] / (state["exp_avg_sq"] + group["eps"])),
    ),
    "first moment instead of second": (
        VARIANTS[7],
        lambda group, state, parameter: Metric(
            group["lr"] / (state["exp_avg"].abs() + group["eps"])
        ),
    ),
    "bound smaller than a step": (
        VARIANTS[7],
        lambda group, state, parameter: Metric(
            METRICS[AdamW](group, state, parameter).step, 0.01 * group["lr"]
        ),
    ),
}


@pytest.mark.parametrize("saboteur", SABOTEURS)
def test_wrong_metrics_have_other_fixed_points(
    saboteur: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant, wrong = SABOTEURS[saboteur]
    monkeypatch.setitem(METRICS, variant.kind, wrong)
    with pytest.raises(AttachError, match="is not that of its steps"):
        solve(variant, PENALTIES["l1"], "prox", STEPS)
    monkeypatch.setattr("shrinkage.optim.verification.mismatch", lambda *_: None)
    w = solve(variant, PENALTIES["l1"], "prox", STEPS)
    with pytest.raises(AssertionError):
        check_solution(w, "l1")


@EVERY
def test_right_metrics_pass_the_same_check(variant: Variant) -> None:
    if variant.name == "adafactor":
        pytest.skip("clips each update: where gradients vary its steps have a bias of their own")
    optimizer = variant.make(nn.Linear(3, 2).parameters())
    if optimizer.state:
        pytest.skip("this PyTorch makes Adagrad's state with it, which a copy has not")
    assert mismatch(optimizer, METRICS[variant.kind]) is None


# ------------------------------------------------------------------------------ a small network


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def batches(seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        x = torch.randn(16, 6, generator=generator)
        yield x, (x[:, :3].argmax(dim=1) + (x[:, 3] > 1).long()) % 3


def train(
    net: nn.Module,
    optimizer: Optimizer,
    steps: int,
    *,
    stream: Iterator[tuple[Tensor, Tensor]] | None = None,
    each: Callable[[], object] = lambda: None,
) -> None:
    stream = batches() if stream is None else stream
    for _ in range(steps):
        x, y = next(stream)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        each()


def weights(net: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@EVERY
@BOTH
def test_zeros_are_exact_after_every_step(variant: Variant, method: str) -> None:
    if variant.options.get("maximize"):
        pytest.skip("would climb away; its fixed point is tested above")
    net = network()
    optimizer = variant.make(net.parameters())
    attach(optimizer, Plan(net, {"0": L1(0.03), "2": GroupL1(0.03, by="input")}), method=method)
    counts = []

    def look() -> None:
        counts.append(int((net[0].weight == 0).sum()))
        dead = (net[2].weight == 0).sum(dim=0)
        assert set(dead.tolist()) <= {0, 3}  # whole groups or nothing
        assert (net[0].bias != 0).all()

    train(net, optimizer, 120, each=look)
    assert counts[-1] > 8
    assert all((w[w != 0].abs() > 1e-20).all() for w in weights(net))


@BOTH
@pytest.mark.parametrize("kind", [SGD, Adam], ids=["sgd", "adam"])
def test_one_step_by_hand(kind: Any, method: str) -> None:
    net = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 0.05, -1.0]]))
    optimizer = kind(net.parameters(), lr=0.1, **({"momentum": 0.5} if kind is SGD else {}))
    attach(optimizer, Plan(net, L1(0.5)), method=method)
    net.weight.grad = torch.tensor([[1.0, 0.0, 2.0]], dtype=torch.float64)
    if kind is SGD:
        net.weight.grad[0, 1] = 0.1
        # w − lr·g = 0.9, 0.04, −1.2; threshold s·lr/(1−μ) = 0.5·0.1/0.5 = 0.1
        expected = [[0.8, 0.0, -1.1]]
    else:
        net.weight.grad[0, 1] = -10.0
        # Adam's first step is lr·sign(g): 0.9, 0.15, −1.1; threshold s·lr/|g| = 0.05, 0.005, 0.025
        expected = [[0.85, 0.145, -1.075]]
    optimizer.step()
    torch.testing.assert_close(
        net.weight.detach(), torch.tensor(expected, dtype=torch.float64), atol=1e-7, rtol=0
    )


def test_averaging_by_hand() -> None:
    net = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 0.02]]))
    optimizer = SGD(net.parameters(), lr=0.1)
    attach(optimizer, Plan(net, L1(0.5)), method="averaged")
    seen = []
    for grad in ([1.0, 0.0], [-1.0, 0.1], [0.0, -2.0]):
        net.weight.grad = torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
        seen.append(net.weight.detach().flatten().tolist())
    # latent: (0.9, 0.02), (1.0, 0.01), (1.0, 0.21); accumulated threshold: 0.05, 0.10, 0.15
    assert seen[0] == pytest.approx([0.85, 0.0])
    assert seen[1] == pytest.approx([0.9, 0.0])
    assert seen[2] == pytest.approx([0.85, 0.06])
    assert seen[0][1] == seen[1][1] == 0.0


def test_auto_averages_what_makes_zeros_and_only_that() -> None:
    for penalty, twin in ((L1(0.02), "averaged"), (L2(0.02), "prox")):
        results = []
        for method in ("auto", twin):
            net = network()
            optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
            attach(optimizer, Plan(net, penalty), method=method)
            train(net, optimizer, 30)
            results.append(weights(net))
        assert same(*results), penalty


def test_averaging_hides_noise_that_prox_lets_through() -> None:
    counts = {}
    for method in METHODS:
        torch.manual_seed(0)
        net = nn.Linear(60, 1, bias=False)  # two columns speak, 58 are noise
        optimizer = SGD(net.parameters(), lr=0.02, momentum=0.9)
        attach(optimizer, Plan(net, L1(0.1)), method=method)
        for _ in range(400):
            x = torch.randn(16, 60)
            y = x[:, :1] - x[:, 1:2] + torch.randn(16, 1)
            optimizer.zero_grad()
            nn.functional.mse_loss(net(x), y).backward()
            optimizer.step()
        counts[method] = int((net.weight != 0).sum())
        assert (net.weight[0, :2] != 0).all()
    assert counts["averaged"] <= 6, counts
    assert counts["prox"] >= 12, counts


def _drift(penalty: Penalty, method: Any, kind: type[Optimizer], lr: float) -> float:
    """The loss 500 steps after the targets have changed, which was 1,500 steps after the start."""
    torch.manual_seed(0)
    x, net = torch.randn(512, 40), nn.Linear(40, 20, bias=False)
    optimizer = kind(net.parameters(), lr=lr, **({"momentum": 0.9} if kind is SGD else {}))
    attach(optimizer, Plan(net, penalty), method=method)
    for truth, steps in ((torch.randn(20, 40), 1500), (torch.randn(20, 40), 500)):
        for _ in range(steps):
            rows = x[torch.randint(0, 512, (32,))]
            optimizer.zero_grad()
            nn.functional.mse_loss(net(rows), rows @ truth.T).backward()
            optimizer.step()
    with torch.no_grad():
        return float(nn.functional.mse_loss(net(x), x @ truth.T))


@pytest.mark.parametrize(("kind", "lr"), [(SGD, 0.1), (Adam, 0.01)], ids=["sgd", "adam"])
@pytest.mark.parametrize(
    "penalty", [ElasticNet(1e-4, 1e-3), GroupL1(1e-3)], ids=["elastic", "group"]
)
def test_averaging_never_grows_stiff(penalty: Penalty, kind: type[Optimizer], lr: float) -> None:
    averaged, plain = (_drift(penalty, method, kind, lr) for method in ("auto", "prox"))
    assert averaged <= 1.3 * plain + 1e-3


# ----------------------------------------------------------------------- groups, schedules, scale


def test_the_threshold_follows_the_group_and_its_schedule() -> None:
    net = nn.ParameterList([nn.Parameter(torch.ones(2, 1)) for _ in range(2)])
    optimizer = SGD([{"params": [net[0]], "lr": 0.1}, {"params": [net[1]], "lr": 0.2}])
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    attach(optimizer, Plan(net, {"0": L1(1.0), "1": L1(1.0)}), method="prox")
    fallen = []
    for _ in range(3):
        before = [w.detach().clone() for w in net]
        for w in net:
            w.grad = torch.zeros_like(w)
        optimizer.step()
        schedule.step()
        fallen.append([float((b - w.detach()).mean()) for b, w in zip(before, net, strict=True)])
    assert fallen == [pytest.approx([0.1 * f, 0.2 * f]) for f in (1.0, 0.5, 0.25)]


@BOTH
def test_gradient_accumulation_shrinks_once_per_step(method: str) -> None:
    net = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(1.0)
    optimizer = SGD(net.parameters(), lr=0.1)
    attach(optimizer, Plan(net, L1(1.0)), method=method)
    for _ in range(4):
        (net(torch.ones(1, 2)).sum() * 0).backward()
    optimizer.step()
    assert net.weight.detach().flatten().tolist() == pytest.approx([0.9, 0.9])


@BOTH
def test_scale_changes_take_effect_and_start_anew(method: str) -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    handle = attach(optimizer, Plan(net, L1(0.2)), method=method)
    stream = batches()
    train(net, optimizer, 200, stream=stream)
    assert (net[0].weight == 0).all()
    handle.scale = 0.0
    assert handle.scale == 0.0
    before = weights(net)
    train(net, optimizer, 1, stream=stream)
    for then, now in zip(before, weights(net), strict=True):
        assert (then - now).abs().max() < 0.2  # no jump to stale latent weights
    nn.init.normal_(net[0].weight)
    nn.init.normal_(net[2].weight)
    train(net, optimizer, 5, stream=stream)
    assert (net[0].weight != 0).all()
    handle.scale = 1.0
    train(net, optimizer, 300, stream=stream)
    assert (net[0].weight == 0).all()


def test_a_scale_that_moves_at_every_step_keeps_the_average() -> None:
    counts = []
    for drift in (0.0, 1e-6):
        torch.manual_seed(0)
        x, net = torch.randn(256, 30), nn.Linear(30, 1, bias=False)
        y = x[:, :3].sum(dim=1, keepdim=True) + 0.5 * torch.randn(256, 1)
        optimizer = SGD(net.parameters(), lr=0.02)
        handle = attach(optimizer, Plan(net, L1(0.2)), method="averaged")
        for k in range(1500):
            handle.scale = 1 + drift * k
            rows = torch.randint(0, 256, (16,))
            optimizer.zero_grad()
            nn.functional.mse_loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
        counts.append(int((net.weight == 0).sum()))
    assert counts[0] >= 26
    assert abs(counts[0] - counts[1]) <= 1


@pytest.mark.parametrize("penalty", [L1(0.1), GroupL1(0.1, by="input")], ids=["l1", "group"])
def test_a_weaker_scale_lets_weights_return_at_once(penalty: Penalty) -> None:
    net = nn.Linear(4, 1, bias=False)
    optimizer = SGD(net.parameters(), lr=0.1)
    handle = attach(optimizer, Plan(net, penalty), method="averaged")
    for k in range(1100):
        if k == 1000:
            assert (net.weight == 0).all()
            handle.scale = 0.1
        net.weight.grad = torch.full_like(net.weight, 0.05)
        optimizer.step()
    # 100 steps of lr·(|g| − 0.1·s), without delay and without a jump
    torch.testing.assert_close(
        net.weight.detach(), torch.full((1, 4), -100 * 0.1 * 0.04), rtol=0.02, atol=0
    )


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf"), "1", True])
def test_scale_refuses_what_is_no_factor(wrong: Any) -> None:
    net = network()
    handle = attach(SGD(net.parameters(), lr=0.1), Plan(net, L1(0.1)))
    with pytest.raises(ValueError, match="scale"):
        handle.scale = wrong
    assert handle.scale == 1.0


@EVERY
@pytest.mark.parametrize("method", ["auto", "prox", "averaged", "subgradient"])
@pytest.mark.parametrize("off", ["strength", "scale"])
def test_no_strength_leaves_training_bit_identical(variant: Variant, method: Any, off: str) -> None:
    plain, shrunk = network(), network()
    train(plain, variant.make(plain.parameters()), 20)
    optimizer = variant.make(shrunk.parameters())
    if method == "subgradient" and variant.options.get("maximize"):
        pytest.skip("refused, see below")
    strength = 0.0 if off == "strength" else 0.1
    rules = {"0": GroupL1(strength), "2": ElasticNet(strength, strength)}
    handle = attach(optimizer, Plan(shrunk, rules), method=method)
    if off == "scale":
        handle.scale = 0.0
    train(shrunk, optimizer, 20)
    assert same(weights(plain), weights(shrunk))


# -------------------------------------------------------------- what must be left alone, or seen


@BOTH
@pytest.mark.parametrize("kind", [SGD, Adam], ids=["sgd", "adam"])
def test_parameters_without_a_gradient_are_left_alone(kind: Any, method: str) -> None:
    net = network()
    optimizer = kind(net.parameters(), lr=0.01)
    attach(optimizer, Plan(net, L1(1.0)), method=method)
    before = net[0].weight.detach().clone()
    net[2].weight.grad = torch.zeros_like(net[2].weight)
    optimizer.step()
    optimizer.step()
    assert torch.equal(net[0].weight, before)
    assert not torch.equal(net[2].weight, torch.nn.Parameter(network()[2].weight))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", [SGD, Adam], ids=["sgd", "adam"])
@pytest.mark.parametrize("method", ["prox", "averaged", "subgradient"])
def test_steps_that_amp_skips_do_nothing(method: Any, kind: Any, fused: bool) -> None:
    net = network()
    optimizer = kind(net.parameters(), lr=0.01, fused=fused)
    handle = attach(optimizer, Plan(net, L1(0.1)), method=method)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    stream = batches()

    def step(*, overflow: bool) -> None:
        x, y = next(stream)
        optimizer.zero_grad()
        scaler.scale(nn.functional.cross_entropy(net(x), y)).backward()
        if overflow:
            net[0].weight.grad[0, 0] = float("inf")
        scaler.step(optimizer)
        scaler.update()

    for _ in range(3):
        step(overflow=False)
    before, saved = weights(net), copy.deepcopy(handle.state_dict())
    step(overflow=True)
    step(overflow=True)
    assert scaler.get_scale() == 2.0  # two skips indeed
    assert same(before, weights(net))
    for name, block in handle.state_dict()["blocks"].items():
        for key, value in block.items():
            assert torch.equal(value, saved["blocks"][name][key])
    step(overflow=False)
    assert not same(before, weights(net))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("method", ["prox", "averaged", "subgradient"])
def test_amp_scales_the_loss_and_not_the_penalty(method: Any, fused: bool) -> None:
    results = []
    for scale in (None, 1024.0):
        net = network().double()
        optimizer = SGD(net.parameters(), lr=0.1, fused=fused)
        attach(optimizer, Plan(net, L1(0.05)), method=method)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
        stream = batches()
        for _ in range(5):
            x, y = next(stream)
            optimizer.zero_grad()
            scaler.scale(nn.functional.cross_entropy(net(x.double()), y)).backward()
            scaler.step(optimizer)
            scaler.update()
        results.append(weights(net))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-8)


def _load(net: nn.Module, new: dict[str, Tensor]) -> None:
    net.load_state_dict(new)


def _copy(net: nn.Module, new: dict[str, Tensor]) -> None:
    for name, parameter in net.named_parameters():
        parameter.data.copy_(new[name])


def _assign_data(net: nn.Module, new: dict[str, Tensor]) -> None:
    for name, parameter in net.named_parameters():
        parameter.data = new[name].clone()


@pytest.mark.parametrize("write", [_load, _copy, _assign_data])
@BOTH
def test_weights_written_from_outside_are_kept(write: Any, method: str) -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=1e-3)
    attach(optimizer, Plan(net, L1(0.1)), method=method)
    train(net, optimizer, 200)
    new = {name: torch.full_like(p, 5.0) for name, p in net.named_parameters()}
    write(net, new)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    # one step of a fresh start: 5 − lr·s, whatever was accumulated before
    torch.testing.assert_close(net[0].weight.detach(), torch.full((8, 6), 5.0 - 1e-4))
    torch.testing.assert_close(net[0].bias.detach(), torch.full((8,), 5.0))


@pytest.mark.parametrize("cut", [lambda w: w[:3], lambda w: w[:, :2], lambda w: w.t()])
def test_a_weight_seen_anew_in_the_same_memory_starts_anew(cut: Any) -> None:
    """Slimmable networks set ``p.data`` to a part of the same memory, and back."""
    layer = nn.Linear(6, 6, bias=False)
    whole = layer.weight.data
    optimizer = SGD(layer.parameters(), lr=1e-3)
    attach(optimizer, Plan(layer, L1(0.1)), method="averaged")
    for data in (whole, cut(whole), whole):
        layer.weight.data = data.fill_(5.0)
        for _ in range(20):
            layer.weight.grad = torch.zeros_like(layer.weight)
            optimizer.step()
        torch.testing.assert_close(layer.weight.data, torch.full(data.shape, 5.0 - 20 * 1e-4))


def test_a_cast_network_goes_on() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    attach(optimizer, Plan(net, L1(0.02)), method="averaged")
    train(net, optimizer, 20)
    net.double()
    x, y = next(batches())
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x.double()), y).backward()
    optimizer.step()
    assert net[0].weight.dtype == torch.float64
    assert (net[0].weight == 0).any()


def test_a_replaced_parameter_is_an_error() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    attach(optimizer, Plan(net, L1(0.1)))
    net.load_state_dict(network(1).state_dict(), assign=True)
    with pytest.raises(AttachError, match=r"'0.weight' is no longer the one.*assign=False"):
        train(net, optimizer, 1)


@pytest.mark.parametrize("method", ["auto", "prox", "averaged", "subgradient"])
def test_a_closure_changes_nothing(method: Any) -> None:
    one, other = network(), network()
    first, second = SGD(one.parameters(), lr=0.1), SGD(other.parameters(), lr=0.1)
    for net, optimizer in ((one, first), (other, second)):
        attach(optimizer, Plan(net, L1(0.05)), method=method)
    train(one, first, 10)
    stream = batches()
    for k in range(10):
        x, y = next(stream)

        def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
            second.zero_grad()
            loss = nn.functional.cross_entropy(other(x), y)
            loss.backward()
            return loss

        loss = second.step(closure) if k % 2 else second.step(closure=closure)
        assert loss.item() > 0
    assert same(weights(one), weights(other))


@BOTH
def test_unused_embedding_rows_under_adam(method: str) -> None:
    torch.manual_seed(0)
    net = nn.Embedding(50, 4)
    lr = 1e-2
    optimizer = Adam(net.parameters(), lr=lr)
    attach(optimizer, Plan(net, {nn.Embedding: L1(1e-3)}), method=method)
    before = net.weight.detach().clone()
    reach = lr * (1 - 0.9) / (1 - 0.999) ** 0.5
    for k in range(1, 4):
        optimizer.zero_grad()
        (net(torch.tensor([0, 1])) ** 2).sum().backward()
        optimizer.step()
        moved = (net.weight.detach() - before).abs().max()
        assert float(moved) <= k * reach * (1 + 1e-5)
    assert (net.weight[2:] != 0).sum() > 100


@BOTH
def test_a_row_that_was_never_seen_can_still_be_learnt(method: str) -> None:
    torch.manual_seed(0)
    net = nn.Embedding(2, 4)
    optimizer = Adam(net.parameters(), lr=1e-2)
    attach(optimizer, Plan(net, {nn.Embedding: L1(1e-3)}), method=method)
    for k in range(700):
        optimizer.zero_grad()
        # row 1 appears for the first time after 100 steps, with a gradient of order 1
        ((net(torch.tensor([0 if k < 100 else 1])) - 1) ** 2).sum().backward()
        optimizer.step()
        if k == 99:
            assert (net.weight[1] == 0).all()
    assert (net.weight[1] > 0.2).all()


@BOTH
@SOME
def test_a_scalar_parameter_is_a_vector_of_one(variant: Variant, method: str) -> None:
    class Gate(nn.Module):
        def __init__(self, shape: tuple[int, ...]) -> None:
            super().__init__()
            self.gate = nn.Parameter(torch.full(shape, 0.5))

    seen = []
    for shape in ((), (1,)):
        net = Gate(shape)
        optimizer = variant.make(net.parameters())
        attach(optimizer, Plan(net, {"gate": L1(0.1)}), method=method)
        values = []
        for k in range(60):
            net.gate.grad = torch.full(shape, (-0.3 if k < 5 else 0.02))
            optimizer.step()
            values.append(net.gate.item())
        seen.append(values)
    assert seen[0] == pytest.approx(seen[1], rel=1e-5, abs=1e-7)


@BOTH
def test_groups_of_unseen_rows_can_still_be_learnt(method: str) -> None:
    torch.manual_seed(0)
    net = nn.Embedding(2, 4)
    optimizer = Adam(net.parameters(), lr=1e-2)
    attach(optimizer, Plan(net, {nn.Embedding: GroupL1(1e-3, by="input")}), method=method)
    for k in range(700):
        optimizer.zero_grad()
        ((net(torch.tensor([0 if k < 100 else 1])) - 1) ** 2).sum().backward()
        optimizer.step()
    assert (net.weight[1] > 0.2).all()


@BOTH
@SOME
def test_bfloat16_parameters(variant: Variant, method: str) -> None:
    net = network().bfloat16()
    optimizer = variant.make(net.parameters())
    attach(optimizer, Plan(net, {"0": L1(0.03), "2": GroupL1(0.03, by="input")}), method=method)
    stream = batches()
    for _ in range(200):
        x, y = next(stream)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x.bfloat16()).float(), y).backward()
        optimizer.step()
    assert net[0].weight.dtype == torch.bfloat16
    assert int((net[0].weight == 0).sum()) > 10
    assert all(w.isfinite().all() for w in weights(net))


@SOME
def test_the_textbook_form_is_the_term_in_the_loss(variant: Variant) -> None:
    rules = {"0": L1(0.02), "2": GroupL1(0.01)}
    one, other = network().double(), network().double()
    hooked, plain = variant.make(one.parameters()), variant.make(other.parameters())
    attach(hooked, Plan(one, rules), method="subgradient").scale = 0.5
    plan = Plan(other, rules).scaled(0.5)
    stream = batches()
    for _ in range(50):
        x, y = next(stream)
        for net, optimizer in ((one, hooked), (other, plain)):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x.double()), y)
            if net is other:
                loss = loss + plan.penalty()
            loss.backward()
            optimizer.step()
    for a, b in zip(weights(one), weights(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_rounding_does_not_kill_a_living_group(kind: Any) -> None:
    """What bfloat16 rounds off is kept, and is no sign that the group is zero."""
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        net = nn.Linear(8, 2, bias=False)
        with torch.no_grad():
            net.weight.copy_(torch.linspace(-1, 1.1, 16).reshape(2, 8))
        net.to(dtype)
        optimizer = kind(net.parameters(), lr=0.1)
        attach(optimizer, Plan(net, GroupL1(0.1)), method="averaged")
        target = torch.tensor([[1.0], [0.02]], dtype=dtype).expand(2, 8)
        for _ in range(300):
            optimizer.zero_grad()
            (0.5 * (net.weight - target).square().sum()).backward()
            optimizer.step()
        found.append(net.weight.detach().float())
    wide, narrow = found
    assert torch.equal(wide.any(dim=1), torch.tensor([True, False]))
    assert torch.equal(narrow.any(dim=1), torch.tensor([True, False]))
    assert torch.allclose(narrow, wide, atol=0.03)


def test_only_the_plan_is_touched() -> None:
    plain, shrunk = network(), network()
    x, y = next(batches())
    for net in (plain, shrunk):
        optimizer = SGD(net.parameters(), lr=0.1)
        if net is shrunk:
            attach(optimizer, Plan(net, {"2": L1(0.1)}))
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        assert set(optimizer.state_dict()["state"]) == set()
    assert torch.equal(plain[0].weight, shrunk[0].weight)
    assert torch.equal(plain[2].bias, shrunk[2].bias)
    assert not torch.equal(plain[2].weight, shrunk[2].weight)


# ---------------------------------------------------------------------------- state and lifetime


@pytest.mark.parametrize("method", ["auto", "prox", "averaged", "subgradient"])
@SOME
def test_a_resumed_training_is_bit_equal(variant: Variant, method: Any) -> None:
    rules = {"0": L1(0.01), "2": GroupL1(0.01, by="input")}

    def begin(seed: int) -> tuple[nn.Module, Optimizer, Any]:
        net = network(seed)
        optimizer = variant.make(net.parameters())
        return net, optimizer, attach(optimizer, Plan(net, rules), method=method)

    net, optimizer, handle = begin(0)
    stream = batches()
    train(net, optimizer, 20, stream=stream)
    handle.scale = 0.7
    train(net, optimizer, 20, stream=stream)
    file = io.BytesIO()
    torch.save([net.state_dict(), optimizer.state_dict(), handle.state_dict()], file)
    file.seek(0)
    train(net, optimizer, 40, stream=stream)

    fresh, again, resumed = begin(7)
    for thing, state in zip((fresh, again, resumed), torch.load(file), strict=True):
        thing.load_state_dict(state)
    assert resumed.scale == 0.7
    stream = batches()
    for _ in range(40):
        next(stream)
    train(fresh, again, 40, stream=stream)
    assert same(weights(net), weights(fresh))
    for name, block in handle.state_dict()["blocks"].items():
        for key, value in block.items():
            assert torch.equal(value, resumed.state_dict()["blocks"][name][key])


def test_the_latent_weights_are_part_of_the_state() -> None:
    # Without the handle's state the same resumption goes elsewhere: the test above can fail.
    net = network()
    optimizer = SGD(net.parameters(), lr=0.05)
    attach(optimizer, Plan(net, L1(0.01)), method="averaged")
    stream = batches()
    train(net, optimizer, 40, stream=stream)
    fresh = network(7)
    fresh.load_state_dict(net.state_dict())
    again = SGD(fresh.parameters(), lr=0.05)
    attach(again, Plan(fresh, L1(0.01)), method="averaged")
    train(net, optimizer, 40, stream=stream)
    stream = batches()
    for _ in range(40):
        next(stream)
    train(fresh, again, 40, stream=stream)
    assert not same(weights(net), weights(fresh))


def test_a_state_of_another_plan_or_method_is_refused() -> None:
    def handle(rules: Any, method: Any) -> Any:
        net = network()
        return attach(SGD(net.parameters(), lr=0.1), Plan(net, rules), method=method)

    state = handle(L1(0.1), "averaged").state_dict()
    with pytest.raises(AttachError, match="saved handle belongs to another plan or method"):
        handle(L1(0.1), "prox").load_state_dict(state)
    with pytest.raises(AttachError, match=r"differing parameters \['2.weight'\]"):
        handle({"0": L1(0.1)}, "averaged").load_state_dict(state)


def test_a_damaged_state_is_refused_and_changes_nothing() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    handle = attach(optimizer, Plan(net, L1(0.1)), method="averaged")
    train(net, optimizer, 3)
    good = copy.deepcopy(handle.state_dict())
    for damage in (
        {},
        {**good, "scale": 7.0, "blocks": {**good["blocks"], "0.weight": {"residual": 1}}},
        {
            **good,
            "scale": 7.0,
            "blocks": {**good["blocks"], "0.weight": good["blocks"]["2.weight"]},
        },
    ):
        with pytest.raises(AttachError, match=r"not the state of a handle|does not fit"):
            handle.load_state_dict(damage)
        assert handle.scale == 1.0
        assert torch.equal(
            handle.state_dict()["blocks"]["0.weight"]["residual"],
            good["blocks"]["0.weight"]["residual"],
        )


@BOTH
@pytest.mark.parametrize("penalty", [L1(0.01), GroupL1(0.01)], ids=["l1", "group"])
def test_a_learning_rate_of_zero_moves_nothing(penalty: Penalty, method: str) -> None:
    net = network()
    optimizer = Adam(net.parameters(), lr=0.0)
    attach(optimizer, Plan(net, penalty), method=method)
    stream = batches()
    for lr in (0.0, 0.01, 0.0):
        optimizer.param_groups[0]["lr"] = lr
        before = weights(net)
        train(net, optimizer, 13, stream=stream)
        assert same(before, weights(net)) == (lr == 0)
        assert all(w.isfinite().all() for w in weights(net))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("penalty", [L1(0.01), GroupL1(0.01)], ids=["l1", "group"])
@pytest.mark.parametrize("kind", [SGD, Adam], ids=["sgd", "adam"])
def test_a_gradient_that_is_no_number(kind: Any, penalty: Penalty, fused: bool, bad: float) -> None:
    """It ruins the weight, as it does without us; good weights and states are good again."""
    net = nn.Linear(300, 200, bias=False)
    optimizer = kind(net.parameters(), lr=0.01, fused=fused)
    handle = attach(optimizer, Plan(net, penalty), method="averaged")

    def step(grad: float) -> None:
        net.weight.grad = torch.zeros_like(net.weight)
        net.weight.grad[3, 5] = grad  # not among the weights that are compared
        optimizer.step()

    for _ in range(11):
        step(0.01)
    good = copy.deepcopy([net.state_dict(), optimizer.state_dict()])
    step(bad)
    if kind is Adam or bad != bad:
        assert net.weight[3, 5].isnan()
    else:
        assert not net.weight[3, 5].isfinite()
    residual = handle.state_dict()["blocks"]["weight"]["residual"]
    assert residual.isfinite().all()
    for thing, state in zip((net, optimizer), good, strict=True):
        thing.load_state_dict(state)
    for _ in range(25):
        step(0.01)
        assert net.weight.isfinite().all()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@BOTH
def test_a_compiled_network(backend: str, method: str) -> None:
    results = []
    for compiled in (False, True):
        net = network()
        plan = Plan(net, {"0": L1(0.03), "2": GroupL1(0.03, by="input")})
        optimizer = Adam(net.parameters(), lr=0.02)
        attach(optimizer, plan, method=method)
        train(torch.compile(net, backend=backend) if compiled else net, optimizer, 40)
        assert (net[0].weight == 0).any()
        results.append(weights(net))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
        assert torch.equal(one == 0, other == 0)


@BOTH
def test_a_learning_rate_in_a_tensor(method: str) -> None:
    results = []
    for lr in (0.02, torch.tensor(0.02)):
        net = network()
        optimizer = Adam(net.parameters(), lr=lr, fused=True)
        attach(optimizer, Plan(net, L1(0.03)), method=method)
        train(net, optimizer, 40)
        results.append(weights(net))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_step_that_is_held_follows_the_schedule() -> None:
    """From step 90 on, Adam's metric is read every tenth step: the rate must not wait for it."""
    net = nn.Linear(4, 1, bias=False)
    nn.init.ones_(net.weight)
    optimizer = Adam(net.parameters(), lr=1e-3)
    attach(optimizer, Plan(net, L1(0.5)), method="averaged")
    for k in range(200):
        optimizer.param_groups[0]["lr"] = 1e-3 if k < 195 else 1e-4
        before = net.weight.detach().clone()
        net.weight.grad = torch.ones_like(net.weight)
        optimizer.step()
    # lr·(1 + s): Adam steps by lr, the threshold by lr·s/√v̂
    torch.testing.assert_close(before - net.weight, torch.full((1, 4), 1.5e-4), rtol=1e-3, atol=0)


@BOTH
def test_remove_stops_and_leaves_the_weights(method: str) -> None:
    net, plain = network(), network()
    optimizer = SGD(net.parameters(), lr=0.1)
    plan = Plan(net, L1(0.05))
    handle = attach(optimizer, plan, method=method)
    train(net, optimizer, 30)
    before = weights(net)
    handle.remove()
    handle.remove()  # twice is harmless
    assert same(before, weights(net))
    plain.load_state_dict(net.state_dict())
    train(net, optimizer, 5)
    train(plain, SGD(plain.parameters(), lr=0.1), 5)
    assert same(weights(net), weights(plain))
    again = attach(optimizer, plan, method=method)
    handle.remove()  # an old handle must not free a plan that another one applies
    with pytest.raises(PlanError, match="act twice"):
        plan.penalty()
    again.remove()
    plan.penalty()
    with pytest.raises(AttachError, match="the handle was removed"):
        again.scale = 0.5
    assert "removed" in repr(again)


def test_attaching_twice_is_an_error() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    plan = Plan(net, L1(0.1))
    attach(optimizer, plan)
    with pytest.raises(PlanError, match=r"attached already.*remove\(\)"):
        attach(optimizer, plan)
    with pytest.raises(PlanError, match="attached already"):
        attach(SGD(net.parameters(), lr=0.1), plan)


def test_two_plans_for_one_parameter_are_an_error() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    first = attach(optimizer, Plan(net, L1(0.1)))
    second = Plan(net, {"0": L2(0.1)})
    with pytest.raises(PlanError, match=r"'0.weight' has a penalty at work already.*one plan"):
        attach(optimizer, second)
    second.penalty()  # it was not claimed
    first.remove()
    attach(optimizer, second)
    attach(optimizer, Plan(net, {"2": L1(0.1)}))  # another parameter


def test_attaching_again_with_a_new_optimizer_is_no_error() -> None:
    net = network()
    for _ in range(3):  # a cell of a notebook that is run again
        optimizer = SGD(net.parameters(), lr=0.1)
        handle = attach(optimizer, Plan(net, L1(0.1)))
    assert handle.scale == 1.0


def test_a_failed_attach_leaves_no_trace() -> None:
    net = network()
    plan = Plan(net, L1(0.1))
    with pytest.raises(AttachError):
        attach(SGD(net[0].parameters(), lr=0.1), plan)
    plan.penalty()
    attach(SGD(net.parameters(), lr=0.1), plan)


def test_the_handle_need_not_be_kept() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    attach(optimizer, Plan(net, L1(0.1)))
    gc.collect()
    train(net, optimizer, 50)
    assert (net[0].weight == 0).any()


# -------------------------------------------------------------------------- errors and warnings


def test_an_optimizer_without_some_parameters() -> None:
    net = network()
    with pytest.raises(AttachError, match=r"1 missing, first '2.weight'.*model.parameters\(\)"):
        attach(SGD(net[0].parameters(), lr=0.1), Plan(net, L1(0.1)))


def test_an_unknown_method() -> None:
    net = network()
    with pytest.raises(AttachError, match=r"method is unknown: got 'proxx'.*Did you mean 'prox'"):
        attach(SGD(net.parameters(), lr=0.1), Plan(net, L1(0.1)), method="proxx")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Rprop", "sign alone"),
        ("LBFGS", "mix all weights"),
        ("Muon", "mix all weights of a matrix"),
        ("SparseAdam", "without a gradient"),
    ],
)
def test_an_optimizer_without_a_step_per_weight(name: str, reason: str) -> None:
    net = nn.Linear(2, 2, bias=False)
    right = {"Muon": {"weight_decay": 0.0}, "LBFGS": {"line_search_fn": "strong_wolfe"}}
    optimizer = getattr(optim, name)(net.parameters(), lr=0.1, **right.get(name, {}))
    with pytest.raises(
        AttachError, match=rf"{name} has no step.*{reason}.*SGD, ASGD, Adam.*polish"
    ):
        attach(optimizer, Plan(net, L1(0.1)))
    attach(optimizer, Plan(net, L1(0.1)), method="subgradient")


class Unknown(Optimizer):
    """w ← w − rate·g, under a name of its own for the rate."""

    def __init__(self, params: Any, rate: float) -> None:
        super().__init__(params, {"rate": rate})

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(p.grad, alpha=group["rate"])


def test_a_metric_for_an_optimizer_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Linear(2, 1, bias=False)
    nn.init.ones_(net.weight)
    optimizer = Unknown(net.parameters(), 0.5)
    with pytest.raises(AttachError, match=r"not known: got Unknown.*register_metric\(\)"):
        attach(optimizer, Plan(net, L1(0.1)))
    monkeypatch.setattr("shrinkage.optim.metrics.METRICS", dict(METRICS))
    register_metric(Unknown, lambda group, state, parameter: Metric(group["rate"]))
    attach(optimizer, Plan(net, L1(0.1)), method="prox")
    net.weight.grad = torch.zeros_like(net.weight)
    optimizer.step()
    assert net.weight.detach().flatten().tolist() == pytest.approx([0.95, 0.95])
    with pytest.raises(AttachError, match="a metric needs an optimizer's class and a function"):
        register_metric(nn.Linear, lambda group, state, parameter: Metric(1.0))


def test_the_textbook_form_needs_no_metric() -> None:
    net = nn.Linear(INPUTS, TARGETS, bias=False, dtype=torch.float64)
    optimizer = optim.LBFGS(net.parameters(), lr=0.5, max_iter=10)
    penalty = L2(0.05)
    attach(optimizer, Plan(net, penalty), method="subgradient")

    def closure() -> Tensor:
        net.weight.grad = problem().grad(net.weight.detach())
        return torch.tensor(0.0)

    for _ in range(40):
        optimizer.step(closure)
    torch.testing.assert_close(net.weight.detach(), exact("l2"), atol=1e-3, rtol=0)


def test_a_momentum_that_never_rests() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1, momentum=1.0)
    attach(optimizer, Plan(net, L1(0.1)))
    with pytest.raises(AttachError, match="momentum=1"):
        train(net, optimizer, 1)


def test_no_optimizer_at_all() -> None:
    net = network()
    with pytest.raises(AttachError, match="attach needs an optimizer: got Sequential"):
        attach(net, Plan(net, L1(0.1)))


def test_the_textbook_form_cannot_be_maximized() -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1, maximize=True)
    with pytest.raises(AttachError, match="maximize"):
        attach(optimizer, Plan(net, L1(0.1)), method="subgradient")


def test_a_subclass_has_its_parents_step() -> None:
    class Mine(SGD):
        pass

    results = []
    for kind in (SGD, Mine):
        net = network()
        optimizer = kind(net.parameters(), lr=0.1, momentum=0.9)
        attach(optimizer, Plan(net, L1(0.05)))
        train(net, optimizer, 10)
        results.append(weights(net))
    assert same(*results)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: SGD(p, lr=0.1, weight_decay=0.01), "adds (d/2)·Σw²"),
        (lambda p: Adam(p, lr=0.1, weight_decay=0.01), "adds (d/2)·Σw²"),
        (lambda p: AdamW(p, lr=0.1), "the gradient of no penalty"),
        (lambda p: optim.Adafactor(p, weight_decay=0.01), "the gradient of no penalty"),
        (
            lambda p: Adam(p, lr=0.1, weight_decay=0.01, decoupled_weight_decay=True),
            "the gradient of no penalty",
        ),
    ],
)
def test_weight_decay_beside_a_plan_warns(make: Any, text: str) -> None:
    net = network()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attach(make(net.parameters()), Plan(net, L1(0.1)))
    (warning,) = caught
    assert warning.category is ShrinkageWarning
    assert "weight_decay=0.01 beside a plan" in str(warning.message)
    assert text in str(warning.message)
    assert warning.filename == __file__


def test_a_schedule_of_weight_decay_warns_once() -> None:
    net = network()
    optimizer = AdamW(net.parameters(), lr=0.1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attach(optimizer, Plan(net, L1(0.1)))
        for decay in (0.02, 0.03, 0.04):
            optimizer.param_groups[0]["weight_decay"] = decay
            train(net, optimizer, 1)
    assert len(caught) == 1


def test_weight_decay_that_begins_later_warns() -> None:
    net = network()
    optimizer = AdamW(net.parameters(), lr=0.1, weight_decay=0.0)
    attach(optimizer, Plan(net, L1(0.1)))
    optimizer.param_groups[0]["weight_decay"] = 0.02
    with pytest.warns(ShrinkageWarning, match=r"weight_decay=0.02 beside a plan"):
        train(net, optimizer, 1)


def test_the_decay_of_asgd_warns() -> None:
    net = network()
    with pytest.warns(ShrinkageWarning, match=r"lambd=0.0001 beside a plan: ASGD's decay adds"):
        attach(optim.ASGD(net.parameters()), Plan(net, L1(0.1)))


def test_weight_decay_of_other_parameters_does_not_warn() -> None:
    net = network()
    groups = [{"params": net[0].parameters(), "weight_decay": 0.1},
              {"params": net[2].parameters(), "weight_decay": 0.0}]  # fmt: skip
    attach(AdamW(groups, lr=0.1), Plan(net, {"2": L1(0.1)}))
