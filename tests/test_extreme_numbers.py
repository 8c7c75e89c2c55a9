"""Numbers at the ends of the line: refused where a penalty meets a network, or computed rightly."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam

import shrinkage as sh
from shrinkage.errors import PenaltyError, ShrinkageError

MAKERS: dict[str, Callable[[float], sh.Penalty]] = {
    "l1": sh.L1,
    "l2": sh.L2,
    "elastic": lambda s: sh.ElasticNet(s, s),
    "group": sh.GroupL1,
    "sparse-group": lambda s: sh.SparseGroupL1(s, s),
    "log-sum": lambda s: sh.LogSum(s, epsilon=0.1),
    "epsilon": lambda s: sh.LogSum(1e-3, epsilon=s),
    "mcp": lambda s: sh.MCP(s, knee=1.0),
    "knee": lambda s: sh.MCP(1e-3, knee=s),
}
EVERY = pytest.mark.parametrize("name", MAKERS)
BEYOND = (5e-324, 1e-300, 1e-45, 1e38, 1e39, 1e300)


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)).to(dtype)


@pytest.fixture(autouse=True)
def _only_refused() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


@EVERY
@pytest.mark.parametrize("size", BEYOND)
def test_a_network_refuses_what_it_cannot_compute_with(name: str, size: float) -> None:
    penalty = MAKERS[name](size)  # the mathematics takes it
    with pytest.raises(PenaltyError, match=r"to compute with.*0, or a number from 1e-30 to 1e\+30"):
        sh.Plan(network(), penalty)
    with pytest.raises(PenaltyError, match="to compute with"):
        sh.Plan(network(), {"2": penalty})


@pytest.mark.parametrize("factor", [5e-324, 1e-300, 1e-31, 1e31, 1e300])
def test_a_scale_that_cannot_be_computed_with(factor: float) -> None:
    net = network()
    handle = sh.attach(SGD(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(1e-3)))
    with pytest.raises(PenaltyError, match="scale is too"):
        handle.scale = factor
    assert handle.scale == 1.0
    for allowed in (0.0, 1e-20, np.float32(0.5), 3):
        handle.scale = allowed
        assert handle.scale == float(allowed)


def test_strength_times_scale() -> None:
    net = network()
    handle = sh.attach(SGD(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(1e-20)))
    with pytest.raises(PenaltyError, match="L1 strength is too small"):
        handle.scale = 1e-20
    with pytest.raises(PenaltyError, match="L1 strength is too large"):
        sh.Plan(net, sh.L1(1e20)).scaled(1e20)


@EVERY
@pytest.mark.parametrize("method", ["averaged", "prox"])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_the_ends_of_what_is_allowed(name: str, method: Any, kind: Any) -> None:
    """A strength of 1e30 empties the network, one of 1e-30 leaves training as it is."""
    for size in (1e-30, 1e30):
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            if dtype == torch.float16 and kind is Adam:
                continue  # its own ε is 0 there
            results = []
            for penalty in (MAKERS[name](size), None):
                net = network(dtype)
                optimizer = kind(net.parameters(), lr=0.01)
                if penalty is not None:
                    sh.attach(optimizer, sh.Plan(net, penalty), method=method)
                for _ in range(4):
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(net(X.to(dtype)).float(), Y).backward()
                    optimizer.step()
                results.append([p.detach() for p in net.parameters()])
            ours, plain = results
            assert all(p.isfinite().all() for p in ours)
            if name in ("epsilon", "knee"):
                continue
            if size > 1 and kind is SGD:
                assert not ours[0].any() or name == "l2"
                assert float(ours[0].abs().max()) < 1e-20
            elif size < 1 and dtype == torch.float32:
                assert all(map(torch.equal, ours, plain))


def test_long_steps_of_strong_penalties() -> None:
    for penalty in (sh.L1(1e30), sh.GroupL1(1e30), sh.ElasticNet(1e30, 1e30), sh.MCP(1e30, 1.0)):
        for method in ("averaged", "prox"):
            net = network()
            optimizer = SGD(net.parameters(), lr=1e5 if penalty.together else 1e10)
            sh.attach(optimizer, sh.Plan(net, penalty), method=method)  # type: ignore[arg-type]
            for _ in range(3):
                for p in net.parameters():
                    p.grad = torch.zeros_like(p)
                optimizer.step()
            assert not net[0].weight.any()
            assert not net[2].weight.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_term_of_half_precision_does_not_overflow(dtype: torch.dtype) -> None:
    net = nn.Linear(400, 400, bias=False).to(dtype)
    nn.init.constant_(net.weight, 1.0)
    term = sh.Plan(net, sh.L1(1e-3)).penalty()
    assert term.item() == pytest.approx(160.0, rel=1e-3)
    term.backward()
    torch.testing.assert_close(net.weight.grad, torch.full_like(net.weight, 1e-3))


def test_a_strength_below_the_precision_of_float16() -> None:
    """2e-8 is 0 in float16, and 400 steps of it are not nothing to averaging."""
    net = nn.Linear(2, 1, bias=False).half()
    nn.init.constant_(net.weight, 1e-6)
    optimizer = SGD(net.parameters(), lr=1.0)
    sh.attach(optimizer, sh.Plan(net, sh.L1(2e-8)), method="averaged")
    for _ in range(400):
        net.weight.grad = torch.zeros_like(net.weight)
        optimizer.step()
    assert not net.weight.any()


@pytest.mark.parametrize("samples", [0, 5])
def test_certificates_of_huge_weights(samples: int) -> None:
    """Where the cost is a number so is the gap; where it is not, that is said."""
    x, y = X.double(), X[:, :1].double()
    net = nn.Linear(6, 1, bias=False).double()
    nn.init.constant_(net.weight, 1e30)
    found = sh.certify(net, sh.Plan(net, sh.L1(0.1)), (x, y), samples=samples)
    gradient: Tensor = 2 * x.T @ (x @ net.weight.detach().T - y) / len(x)
    assert found.residual == pytest.approx(float((gradient + 0.1).abs().max()), rel=1e-9)
    assert found.kink_gap is None or 0 < found.kink_gap <= found.gap * (1 + 1e-9)
    with pytest.raises(ShrinkageError, match="the cost or its gradient is not finite"):
        sh.certify(net.float(), sh.Plan(net, sh.L1(0.1)), (X, X[:, :1]), samples=samples)


@EVERY
def test_zero_weights_under_every_strength(name: str) -> None:
    for size in (1e-30, 1e30):
        net = network()
        for p in net.parameters():
            nn.init.zeros_(p)
        plan = sh.Plan(net, MAKERS[name](size))
        term = plan.penalty()
        term.backward()
        assert term.item() == plan.value() == 0
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
        assert sh.certify(net, plan, (X, Y)).gap < float("inf")
