"""Every optimizer's metric on real tables: full batches, and the exact solution beside it."""

from functools import cache
from math import cos, pi

import pytest
import torch
from prodigyopt import Prodigy
from sklearn.datasets import load_iris
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import shrinkage as sh
from shrinkage.data import load
from shrinkage.optim.metrics import adam
from test_attach import VARIANTS, Variant

sh.register_metric(Prodigy, lambda group, state, parameter: sh.Metric(
    group["lr"] * group["d"] ** 2 / (state["exp_avg_sq"].sqrt() + group["d"] * group["eps"])
))  # fmt: skip

LEARNT = [Variant("prodigy", Prodigy, 1.0)]
"""Optimizers of other packages, taught as README.md teaches them."""
STEPS = 3000
STRENGTH = {"breast_cancer": 0.02, "iris": 0.02}
RATES = {
    "sgd": 1.0,
    "sgd-dampening": 0.5,
    "asgd": 1.0,
    "radam": 0.03,
    "adafactor": 0.1,
    **{f"sgd-{kind}": 0.2 for kind in ("momentum", "nesterov", "foreach", "fused")},
    "adadelta": 5.0,
    "adagrad": 0.3,
    "adagrad-decay": 0.3,
}
"""Learning rates that reach the minimiser in so many steps, where the variant's own does not."""


@cache
def table(name: str) -> tuple[Tensor, Tensor]:
    if name == "iris":
        found = load_iris()
        x, y = torch.from_numpy(found.data), torch.from_numpy(found.target)
    else:
        data = load(name)
        x, y = data.x.double(), data.y
    return (x - x.mean(dim=0)) / x.std(dim=0), y


def zeros(name: str) -> nn.Linear:
    x, y = table(name)
    net = nn.Linear(x.shape[1], int(y.max()) + 1).double()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    return net


@cache
def exact(name: str) -> tuple[float, Tensor]:
    """Objective and support of the minimiser, by proximal Newton to a gap of 1e-8."""
    net = zeros(name)
    found = sh.polish(net, sh.Plan(net, sh.L1(STRENGTH[name])), table(name), tol=1e-7)
    assert found.gap <= 1e-7
    return found.objective, net.weight.detach() != 0


TRIED = [v for v in (*VARIANTS, *LEARNT) if not v.options.get("maximize")]
PLAIN = [v for v in TRIED if "-" not in v.name or v.name in ("sgd-momentum", "adam-betas")]
BOTH_TABLES = [*((v, "breast_cancer") for v in TRIED), *((v, "iris") for v in PLAIN)]


@pytest.mark.parametrize(
    ("variant", "name"), BOTH_TABLES, ids=[f"{v.name}-{name}" for v, name in BOTH_TABLES]
)
def test_full_batches_end_at_the_minimiser(variant: Variant, name: str) -> None:
    x, y = table(name)
    net = zeros(name)
    rate = RATES.get(variant.name, variant.lr)
    optimizer = variant.make(net.parameters(), rate)
    plan = sh.Plan(net, sh.L1(STRENGTH[name]))
    handle = sh.attach(optimizer, plan)
    for k in range(STEPS):
        if variant.decays:
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.5 * (1 + cos(pi * k / STEPS))
        optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        optimizer.step()
    handle.remove()
    best, support = exact(name)
    assert sh.certify(net, plan, (x, y)).objective <= best * 1.01
    classes = 2 if name == "breast_cancer" else 1
    differing = int(((net.weight != 0) != support).sum())
    assert differing <= classes, (differing, int(support.sum()))


@pytest.mark.parametrize("lr", [1e-4, 1e-6])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_rates_are_not_rounded_to_a_weights_precision(lr: float, dtype: torch.dtype) -> None:
    parameter = nn.Parameter(torch.zeros(500, dtype=dtype))
    optimizer = torch.optim.Adam([parameter], lr=lr)
    parameter.grad = torch.linspace(0.1, 3, 500).to(dtype)
    optimizer.step()
    state = optimizer.state[parameter]
    step = adam(optimizer.param_groups[0], state, parameter).step
    exact = lr / ((state["exp_avg_sq"].double() / 1e-3).sqrt() + 1e-8)
    assert float((step.double() / exact).mean()) == pytest.approx(1, abs=0.01)
