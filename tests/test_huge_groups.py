"""Groups whose squares overflow: they shrink as the formula says, which is by nothing."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

import shrinkage as sh


@pytest.mark.parametrize("large", [False, True], ids=["one by one", "in lists"])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_group_of_1e30_stays_beside_one_that_shrinks(
    kind: Any, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shrinkage.penalties.kernels.offered._LARGE", 0 if large else 2**14)
    net = nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1e30], [0.5], [1e-3]]).expand(3, 4))
    optimizer = kind(net.parameters(), lr=0.01)
    sh.attach(optimizer, sh.Plan(net, sh.GroupL1(0.1)))
    for _ in range(60):
        net.weight.grad = torch.zeros_like(net.weight)
        optimizer.step()
    assert torch.equal(net.weight[0], torch.full((4,), 1e30))
    assert torch.equal(net.weight[2], torch.zeros(4))
    assert bool((net.weight[1] < 0.5).all())
    if kind is SGD:  # ‖w‖ = 1 shrinks by lr·s·√4 a step
        assert net.weight[1].norm().item() == pytest.approx(1 - 60 * 0.01 * 0.1 * 2, rel=1e-4)
