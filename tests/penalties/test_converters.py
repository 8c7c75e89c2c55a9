"""Converted strengths put other systems' solutions where ours are, and twice as much does not."""

import pytest
import torch
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import ElasticNet as SkElasticNet
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from torch import Tensor, nn

from shrinkage.penalties import (
    L1,
    L2,
    ElasticNet,
    Penalty,
    from_glmnet,
    from_sklearn,
    from_weight_decay,
)

N = 60
X, Y = make_regression(N, 12, n_informative=4, noise=5.0, random_state=0)
TIGHT = {"tol": 1e-12, "max_iter": 100_000}


def residual(penalty: Penalty, weights: Tensor, loss) -> float:
    """Largest distance of −∇loss to ∂P at the weights, with autograd's gradient."""
    leaf = weights.clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(leaf), leaf)
    return float(penalty.distance(weights, grad).max())


def assert_solves(penalty: Penalty, weights: Tensor, loss, tol: float) -> None:
    """Stationary with this strength, far from it with half and with twice as much."""
    assert residual(penalty, weights, loss) < tol
    for wrong in (0.5, 2.0):
        assert residual(penalty.scaled(wrong), weights, loss) > 1e4 * tol


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (Lasso(alpha=3.0, **TIGHT), L1(6.0)),
        (SkElasticNet(alpha=0.5, l1_ratio=0.7, **TIGHT), ElasticNet(l1=0.7, l2=0.15)),
        (SkElasticNet(alpha=2.0, l1_ratio=0.2, **TIGHT), ElasticNet(l1=0.8, l2=1.6)),
        (Ridge(alpha=30.0), L2(0.5)),
        (Ridge(alpha=7, fit_intercept=False), L2(7 / 60)),
    ],
    ids=str,
)
def test_least_squares(estimator, expected: Penalty) -> None:
    estimator.fit(X, Y)
    x, y = torch.tensor(X), torch.tensor(Y)
    weights, bias = torch.tensor(estimator.coef_), float(estimator.intercept_)
    penalty = from_sklearn(estimator, N)
    assert type(penalty) is type(expected)
    assert vars(penalty) == pytest.approx(vars(expected), rel=1e-15)
    assert_solves(penalty, weights, lambda w: nn.MSELoss()(x @ w + bias, y), tol=1e-6)
    if expected.slope > 1:
        assert (weights == 0).any()  # the case in which distance at zero counts


LOGISTIC = [
    ({"l1_ratio": 1.0, "C": 0.5}, ElasticNet(l1=1 / 30, l2=0.0)),
    ({"l1_ratio": 0.0, "C": 2.0}, ElasticNet(l1=0.0, l2=1 / 240)),
    ({"l1_ratio": 0.25, "C": 1.0}, ElasticNet(l1=0.25 / 60, l2=0.75 / 120)),
]


def logistic(**parameters) -> LogisticRegression:
    return LogisticRegression(solver="saga", tol=1e-11, max_iter=200_000, **parameters)


@pytest.mark.parametrize(("parameters", "expected"), LOGISTIC, ids=lambda x: str(x))
def test_logistic_regression_with_two_classes(parameters, expected: ElasticNet) -> None:
    inputs, labels = make_classification(N, 8, random_state=0)
    model = logistic(**parameters).fit(inputs, labels)
    x, y = torch.tensor(inputs), torch.tensor(labels, dtype=torch.float64)
    weights, bias = torch.tensor(model.coef_[0]), float(model.intercept_[0])
    penalty = from_sklearn(model, N)
    assert vars(penalty) == pytest.approx(vars(expected), rel=1e-15)
    assert_solves(penalty, weights, lambda w: nn.BCEWithLogitsLoss()(x @ w + bias, y), tol=1e-8)


