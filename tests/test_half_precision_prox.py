"""Weights in half precision under the plain prox: thresholds that rounding takes are told of."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

import shrinkage as sh
from shrinkage.errors import ShrinkageWarning


def run(
    penalty: sh.Penalty, dtype: torch.dtype, lr: float, kind: Any = SGD, **options: Any
) -> tuple[torch.Tensor, list[str]]:
    """Weights after 40 steps without a gradient, which shrink by 40·lr·strength under SGD."""
    net = nn.Linear(8, 3, bias=False, dtype=dtype)
    nn.init.constant_(net.weight, 0.5)
    optimizer = kind(net.parameters(), lr=lr)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        sh.attach(optimizer, sh.Plan(net, penalty), **options)
        for _ in range(40):
            net.weight.grad = torch.zeros_like(net.weight)
            optimizer.step()
    said = [str(one.message) for one in found if issubclass(one.category, ShrinkageWarning)]
    return net.weight.detach().float(), said


@pytest.mark.parametrize(("dtype", "name"), [(torch.bfloat16, "bfloat16"), (torch.half, "float16")])
@pytest.mark.parametrize("penalty", [sh.L1(0.01), sh.GroupL1(0.01)], ids=str)
def test_thresholds_below_half_a_digit_are_told_of_and_the_remedies_work(
    penalty: sh.Penalty, dtype: torch.dtype, name: str
) -> None:
    w, (said,) = run(penalty, dtype, lr=0.01, method="prox")
    assert (w == 0.5).all()
    assert f"{name} weights are too coarse" in said
    assert "24 of 24 weights" in said
    right = 0.5 - 40 * 1e-4
    w, none = run(penalty, torch.float32, lr=0.01, method="prox")
    assert none == []
    assert torch.allclose(w, torch.tensor(right), atol=1e-5)
    w, none = run(penalty, dtype, lr=0.01, method="averaged")
    assert none == []
    assert torch.allclose(w, torch.tensor(right), atol=0.002 if dtype == torch.bfloat16 else 5e-4)


def test_a_smooth_penalty_has_one_remedy() -> None:
    _, (said,) = run(sh.L2(0.01), torch.bfloat16, lr=0.01)
    assert said.endswith("(torch.autocast)")


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_what_is_felt_or_off_is_not_told_of(kind: Any) -> None:
    """Large thresholds, no learning rate, and MCP, which leaves large weights alone."""
    w, said = run(sh.L1(1.0), torch.bfloat16, lr=0.005, kind=kind, method="prox")
    assert said == []
    assert (w < 0.5).all()
    for penalty, lr in ((sh.L1(0.01), 0.0), (sh.MCP(0.01, 0.1), 0.01)):
        assert run(penalty, torch.bfloat16, lr=lr, kind=SGD, method="prox")[1] == []
