"""Where the truth is known: linear models trained through attach() meet scikit-learn's optimum."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam

from shrinkage.optim import attach
from shrinkage.penalties import L1, L2, from_sklearn
from shrinkage.plans import Plan


@dataclass(frozen=True, eq=False)
class Problem:
    """A linear model with an unpenalised bias, its loss, and the estimator that solves it."""

    x: Tensor
    y: Tensor
    outputs: int
    loss: Any
    estimator: Any

    def solution(self) -> nn.Linear:
        """scikit-learn's coefficients as a layer."""
        with threadpool_limits(1):  # many threads on small matrices only wait for each other
            fitted = self.estimator.fit(self.x.numpy(), self.y.numpy())
        net = self.layer()
        with torch.no_grad():
            net.weight.copy_(torch.from_numpy(np.atleast_2d(fitted.coef_)))
            net.bias.copy_(torch.from_numpy(np.atleast_1d(fitted.intercept_)))
        return net

    def layer(self) -> nn.Linear:
        net = nn.Linear(self.x.shape[1], self.outputs, dtype=torch.float64)
        nn.init.zeros_(net.weight)
        nn.init.zeros_(net.bias)
        return net

    def mean_loss(self, net: nn.Module) -> Tensor:
        out = net(self.x)
        return self.loss(out.squeeze(1) if self.outputs == 1 else out, self.y)

    def plan(self, net: nn.Module) -> Plan:
        return Plan(net, from_sklearn(self.estimator, len(self.x)))

    def cost(self, net: nn.Module) -> float:
        with torch.no_grad():
            return float(self.mean_loss(net)) + self.plan(net).value()


def diabetes(estimator: Any) -> Problem:
    x, y = load_diabetes(return_X_y=True)
    x, y = StandardScaler().fit_transform(x), (y - y.mean()) / y.std()
    return Problem(torch.tensor(x), torch.tensor(y), 1, functional.mse_loss, estimator)


def breast_cancer(estimator: Any) -> Problem:
    x, y = load_breast_cancer(return_X_y=True)
    x = torch.tensor(StandardScaler().fit_transform(x))
    loss = functional.binary_cross_entropy_with_logits
    return Problem(x, torch.tensor(y, dtype=torch.float64), 1, loss, estimator)


def digits(estimator: Any) -> Problem:
    x, y = load_digits(return_X_y=True)
    return Problem(torch.tensor(x / 16), torch.tensor(y), 10, functional.cross_entropy, estimator)


TIGHT = {"solver": "saga", "tol": 1e-6, "max_iter": 3000, "random_state": 0}
C_CANCER, C_DIGITS = 1 / (569 * 0.04), 1 / (1797 * 0.01)

PROBLEMS = {
    "diabetes-lasso": (diabetes, Lasso(alpha=0.05, tol=1e-10)),
    "diabetes-elastic": (diabetes, ElasticNet(alpha=0.1, l1_ratio=0.5, tol=1e-10)),
    "diabetes-ridge": (diabetes, Ridge(alpha=40.0)),
    "cancer-l1": (breast_cancer, LogisticRegression(C=C_CANCER, l1_ratio=1.0, **TIGHT)),
    "cancer-l2": (
        breast_cancer,
        LogisticRegression(C=C_CANCER, solver="newton-cholesky", tol=1e-8),
    ),
    "cancer-elastic": (breast_cancer, LogisticRegression(C=C_CANCER, l1_ratio=0.5, **TIGHT)),
    "digits-l1": (
        digits,
        LogisticRegression(
            C=C_DIGITS, l1_ratio=1.0, solver="saga", tol=1e-4, max_iter=500, random_state=0
        ),
    ),
    "digits-l2": (digits, LogisticRegression(C=C_DIGITS, solver="newton-cholesky", tol=1e-8)),
}

# steps of the full batch, learning rate under momentum 0.9
BUDGETS = {"diabetes": (1500, 0.01), "cancer": (1500, 0.5), "digits": (700, 1.0)}