@pytest.mark.parametrize(("parameters", "expected"), LOGISTIC, ids=lambda x: str(x))
def test_logistic_regression_with_three_classes(parameters, expected: ElasticNet) -> None:
    inputs, labels = make_classification(N, 8, n_informative=4, n_classes=3, random_state=0)
    model = logistic(**parameters).fit(inputs, labels)
    x, y = torch.tensor(inputs), torch.tensor(labels)
    weights, bias = torch.tensor(model.coef_), torch.tensor(model.intercept_)
    penalty = from_sklearn(model, N)
    assert vars(penalty) == pytest.approx(vars(expected), rel=1e-15)
    assert_solves(penalty, weights, lambda w: nn.CrossEntropyLoss()(x @ w.T + bias, y), tol=1e-8)


def test_logistic_regression_without_penalty() -> None:
    model = LogisticRegression(C=float("inf"))
    assert from_sklearn(model, N) == ElasticNet(0.0, 0.0)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"penalty": "l1", "l1_ratio": None}, ElasticNet(0.1, 0.0)),
        ({"penalty": "l2", "l1_ratio": None}, ElasticNet(0.0, 0.05)),
        ({"penalty": "elasticnet", "l1_ratio": 0.5}, ElasticNet(0.05, 0.025)),
        ({"penalty": None, "l1_ratio": None}, ElasticNet(0.0, 0.0)),
    ],
    ids=str,
)
def test_logistic_regression_as_it_was_named_before(parameters, expected: ElasticNet) -> None:
    """Up to scikit-learn 1.7 ``penalty`` named the mix; such settings are still around."""
    assert from_sklearn(LogisticRegression(C=1.0, **parameters), 10) == expected


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_weight_decay_is_the_gradient_of_the_penalty(momentum: float) -> None:
    """SGD(weight_decay=d) goes where SGD on loss + L2(d/2) goes; on loss + L2(d) it does not."""
    torch.manual_seed(0)
    start, x, y = torch.randn(5, 1), torch.randn(20, 5), torch.randn(20, 1)

    def train(weight_decay: float, penalty: Penalty) -> Tensor:
        w = nn.Parameter(start.clone())
        optimizer = torch.optim.SGD([w], lr=0.1, momentum=momentum, weight_decay=weight_decay)
        for _ in range(5):
            optimizer.zero_grad()
            (nn.MSELoss()(x @ w, y) + penalty.value(w)).backward()
            optimizer.step()
        return w.detach()

    decayed = train(0.3, L2(0.0))
    assert torch.allclose(train(0.0, from_weight_decay(0.3)), decayed, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(train(0.0, L2(0.3)), decayed, rtol=1e-2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # RSS/(2n) + λ·[α·Σ|w| + (1−α)/2·Σw²], times 2: RSS/n + 2λα·Σ|w| + λ(1−α)·Σw², sd(y) = 1
        ((0.5,), ElasticNet(l1=1.0, l2=0.0)),
        ((0.5, 0.0), ElasticNet(l1=0.0, l2=0.5)),
        ((2.0, 0.25), ElasticNet(l1=1.0, l2=1.5)),
        ((0, 0.5), ElasticNet(l1=0.0, l2=0.0)),
    ],
)
def test_glmnet_by_hand(arguments, expected: ElasticNet) -> None:
    y = [-1.0, 1.0]
    assert from_glmnet(*arguments, y=y) == expected
    assert from_glmnet(*arguments, family="gaussian", y=y) == expected
    half = expected.scaled(0.5)  # the mean log-loss is the same on both sides
    assert from_glmnet(*arguments, family="binomial") == half
    assert from_glmnet(*arguments, family="multinomial") == half


def test_glmnet_and_scikit_learn_are_one_problem() -> None:
    """Lasso's α is glmnet's λ; ElasticNet's (α, ρ) are glmnet's (λ, α) where sd(y) = 1."""
    glmnet = from_glmnet(2.0, 0.25, y=[-1.0, 1.0])
    assert from_sklearn(SkElasticNet(alpha=2.0, l1_ratio=0.25), N) == glmnet
    assert from_sklearn(Lasso(alpha=2.0), N) == L1(from_glmnet(2.0).l1)
