"""How far a penalty moves living weights in one step: as the strength says, and no further."""

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

import shrinkage as sh


@pytest.mark.parametrize("penalty", [sh.L1(0.1), sh.GroupL1(0.05)], ids=["l1", "group"])
@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_living_weights_do_not_jump_when_the_scale_changes(
    penalty: sh.Penalty, factor: float
) -> None:
    """(w − lr·s) a step before, (w − lr·s·scale) after: the latent weights are in the new unit."""
    net = nn.Linear(4, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(net.weight, 5.0)
    optimizer = SGD(net.parameters(), lr=0.1)
    handle = sh.attach(optimizer, sh.Plan(net, penalty), method="averaged")
    for k in range(130):
        if k == 100:
            handle.scale = factor
        before = net.weight.detach().clone()
        net.weight.grad = torch.zeros_like(net.weight)
        optimizer.step()
        length = 0.1 * penalty.slope * (factor if k >= 100 else 1.0)
        torch.testing.assert_close(before - net.weight.detach(), torch.full_like(before, length))


def test_groups_move_no_further_than_adam_can() -> None:
    """Next to no gradient makes steps of 10⁶; κ·step alone would take each weight √m times as far.

    At every step, those with held ratios too.
    """
    lr, m = 0.01, 16
    net = nn.Linear(m, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(net.weight, 5.0)
    optimizer = Adam(net.parameters(), lr=lr)
    sh.attach(optimizer, sh.Plan(net, sh.GroupL1(0.1)), method="averaged")
    reach = lr * (1 - 0.9) / (1 - 0.999) ** 0.5
    moves = []
    for _ in range(60):
        before = net.weight.detach().clone()
        net.weight.grad = torch.full_like(net.weight, 1e-13)
        optimizer.step()
        moves.append(float((before - net.weight.detach()).abs().max()))
    assert max(moves) <= reach * (1 + 1e-3)
    assert min(moves) >= 0.9 * reach
