"""Sparse groups and concave penalties at work: attach, certify and polish."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

import shrinkage as sh
from test_polishing import table

PENALTIES = [sh.MCP(0.1, knee=0.3), sh.LogSum(0.1, epsilon=0.2), sh.SparseGroupL1(0.05, 0.05)]
by_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: type(p).__name__)


def linear(x: Tensor) -> nn.Linear:
    net = nn.Linear(x.shape[1], 1).double()
    nn.init.zeros_(net.weight)
    return net


@by_penalty
@pytest.mark.parametrize("method", ["auto", "prox"])
@pytest.mark.parametrize(("optimizer", "lr"), [(torch.optim.SGD, 0.05), (torch.optim.Adam, 0.01)])
def test_training_ends_at_a_stationary_point(
    penalty: sh.Penalty, method: Any, optimizer: Any, lr: float
) -> None:
    x, y = table("diabetes")
    net = linear(x)
    plan = sh.Plan(net, penalty)
    before = sh.certify(net, plan, (x, y)).gap
    stepper = optimizer(net.parameters(), lr=lr)
    sh.attach(stepper, plan, method=method)
    for _ in range(2000):
        stepper.zero_grad()
        mse_loss(net(x), y.reshape(-1, 1)).backward()
        stepper.step()
    after = sh.certify(net, plan, (x, y))
    assert before > 0.5
    assert after.gap < 1e-2
    assert 0 < int((net.weight == 0).sum()) < net.weight.numel()


@by_penalty
def test_polish_never_rises(penalty: sh.Penalty) -> None:
    x, y = table("diabetes")
    torch.manual_seed(0)
    net = nn.Linear(x.shape[1], 1).double()
    plan = sh.Plan(net, penalty)
    costs = [sh.certify(net, plan, (x, y)).objective]
    found = sh.polish(net, plan, (x, y), rounds=60, progress=lambda r: costs.append(r.objective))
    assert all(b <= a for a, b in itertools.pairwise(costs))
    assert found.objective < 0.9 * costs[0]
    assert found.gap < 1e-2
    assert int((net.weight == 0).sum()) > 0


@pytest.mark.parametrize("penalty", PENALTIES[:2], ids=lambda p: type(p).__name__)
def test_a_lower_scale_lets_zeros_go_and_a_higher_one_takes_them(penalty: sh.Penalty) -> None:
    x, y = table("diabetes")
    net = linear(x)
    stepper = torch.optim.SGD(net.parameters(), lr=0.05)
    handle = sh.attach(stepper, sh.Plan(net, penalty))
    zeros = []
    for scale in (1.0, 0.01, 100.0):
        handle.scale = scale
        for _ in range(500):
            stepper.zero_grad()
            mse_loss(net(x), y.reshape(-1, 1)).backward()
            stepper.step()
        zeros.append(int((net.weight == 0).sum()))
    assert zeros[1] < zeros[0] < zeros[2] == net.weight.numel()
