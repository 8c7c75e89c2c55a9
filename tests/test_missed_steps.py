"""Training that goes past the plan: steps that call no hooks, copies, another optimizer."""

import copy
import pickle
import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer

import shrinkage as sh
from shrinkage.errors import ShrinkageWarning

X = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))


def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 3, bias=False)


def train(net: nn.Module, step: Callable[[], object], times: int = 30, passes: int = 1) -> None:
    for _ in range(times):
        net.zero_grad()
        for _ in range(passes):
            (net(X) - 1).square().mean().backward()
        step()


def told(act: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        act()
    return [str(one.message) for one in found if issubclass(one.category, ShrinkageWarning)]


def _by_data(self: Any) -> None:
    for group in self.param_groups:
        for p in group["params"]:
            p.data.add_(p.grad, alpha=-group["lr"])


def _replaced(optimizer: Optimizer, net: nn.Module) -> Callable[[], object]:
    optimizer.step = types.MethodType(_by_data, optimizer)  # type: ignore[method-assign, assignment]
    return optimizer.step


def _another(optimizer: Optimizer, net: nn.Module) -> Callable[[], object]:
    return SGD(net.parameters(), lr=0.1).step


@pytest.mark.parametrize("make", [_replaced, _another])
@pytest.mark.parametrize("begun", [False, True])
def test_training_past_the_plan_is_told_of_once(make: Any, begun: bool) -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    handle = sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)))
    if begun:
        assert told(lambda: train(net, optimizer.step, passes=3)) == []
    step = make(optimizer, net)
    (said,) = told(lambda: train(net, step))
    assert "it does not act" in said
    assert told(lambda: train(net, step)) == []
    handle.remove()


def test_nothing_is_said_of_training_that_is_meant() -> None:
    """Many passes for one step; a plan that is off; one taken off; one put on another optimizer."""
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    handle = sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)))
    assert told(lambda: train(net, optimizer.step, 3, passes=40)) == []
    other = SGD(net.parameters(), lr=0.1)
    handle.scale = 0.0
    assert told(lambda: train(net, other.step)) == []
    second = sh.attach(other, sh.Plan(net, sh.L1(0.1)))
    assert told(lambda: train(net, other.step)) == []
    for one in (handle, second):
        one.remove()
    assert not net.weight._post_accumulate_grad_hooks  # type: ignore[attr-defined]


def test_an_optimizer_that_was_dropped_is_missed_by_nobody() -> None:
    net = network()
    sh.attach(SGD(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1)))
    assert told(lambda: train(net, SGD(net.parameters(), lr=0.1).step)) == []


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o)), copy.copy],  # noqa: S301
)
def test_a_copied_optimizer_is_told_of_once(copied: Callable[[Any], Any]) -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    handle = sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)))
    train(net, optimizer.step, 3)
    (said,) = told(lambda: copied(optimizer))
    assert "a copy of SGD has no hooks" in said
    assert told(lambda: copied(optimizer)) == []
    handle.remove()
    assert "__getstate__" not in vars(optimizer)
    again = copied(optimizer)
    assert again.param_groups[0]["momentum"] == 0.9
    assert len(again.state) == len(optimizer.state) == 1


def test_the_networks_copies_are_whole() -> None:
    net = network()
    sh.attach(optimizer := SGD(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1)))
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301
        assert torch.equal(twin.weight, net.weight)
        assert not twin.weight._post_accumulate_grad_hooks
    assert optimizer.state_dict()["param_groups"][0]["lr"] == 0.1
