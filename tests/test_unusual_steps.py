"""Steps beside the usual ones: short memories, misfit metrics, who writes where nobody looks."""

import math
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim import SGD, Adam, Optimizer

import shrinkage as sh
from shrinkage.errors import AttachError, ShrinkageWarning
from shrinkage.optim.metrics import _STEPS, METRICS
from test_attach import PENALTIES, check_solution, data, problem
from test_wrapped_optimizers import descend, layer


@pytest.fixture(autouse=True)
def _forgets() -> Iterator[None]:
    """What a test registers."""
    metrics, steps = dict(METRICS), dict(_STEPS)
    yield
    for table, before in ((METRICS, metrics), (_STEPS, steps)):
        table.clear()
        table.update(before)  # type: ignore[arg-type]


def told(act: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    return [str(w.message) for w in caught if issubclass(w.category, ShrinkageWarning)]


# ------------------------------------------------------------------------------- short memories


@pytest.mark.parametrize("method", ["auto", "prox"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Adam, {"betas": (0.9, 0.99)}),
        (Adam, {"betas": (0.9, 0.95)}),  # usual where language models are trained
        (Adam, {"betas": (0.9, 0.9)}),
        (optim.NAdam, {"betas": (0.9, 0.95)}),
        (optim.Adamax, {"betas": (0.0, 0.9)}),
        (optim.RMSprop, {"alpha": 0.5}),
    ],
)
def test_short_memories_end_at_the_minimiser(kind: Any, options: Any, method: Any) -> None:
    net = layer()
    optimizer = kind(net.parameters(), lr=0.02, **options)
    sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]), method=method)
    for k in range(1000):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 + math.cos(math.pi * k / 1000)) + 1e-6
        net.weight.grad = problem().grad(net.weight.detach())
        optimizer.step()
    check_solution(net.weight.detach(), "l1")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Adam, {"betas": (0.9, 0.0)}),
        (optim.NAdam, {"betas": (0.0, 0.0)}),
        (optim.RMSprop, {"alpha": 0.0}),
        (optim.Adadelta, {"rho": 0.0}),
    ],
)
def test_steps_by_the_sign_are_refused(kind: Any, options: Any) -> None:
    net = layer()
    with pytest.raises(AttachError, match="steps follow its sign"):
        sh.attach(kind(net.parameters(), **options), sh.Plan(net, sh.L1(0.1)))
    sh.attach(kind(net.parameters(), **options), sh.Plan(net, sh.L1(0.1)), method="subgradient")


def test_equal_betas_of_adamax() -> None:
    net = layer()
    optimizer = optim.Adamax(net.parameters(), lr=0.02, betas=(0.9, 0.9))
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)), method="prox")
    assert descend(net, optimizer.step, 300)[-1] > 0


# ------------------------------------------------------------------------------- misfit metrics


class Plain(Optimizer):
    """Gradient descent with nothing in its groups but the rate."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                p.data.add_(p.grad, alpha=-group["lr"])


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (SGD, "KeyError: 'momentum'"),
        (Adam, "KeyError: 'betas'"),
        (lambda g, s, p: g["lr"], "from the metric"),
        (lambda g, s: None, "TypeError"),
    ],
)
def test_a_metric_that_stops_is_refused_before_training(metric: Any, said: str) -> None:
    net = layer()
    sh.register_metric(Plain, metric)
    with pytest.raises(AttachError, match=re.escape(said)):
        sh.attach(Plain(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1)))


def test_torchs_own_optimizers_are_tried_with_metrics_of_others() -> None:
    net = layer()
    sh.register_metric(optim.RMSprop, SGD)
    with pytest.raises(AttachError, match="sign alone"):
        sh.attach(optim.RMSprop(net.parameters(), lr=0.02), sh.Plan(net, sh.L1(0.1)))


# ------------------------------------------------------------------- who writes, and who decays


def test_prox_notices_that_its_zeros_are_taken() -> None:
    """An average swapped in after every step: the other methods' remedy does not help here."""
    net = layer()
    optimizer = SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]), method="prox")
    mean = net.weight.detach().clone()

    def step() -> None:
        optimizer.step()
        mean.lerp_(net.weight.detach(), 0.1)
        net.weight.data.copy_(mean)

    (said,) = told(lambda: descend(net, step, 50))
    assert "zeros that were made are gone" in said


def test_prox_says_nothing_of_writes_that_leave_its_zeros() -> None:
    net = layer()
    optimizer = SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]), method="prox")

    def step() -> None:
        optimizer.step()
        net.weight.data.mul_(0.999)

    assert told(lambda: descend(net, step, 50)) == []