def train(problem: Problem, steps: int, lr: float, *, optimizer: Any = SGD) -> nn.Linear:
    net = problem.layer()
    options = {"momentum": 0.9} if optimizer is SGD else {}
    stepper = optimizer(net.parameters(), lr=lr, **options)
    attach(stepper, problem.plan(net))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(stepper, steps)
    for _ in range(steps):
        stepper.zero_grad()
        problem.mean_loss(net).backward()
        stepper.step()
        schedule.step()
    return net


def excess(problem: Problem, net: nn.Module, best: nn.Module) -> float:
    """By how much the cost lies above the optimum, relative; below it by no more than noise."""
    share = problem.cost(net) / problem.cost(best) - 1
    assert share > -1e-5
    return share


@pytest.mark.parametrize("name", PROBLEMS)
def test_training_meets_scikit_learn(name: str) -> None:
    make, estimator = PROBLEMS[name]
    problem = make(estimator)
    best = problem.solution()
    net = train(problem, *BUDGETS[name.split("-")[0]])
    assert excess(problem, net, best) < 1e-3
    penalty = from_sklearn(estimator, len(problem.x))
    zeros, theirs = net.weight == 0, best.weight.abs() < 1e-9
    if penalty.slope > 0:
        assert 0 < int(theirs.sum()) < theirs.numel()
        assert int((zeros != theirs).sum()) <= max(1, theirs.numel() // 20)
    else:
        assert not zeros[theirs.logical_not()].any()


@pytest.mark.parametrize("name", ["diabetes-lasso", "cancer-l1"])
def test_adam_meets_scikit_learn(name: str) -> None:
    make, estimator = PROBLEMS[name]
    problem = make(estimator)
    best = problem.solution()
    net = train(problem, 1500, 0.1, optimizer=Adam)
    assert excess(problem, net, best) < 1e-3
    assert int(((net.weight == 0) != (best.weight.abs() < 1e-9)).sum()) <= 1


def test_minibatches_meet_scikit_learn() -> None:
    make, estimator = PROBLEMS["cancer-l1"]
    problem = make(estimator)
    net = problem.layer()
    optimizer = SGD(net.parameters(), lr=0.2, momentum=0.9)
    attach(optimizer, problem.plan(net))
    generator = torch.Generator().manual_seed(0)
    epochs, size = 60, 64
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * 9)
    for _ in range(epochs):
        order = torch.randperm(len(problem.x), generator=generator)
        for rows in order.split(size):
            optimizer.zero_grad()
            problem.loss(net(problem.x[rows]).squeeze(1), problem.y[rows]).backward()
            optimizer.step()
            schedule.step()
    assert excess(problem, net, problem.solution()) < 1e-2


def test_a_strength_off_by_two_is_noticed() -> None:
    # The lost ½: scikit-learn's α taken for ours, or the other way round.
    problem = diabetes(Lasso(alpha=0.05, tol=1e-10))
    best = problem.solution()
    for wrong in (Lasso(alpha=0.025), Lasso(alpha=0.1)):
        other = Problem(problem.x, problem.y, 1, problem.loss, wrong)
        assert excess(problem, train(other, 1500, 0.01), best) > 1e-3
    assert from_sklearn(problem.estimator, 442) == L1(0.1)
    assert from_sklearn(Ridge(alpha=44.2), 442) == L2(0.1)


def test_a_penalised_bias_is_noticed() -> None:
    problem = breast_cancer(PROBLEMS["cancer-l1"][1])
    net = problem.layer()
    assert [entry.name for entry in problem.plan(net).penalised] == ["weight"]
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    attach(optimizer, Plan(net, L1(0.04), biases=True))
    for _ in range(1500):
        optimizer.zero_grad()
        problem.mean_loss(net).backward()
        optimizer.step()
    assert excess(problem, net, problem.solution()) > 1e-3
