"""polish beside scikit-learn and block descent: the same coefficients and the same zeros.

5,000 × 400 in single precision, against coordinate descent in double.
"""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet, LogisticRegression, MultiTaskLasso
from torch import Tensor, nn

import shrinkage as sh
from shrinkage.data import load, split

ROWS, COLUMNS, BLOCK = 5_000, 400, 5


@pytest.fixture(scope="module")
def wide() -> tuple[Tensor, Tensor]:
    """Neighbouring columns alike (correlation 0.8); one in 20 speaks."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    for k in range(1, COLUMNS):
        x[:, k] = np.float32(0.8) * x[:, k - 1] + np.float32(0.6) * x[:, k]
    truth = np.where(np.arange(COLUMNS) % 20 == 0, rng.normal(size=COLUMNS), 0.0)
    y = x @ truth + rng.normal(size=ROWS)
    y = ((y - y.mean()) / y.std()).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(y).reshape(-1, 1)


def table(name: str) -> tuple[Tensor, Tensor]:
    train = split(load(name), 0).train
    x = train.x.double().flatten(1)
    return x, train.y if train.y.dtype == torch.int64 else train.y.double().reshape(-1, 1)


class InBlocks(nn.Module):
    """A linear model whose filters are blocks of neighbouring columns."""

    def __init__(self, columns: int, block: int) -> None:
        super().__init__()
        self.blocks = nn.Linear(block, columns // block, bias=False)
        self.intercept = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x @ self.blocks.weight.reshape(-1, 1) + self.intercept
        return out


def polished(net: nn.Module, penalty: sh.Penalty, x: Tensor, y: Tensor, tol: float) -> Tensor:
    """The only matrix of weights of the network."""
    torch.manual_seed(0)
    found = sh.polish(net, sh.Plan(net, penalty), (x, y), tol=tol)
    assert found.gap <= tol, found.notes
    (weight,) = (p for p in net.parameters() if p.dim() > 1)
    return weight.detach().double()


def check(got: Tensor, want: Any) -> None:
    """Within 1e-4 of the largest coefficient, and zero in the same places, some but not all."""
    exact = torch.from_numpy(np.atleast_2d(want)).double()
    assert float((got - exact).abs().max()) <= 1e-4 * float(exact.abs().max())
    assert torch.equal(got == 0, exact == 0)
    assert 0 < int((exact == 0).sum()) < exact.numel()


def by_descent(x: Tensor, y: Tensor, size: int, strength: float) -> np.ndarray:
    """Block after block to its minimum given the others, until none moves: group L1's solution."""
    columns, targets = (t.numpy().astype(float) for t in (x - x.mean(0), y.reshape(-1) - y.mean()))
    gram, link = columns.T @ columns / len(x), columns.T @ targets / len(x)
    blocks = [slice(k, k + size) for k in range(0, x.shape[1], size)]
    steps = [1 / (2 * np.linalg.eigvalsh(gram[at, at])[-1]) for at in blocks]
    w, threshold = np.zeros(x.shape[1]), strength * size**0.5
    for _ in range(20_000):
        before = w.copy()
        for at, step in zip(blocks, steps, strict=True):
            moved = w[at] - step * 2 * (gram[at] @ w - link[at])
            norm = np.linalg.norm(moved)
            w[at] = max(0.0, 1 - step * threshold / norm) * moved if norm else moved
        if np.abs(w - before).max() < 1e-13:
            return w
    raise AssertionError("block descent has not come to rest")


@pytest.mark.parametrize("penalty", [sh.ElasticNet(0.05, 0.0), sh.ElasticNet(0.05, 0.02)])
def test_a_wide_regression(wide: tuple[Tensor, Tensor], penalty: sh.ElasticNet) -> None:
    x, y = wide
    l1, l2 = penalty.l1, penalty.l2
    ours = penalty if l2 else sh.L1(l1)
    rival = ElasticNet(
        l1 / 2 + l2, l1_ratio=l1 / (l1 + 2 * l2), tol=1e-10, precompute=True, max_iter=100_000
    ).fit(x.numpy().astype(float), y.numpy().astype(float).ravel())
    check(polished(nn.Linear(COLUMNS, 1), ours, x, y, 1e-4), rival.coef_)


def test_a_wide_regression_in_blocks(wide: tuple[Tensor, Tensor]) -> None:
    x, y = wide
    net = InBlocks(COLUMNS, BLOCK)
    got = polished(net, sh.GroupL1(0.05, by="filter"), x, y, 1e-4).reshape(1, -1)
    check(got, by_descent(x, y, BLOCK, 0.05))


def test_blocks_of_diabetes() -> None:
    x, y = table("diabetes")
    net = InBlocks(10, 2).double()
    got = polished(net, sh.GroupL1(0.3, by="filter"), x, y, 1e-7).reshape(1, -1)
    check(got, by_descent(x, y, 2, 0.3))


def test_inputs_of_two_classes() -> None:
    """The two rows are opposite at the minimum, so that √2·‖(d/2, −d/2)‖ = |d|."""
    x, y = table("breast_cancer")
    rival = LogisticRegression(
        C=1 / (len(x) * 0.02), l1_ratio=1.0, solver="saga", tol=1e-9, max_iter=100_000
    ).fit(x.numpy(), y.numpy())
    net = nn.Linear(30, 2).double()
    got = polished(net, sh.GroupL1(0.02, by="input"), x, y, 1e-7)
    check(got[1:] - got[:1], rival.coef_)


def test_inputs_of_ten_targets() -> None:
    x, y = table("digits")
    targets = nn.functional.one_hot(y, 10).double()
    # nn.MSELoss is a mean over rows and targets, scikit-learn's loss over rows alone, halved
    rival = MultiTaskLasso(0.005 * 10**0.5 * 10 / 2, tol=1e-12, max_iter=100_000)
    rival.fit(x.numpy(), targets.numpy())
    net = nn.Linear(64, 10).double()
    check(polished(net, sh.GroupL1(0.005, by="input"), x, targets, 1e-7), rival.coef_)