class Averaging:
    """No optimizer itself; steps one on weights of its own, as schedule-free wrappers do."""

    def __init__(self, base: Optimizer, share: float) -> None:
        self.base, self.share = base, share
        self.param_groups = base.param_groups
        self.own = [p.detach().clone() for g in self.param_groups for p in g["params"]]

    def step(self) -> None:
        parameters = [p for g in self.param_groups for p in g["params"]]
        means = [p.detach().clone() for p in parameters]
        for p, own in zip(parameters, self.own, strict=True):
            p.data.copy_(own)
        self.base.step()
        for p, own, mean in zip(parameters, self.own, means, strict=True):
            own.copy_(p.detach())
            p.data.lerp_(mean, self.share)


@pytest.mark.parametrize(("share", "times"), [(0.9, 1), (0.0, 0)])
def test_a_wrapper_that_trains_on_averages_is_told_of(share: float, times: int) -> None:
    net = layer()
    x, y = (torch.from_numpy(part) for part in data())
    base = SGD(net.parameters(), lr=0.05)
    wrapper = Averaging(base, share)
    sh.attach(base, sh.Plan(net, PENALTIES["l1"]))

    def train() -> None:
        for _ in range(30):
            base.zero_grad()
            (net(x) - y).square().mean().backward()
            wrapper.step()

    said = told(train)
    assert len(said) == times
    assert all("its step is called by Averaging" in line for line in said)
    assert not net.weight._post_accumulate_grad_hooks  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", ["set", "group", "load"])
def test_a_decay_that_comes_later_is_told_of_once(way: str) -> None:
    net = nn.ModuleList([layer(), layer()])
    first, second = (part.weight for part in net)
    optimizer = SGD([first], lr=0.1)
    second.requires_grad_(False)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)))
    second.requires_grad_(True)
    if way == "set":
        optimizer.param_groups[0]["weight_decay"] = 0.1
    elif way == "group":
        optimizer.add_param_group({"params": [second], "weight_decay": 0.1})
    else:
        optimizer.load_state_dict(SGD([first], lr=0.1, weight_decay=0.1).state_dict())

    def train() -> None:
        for _ in range(5):
            first.grad = torch.ones_like(first)
            second.grad = torch.ones_like(second) if way == "group" else None
            optimizer.step()

    (said,) = told(train)
    assert said.startswith("weight_decay=0.1 beside a plan")


def test_a_network_of_nan_is_not_said_to_be_written_by_others() -> None:
    net = layer()
    optimizer = Adam(net.parameters(), lr=0.02)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)))

    def diverge() -> None:
        for _ in range(20):
            net.weight.grad = torch.full_like(net.weight, math.inf)
            optimizer.step()

    assert told(diverge) == []


@pytest.mark.parametrize("large", [False, True])
def test_momentum_that_moves_a_frozen_layer_is_nobodys_write(
    large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shrinkage.penalties.kernels.offered._LARGE", 0 if large else 2**14)
    net = layer()
    optimizer = Adam(net.parameters(), lr=0.02)
    sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]))
    descend(net, optimizer.step, 50)
    net.weight.requires_grad_(False)

    def go_on() -> None:
        for _ in range(50):
            assert net.weight.grad is not None
            net.weight.grad.zero_()
            optimizer.step()

    assert told(go_on) == []
    net.weight.requires_grad_(True)
    for k in range(800):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - k / 800) + 1e-6
        net.weight.grad = problem().grad(net.weight.detach())
        optimizer.step()
    check_solution(net.weight.detach(), "l1")


def test_a_scale_that_changes_before_a_layer_is_used() -> None:
    """Its groups have been looked at and have not moved: there is nothing to take over."""

    def trained(scales: list[float]) -> Tensor:
        torch.manual_seed(0)
        net = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        optimizer = SGD(net.parameters(), lr=0.1)
        handle = sh.attach(optimizer, sh.Plan(net, sh.GroupL1(0.05)), method="averaged")
        x = torch.randn(8, 3)
        for step, scale in enumerate(scales):
            handle.scale = scale
            optimizer.zero_grad()
            layers = net if step >= 2 else net[:1]
            sum((layer(x) ** 2).mean() for layer in layers).backward()
            optimizer.step()
        return net[1].weight.detach()

    assert torch.equal(trained([1.0, 0.5, *[2.0] * 9]), trained([2.0] * 11))
