"""polish: the exact solution where there is one, never uphill, and honest where it cannot go on."""

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import shrinkage as sh
from shrinkage.analysis.objectives import Objective
from shrinkage.analysis.polish import Round, newton
from shrinkage.analysis.polish.layout import joined
from shrinkage.data import Examples, load, split
from shrinkage.errors import FitError
from shrinkage.experiments.fit import Training, fit


def table(name: str) -> tuple[Tensor, Tensor]:
    train = split(load(name), 0).train
    return train.x.double().flatten(
        1
    ), train.y if train.y.dtype == torch.int64 else train.y.double()


def linear(x: Tensor, outputs: int) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(x.shape[1], outputs).double()


def same_solution(got: Tensor, want: np.ndarray) -> None:
    """Within 1e-4 of the largest coefficient, and zero in the same places."""
    exact = torch.from_numpy(np.atleast_2d(want))
    assert float((got.detach() - exact).abs().max()) <= 1e-4 * float(exact.abs().max())
    assert torch.equal(got.detach() == 0, exact.abs() < 1e-12)


def correlated() -> tuple[Tensor, Tensor]:
    """2,000 × 300 with neighbouring columns alike, 15 of which speak."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 300))
    for k in range(1, 300):
        x[:, k] = 0.8 * x[:, k - 1] + 0.6 * x[:, k]
    truth = np.where(np.arange(300) % 20 == 0, rng.normal(size=300), 0.0)
    y = x @ truth + rng.normal(size=2000)
    y = (y - y.mean()) / y.std()
    return torch.from_numpy(x), torch.from_numpy(y).reshape(-1, 1)


@pytest.mark.parametrize("data", ["diabetes", "correlated"])
@pytest.mark.parametrize("penalty", [sh.L1(0.05), sh.ElasticNet(0.05, 0.02), sh.L2(0.05)])
def test_least_squares_match_scikit_learn(data: str, penalty: sh.Penalty) -> None:
    x, y = correlated() if data == "correlated" else table(data)
    net = linear(x, 1)
    found = sh.polish(net, sh.Plan(net, penalty), (x, y), tol=1e-7)
    tight = {"tol": 1e-14, "max_iter": 1_000_000}
    match penalty:
        case sh.L1(s):
            rival: Any = Lasso(s / 2, **tight)
        case sh.ElasticNet(l1, l2):
            rival = SklearnElasticNet(l1 / 2 + l2, l1_ratio=l1 / (l1 + 2 * l2), **tight)
        case sh.L2(s):
            rival = Ridge(s * len(x), tol=1e-14)
    rival.fit(x.numpy(), y.numpy().ravel())
    same_solution(net.weight, rival.coef_)
    assert float(net.bias.detach()) == pytest.approx(float(np.ravel(rival.intercept_)[0]), abs=1e-6)
    assert found.gap <= 1e-7
    assert found.notes == ()


@pytest.mark.parametrize("penalty", [sh.L1(0.01), sh.ElasticNet(0.005, 0.005)])
def test_two_classes_match_scikit_learn(penalty: sh.Penalty) -> None:
    x, y = table("breast_cancer")
    net = linear(x, 2)
    assert sh.polish(net, sh.Plan(net, penalty), (x, y), tol=1e-7).gap <= 1e-7
    # Only w₁ − w₀ acts, and the penalty shares it out: l1·|d| + (l2/2)·d²
    l1, l2 = (penalty.strength, 0.0) if isinstance(penalty, sh.L1) else (penalty.l1, penalty.l2)
    rival = LogisticRegression(
        C=1 / (len(x) * (l1 + l2)),
        l1_ratio=l1 / (l1 + l2),
        solver="saga",
        tol=1e-10,
        max_iter=100_000,
    ).fit(x.numpy(), y.numpy())
    same_solution(net.weight[1:] - net.weight[:1], rival.coef_)


@pytest.mark.parametrize("penalty", [sh.L1(0.01), sh.ElasticNet(0.005, 0.005)])
def test_ten_classes_are_no_worse_than_scikit_learns(penalty: sh.Penalty) -> None:
    x, y = table("digits")
    net = linear(x, 10)
    found = sh.polish(net, sh.Plan(net, penalty), (x, y), tol=1e-6)
    l1, l2 = (penalty.strength, 0.0) if isinstance(penalty, sh.L1) else (penalty.l1, penalty.l2)
    rival = LogisticRegression(
        C=1 / (len(x) * (l1 + 2 * l2)),
        l1_ratio=l1 / (l1 + 2 * l2),
        solver="saga",
        tol=1e-5,
        max_iter=400,
    ).fit(x.numpy(), y.numpy())
    w = torch.from_numpy(rival.coef_)
    logits = x @ w.T + torch.from_numpy(rival.intercept_)
    theirs = float(cross_entropy(logits, y)) + float(penalty.value(w))
    assert found.objective <= theirs + 1e-9
    assert found.objective == pytest.approx(theirs, rel=1e-4)
    assert found.gap <= 1e-6


def test_groups_match_a_long_proximal_descent() -> None:
    x, y = correlated()
    net = linear(x, 1)
    penalty = sh.GroupL1(0.01, by="filter")
    wide = sh.Plan(net, {"weight": penalty})
    found = sh.polish(net, wide, (x, y), tol=1e-7)
    a, b = 2 * (x.T @ (x - x.mean(0))) / len(x), 2 * ((x - x.mean(0)).T @ y) / len(x)
    w = torch.zeros(300, 1, dtype=torch.float64)
    step = 1 / float(torch.linalg.eigvalsh(a).max())
    for _ in range(20_000):
        w = penalty.prox((w - step * (a @ w - b)).T, step).T
    same_solution(net.weight, w.T.numpy())
    assert found.gap <= 1e-7


@pytest.mark.parametrize("by", ["filter", "input"])
def test_groups_of_a_classifier_come_to_rest(by: Any) -> None:
    x, y = table("digits")
    net = linear(x, 10)
    found = sh.polish(net, sh.Plan(net, sh.GroupL1(0.004, by=by)), (x, y), tol=1e-6)
    assert found.gap <= 1e-6
    dead = (net.weight == 0).all(dim=1 if by == "filter" else 0)
    assert (dead.sum() > 0) == (by == "input")
    assert (net.weight != 0).any(dim=1 if by == "filter" else 0).eq(~dead).all()


# ------------------------------------------------------------------------------------- networks


def digits_net(*, smooth: bool) -> tuple[nn.Module, Tensor, Tensor]:
    """A small CNN on 400 digits, trained for a while; smooth with Tanh and average pooling."""
    train = split(load("digits"), 0, train_size=400).train
    torch.manual_seed(0)
    bend, pool = (nn.Tanh, nn.AvgPool2d) if smooth else (nn.ReLU, nn.MaxPool2d)
    net = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), bend(), pool(2), nn.Conv2d(8, 8, 3, padding=1)),
        *(bend(), pool(2), nn.Flatten(), nn.Linear(32, 10)),
    )
    return net, train.x, train.y


def trained(net: nn.Module, plan: sh.Plan, x: Tensor, y: Tensor) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    handle = sh.attach(optimizer, plan)
    for _ in range(20):
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    handle.remove()


def test_a_smooth_network_comes_to_rest() -> None:
    x, y = table("breast_cancer")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(30, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    plan = sh.Plan(net, sh.L1(0.01), biases=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    handle = sh.attach(optimizer, plan)
    for _ in range(300):
        optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        optimizer.step()
    handle.remove()
    before = sh.certify(net, plan, (x, y))
    seen: list[Round] = []
    after = sh.polish(net, plan, (x, y), tol=0.01, progress=seen.append)
    assert before.gap > 0.3
    assert after.gap <= 0.01
    assert after.notes == ()
    assert after.objective < 0.7 * after.null_objective
    falling = [before.objective, *(step.objective for step in seen)]
    assert all(b < a for a, b in pairwise(falling))
    assert after.objective == pytest.approx(falling[-1], rel=1e-9)


def contrasted(net: nn.Module, plan: sh.Plan, size: int = 200) -> Examples:
    """Some digits on which ``net`` was trained as a contrast trains it."""
    parts = split(load("digits"), 0, train_size=size)
    for _ in fit(plan, Training(epochs=60), {"train": parts.train}, epochs=60, seed=0):
        pass
    return parts.train


def test_a_smooth_convolutional_network_comes_to_rest() -> None:
    net, _, _ = digits_net(smooth=True)
    plan = sh.Plan(net, sh.L1(3e-3), biases=True)
    train = contrasted(net, plan, 100)
    before = sh.certify(net, plan, train)
    after = sh.polish(net, plan, train, tol=0.05)
    assert before.gap > 1
    assert after.gap <= 0.05
    assert after.notes == ()
    assert after.objective < 0.6 * before.objective
    assert after.nonzeros < 0.5 * before.nonzeros


def test_a_network_with_kinks_comes_to_rest_on_them() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    plan = sh.Plan(net, sh.L1(3e-3), biases=True)
    train = contrasted(net, plan)
    before = sh.certify(net, plan, train, samples=50)
    after = sh.polish(net, plan, train, tol=0.1, samples=50)
    assert before.kink_gap is not None
    assert before.kink_gap > 1
    assert after.kink_gap is not None
    assert after.kink_gap <= 0.1
    assert after.gap > 0.1  # the plain gap does not see it
    assert after.notes == ()
    assert after.objective < 0.6 * before.objective


def test_curvature_is_learnt_from_gradients_of_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "_SLOW", 1.0)  # every step goes by gradients around a point
    net, x, y = digits_net(smooth=False)
    plan = sh.Plan(net, sh.L1(1e-3))
    trained(net, plan, x, y)
    objective = Objective(net, plan, (x, y), None)
    work = newton._Newton(objective, samples=5)

    def now() -> tuple[Tensor, Tensor]:
        return joined(objective.point).clone(), joined(objective.gradient()[1])

    with objective.evaluating():
        seen = [now()]
        work.run(1e-6, 3, lambda _: seen.append(now()))
    assert len(seen) == 4
    for (w, g), (later, bent), (s, change) in zip(seen, seen[1:], work.pairs, strict=False):
        assert torch.equal(s, later - w)
        assert torch.allclose(change, (bent - g).float(), atol=1e-9)


@pytest.mark.parametrize("smooth", [True, False], ids=["smooth", "kinks"])
def test_a_network_is_lowered_and_told_honestly(*, smooth: bool) -> None:
    net, x, y = digits_net(smooth=smooth)
    plan = sh.Plan(net, sh.L1(1e-3), biases=True)
    trained(net, plan, x, y)
    before = sh.certify(net, plan, (x, y))
    after = sh.polish(net, plan, (x, y), tol=1e-6, rounds=8)
    assert after.objective < before.objective
    assert after.gap > 1e-6
    (note,) = after.notes
    assert "Polish stopped" in note


# ---------------------------------------------------------------------------------- what it leaves


def test_it_reads_loaders_and_leaves_modes_and_frozen_weights() -> None:
    train = split(load("breast_cancer"), 0).train
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(30, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 2)
    )
    net[0].requires_grad_(requires_grad=False)
    before = copy.deepcopy(net.state_dict())
    loader = DataLoader(TensorDataset(train.x[:120], train.y[:120]), batch_size=50, shuffle=True)
    plan = sh.Plan(net, {"4": sh.L1(1e-2)})
    rough = sh.certify(net.eval(), plan, loader)
    found = sh.polish(net.train(), plan, loader, rounds=10)
    assert found.objective < 0.9 * rough.objective
    assert net.training
    for name, value in net.state_dict().items():
        changes = name.startswith("4.") or name in ("1.weight", "1.bias")
        assert torch.equal(value, before[name]) != changes, name


def test_the_same_call_gives_the_same_network() -> None:
    results = []
    for _ in range(2):
        net, x, y = digits_net(smooth=True)
        sh.polish(net, sh.Plan(net, sh.L1(1e-2)), (x, y), rounds=3)
        results.append([p.detach().clone() for p in net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_it_says_when_its_rounds_are_over() -> None:
    x, y = table("digits")
    net = linear(x, 10)
    found = sh.polish(net, sh.Plan(net, sh.L1(1e-3)), (x, y), tol=1e-9, rounds=2)
    assert "after 2 rounds" in found.notes[-1]
    assert "falling" in found.notes[-1]


@pytest.mark.parametrize(
    ("name", "wrong"), [("tol", 0.0), ("tol", float("nan")), ("rounds", 0), ("samples", 51)]
)
def test_numbers_out_of_range(name: str, wrong: Any) -> None:
    x, y = table("digits")
    net = linear(x, 10)
    before = net.weight.detach().clone()
    with pytest.raises(FitError, match=f"{name} is out of range"):
        sh.polish(net, sh.Plan(net, sh.L1(1e-3)), (x, y), **{name: wrong})
    assert torch.equal(net.weight, before)
