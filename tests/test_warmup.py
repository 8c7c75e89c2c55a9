"""λ that rises over the first steps: what it is at each of them, and that it goes on."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import Lasso
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import shrinkage as sh
from shrinkage.errors import AttachError
from shrinkage.optim.warmup import Warmup


@pytest.mark.parametrize("steps", [1, 7, 100, 250, 1000])
def test_lambda_rises_evenly_from_a_hundredth_to_the_whole(steps: int) -> None:
    factors = [Warmup(steps, taken).factor for taken in range(steps + 3)]
    assert factors == sorted(factors)
    assert factors[-4:] == [1.0] * 4
    for k, factor in enumerate(factors[:steps], start=1):
        assert k / steps <= factor <= k / steps + 0.01
    assert Warmup(0).factor == 1.0


def problem() -> tuple[Tensor, Tensor, nn.Linear]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 8, generator=generator, dtype=torch.float64)
    y = x[:, :1] * 2 - x[:, 1:2] + 0.1 * torch.randn(50, 1, generator=generator).double()
    torch.manual_seed(3)
    return x, y, nn.Linear(8, 1, bias=False).double()


def steps(
    net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, n: int
) -> Iterator[int]:
    for k in range(n):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x), y).backward()
        optimizer.step()
        yield k


def test_the_prox_of_each_step_has_the_strength_of_that_step() -> None:
    x, y, net = problem()
    twin = net.weight.detach().clone()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.8)), method="prox", warmup=20)
    for k in steps(net, optimizer, x, y, 30):
        gradient = 2 * (x @ twin.T - y).T @ x / len(x)
        moved = twin - 0.05 * gradient
        threshold = 0.05 * 0.8 * min(1.0, (k + 1) / 20)
        twin = moved.sign() * (moved.abs() - threshold).clamp(min=0)
        torch.testing.assert_close(net.weight.detach(), twin, rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", ["prox", "averaged"])
def test_it_ends_at_the_same_minimum(method: Any) -> None:
    x, y, net = problem()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.4)), method=method, warmup=300)
    list(steps(net, optimizer, x, y, 1500))
    exact = Lasso(0.2, fit_intercept=False, tol=1e-12).fit(x.numpy(), y.numpy().ravel()).coef_
    torch.testing.assert_close(net.weight[0].detach(), torch.from_numpy(exact), rtol=0, atol=1e-6)
    assert (net.weight[0] == 0).tolist() == (exact == 0).tolist()


def test_the_loss_term_rises_as_well() -> None:
    x, y, net = problem()
    by_hand = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    other = torch.optim.SGD(by_hand.parameters(), lr=0.05)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.8)), method="subgradient", warmup=10)
    for k in steps(net, optimizer, x, y, 15):
        other.zero_grad()
        penalty = 0.8 * min(1.0, (k + 1) / 10) * by_hand.weight.abs().sum()
        (nn.functional.mse_loss(by_hand(x), y) + penalty).backward()
        other.step()
        torch.testing.assert_close(net.weight, by_hand.weight)


MAKERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("method", ["prox", "averaged", "subgradient"])
def test_a_run_that_is_resumed_while_it_rises_is_the_same(maker: str, method: Any) -> None:
    x, y, net = problem()
    optimizer = MAKERS[maker](net.parameters())
    handle = sh.attach(optimizer, sh.Plan(net, sh.L1(0.3)), method=method, warmup=60)
    handle.scale = 0.7
    list(steps(net, optimizer, x, y, 31))
    saved = copy.deepcopy((net.state_dict(), optimizer.state_dict(), handle.state_dict()))
    list(steps(net, optimizer, x, y, 60))

    _, _, other = problem()
    again = MAKERS[maker](other.parameters())
    resumed = sh.attach(again, sh.Plan(other, sh.L1(0.3)), method=method)
    for part, state in zip((other, again, resumed), saved, strict=True):
        part.load_state_dict(state)  # type: ignore[attr-defined]
    assert (resumed.warmup, resumed.scale) == (60, 0.7)
    list(steps(other, again, x, y, 60))
    assert torch.equal(net.weight, other.weight)


def test_a_state_of_before_has_lambda_whole() -> None:
    _, _, net = problem()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    handle = sh.attach(optimizer, sh.Plan(net, sh.L1(0.3)), warmup=10)
    state = handle.state_dict()
    del state["warmup"], state["steps"]
    handle.load_state_dict(state)
    assert handle.state_dict()["steps"] == 10


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"steps": -1}, "out of range"),
        ({"warmup": "no"}, "not a whole"),
        ({"steps": None}, "state"),
    ],
)
def test_a_state_that_is_none(change: dict[str, Any], told: str) -> None:
    _, _, net = problem()
    handle = sh.attach(torch.optim.SGD(net.parameters(), lr=0.05), sh.Plan(net, sh.L1(0.3)))
    state = {k: v for k, v in {**handle.state_dict(), **change}.items() if v is not None}
    with pytest.raises(AttachError, match=told):
        handle.load_state_dict(state)


@pytest.mark.parametrize("warmup", [-1, 1.5, True, "10", None])
def test_what_is_no_number_of_steps(warmup: Any) -> None:
    _, _, net = problem()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with pytest.raises(AttachError, match="warmup"):
        sh.attach(optimizer, sh.Plan(net, sh.L1(0.3)), warmup=warmup)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.3)), warmup=3)  # nothing was claimed


def test_steps_that_amp_skips_do_not_count() -> None:
    _, _, net = problem()
    net.float()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    handle = sh.attach(optimizer, sh.Plan(net, sh.L1(0.3)), warmup=10)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for factor in (1.0, float("inf"), 1.0):
        optimizer.zero_grad()
        scaler.scale(net(torch.ones(2, 8)).mean() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
    assert handle.state_dict()["steps"] == 2


@pytest.mark.parametrize("maker", MAKERS)
def test_a_network_that_a_strong_penalty_empties_lives(maker: str) -> None:
    pixels, digits = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels[:400] / 16).float(), torch.tensor(digits[:400])
    costs, alive = [], []
    for warmup in (0, 180):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        plan, optimizer = sh.Plan(net, sh.L1(0.01)), MAKERS[maker](net.parameters())
        sh.attach(optimizer, plan, warmup=warmup)
        for _ in range(300):
            rows = torch.randint(len(x), (64,))
            optimizer.zero_grad()
            cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
        costs.append(cross_entropy(net(x), y).item() + plan.value())
        alive.append(sum(int(p.count_nonzero()) for p in (net[0].weight, net[2].weight)))
    assert alive[0] < 20 < alive[1]
    assert costs[1] < 0.8 * costs[0]
