"""Bad input, one row each: what is called, and what the message must say."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn import linear_model as sk

from shrinkage.errors import PenaltyError, ShrinkageError
from shrinkage.penalties import (
    L1,
    L2,
    MCP,
    ElasticNet,
    GroupL1,
    LogSum,
    SparseGroupL1,
    from_glmnet,
    from_sklearn,
    from_weight_decay,
)

w = torch.ones(2, 3)
SCALARS = (np.float64(0.5), np.float32(0.5), np.array(0.5), np.int64(1), torch.tensor(0.5))
RANGE = "out of range.*expected a finite number"
KIND = "is not a number.*expected a finite number"

NOT_STRENGTHS = [
    (-1.0, RANGE),
    (-1e-300, RANGE),
    (math.nan, RANGE),
    (math.inf, RANGE),
    (-math.inf, RANGE),
    (10**400, RANGE),
    (True, KIND),
    ("1e-4", KIND),
    (None, KIND),
    (1j, KIND),
    ([1e-4], KIND),
    (np.ones(2), KIND),
    (torch.tensor(1e-4, requires_grad=True), KIND),
]

STRENGTHS: dict[str, Callable[[object], object]] = {
    "L1 strength": L1,
    "L2 strength": L2,
    "ElasticNet l1": lambda x: ElasticNet(l1=x, l2=0.1),
    "ElasticNet l2": lambda x: ElasticNet(l1=0.1, l2=x),
    "GroupL1 strength": GroupL1,
    "SparseGroupL1 l1": lambda x: SparseGroupL1(l1=x, group=0.1),
    "SparseGroupL1 group": lambda x: SparseGroupL1(l1=0.1, group=x),
    "LogSum strength": lambda x: LogSum(x, epsilon=0.1),
    "MCP strength": lambda x: MCP(x, knee=0.1),
    "factor": lambda x: GroupL1(0.1).scaled(x),
    "weight_decay": from_weight_decay,
    "lambda_": from_glmnet,
    "alpha": lambda x: from_glmnet(0.1, x),
}


@pytest.mark.parametrize(("value", "message"), NOT_STRENGTHS, ids=lambda x: repr(x)[:12])
@pytest.mark.parametrize("name", STRENGTHS)
def test_strength(name: str, value: object, message: str) -> None:
    with pytest.raises(PenaltyError, match=f"^{name} .*{message} ≥ 0"):
        STRENGTHS[name](value)


@pytest.mark.parametrize("name", STRENGTHS)
@pytest.mark.parametrize("value", [0, 0.0, 1, 5e-324, *SCALARS])
def test_a_good_strength_is_none_of_these(name: str, value: float) -> None:
    assert STRENGTHS[name](value) == STRENGTHS[name](float(value))
    assert "np." not in repr(STRENGTHS[name](value))


SIZES: dict[str, Callable[[object], object]] = {
    "LogSum epsilon": lambda x: LogSum(0.1, epsilon=x),
    "MCP knee": lambda x: MCP(0.1, knee=x),
}


@pytest.mark.parametrize(
    ("value", "message"),
    [*NOT_STRENGTHS, (0, RANGE), (0.0, RANGE)],
    ids=lambda x: repr(x)[:12],
)
@pytest.mark.parametrize("name", SIZES)
def test_size(name: str, value: object, message: str) -> None:
    SIZES[name](1e-3)
    with pytest.raises(PenaltyError, match=f"^{name} .*{message} > 0.*size of weights"):
        SIZES[name](value)


PENALTIES = [
    L1(0.1),
    L2(0.1),
    ElasticNet(0.1, 0.1),
    GroupL1(0.1),
    SparseGroupL1(0.1, 0.1),
    LogSum(0.1, 0.1),
    MCP(0.1, 0.1),
]

NOT_STEPS = [
    (-1e-9, "step is out of range: got -1e-09"),
    (math.nan, "step is out of range: got nan"),
    (math.inf, "step is out of range: got inf"),
    ("0.1", "step is not a number: got '0.1'"),
    (None, "step is not a number: got None"),
    (torch.ones(3), r"another shape.*got \(3,\).*tensor of shape \(2, 3\)"),
    (torch.ones(3, 2), r"another shape.*got \(3, 2\).*tensor of shape \(2, 3\)"),
    (torch.ones(2, 1), r"another shape.*got \(2, 1\).*one step per weight"),
    (torch.ones(1), r"another shape.*got \(1,\)"),
]


@pytest.mark.parametrize(("step", "message"), NOT_STEPS, ids=lambda x: repr(x)[:16])
@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: type(p).__name__)
def test_step(penalty, step: object, message: str) -> None:
    with pytest.raises(PenaltyError, match=message):
        penalty.prox(w, step)


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: type(p).__name__)
def test_strengths_cannot_be_set_afterwards(penalty) -> None:
    for name in ("strength", "l1", "l2", "group", "epsilon", "knee", "by"):
        with pytest.raises(AttributeError):
            setattr(penalty, name, 1.0)


GROUPINGS = [
    ("filters", "GroupL1 by is unknown: got 'filters'; .*filter, input, kernel.*mean 'filter'"),
    ("Input", "Did you mean 'input'"),
    ("kernal", "Did you mean 'kernel'"),
    (None, "GroupL1 by is unknown: got None"),
    (0, "GroupL1 by is unknown: got 0"),
    (["filter"], "GroupL1 by is unknown"),
]


@pytest.mark.parametrize(("by", "message"), GROUPINGS, ids=lambda x: str(x)[:12])
def test_by(by: object, message: str) -> None:
    with pytest.raises(PenaltyError, match=message):
        GroupL1(0.1, by=by)


def test_by_of_both_group_penalties() -> None:
    with pytest.raises(PenaltyError, match=r"SparseGroupL1 by is unknown.*Did you mean 'kernel'"):
        SparseGroupL1(0.1, 0.1, by="kernal")


def test_by_far_from_every_name_is_not_guessed() -> None:
    with pytest.raises(PenaltyError) as caught:
        GroupL1(0.1, by="xyz")
    assert "Did you mean" not in str(caught.value)


class MyLasso(sk.Lasso):
    """A subclass may minimise anything."""


CONVERSIONS = [
    (lambda: from_glmnet(0.1, 1.5), "alpha is out of range: got 1.5; .*ridge.*lasso"),
    (lambda: from_glmnet(0.1, family="poisson"), "family is unknown: got 'poisson'.*binomial"),
    (lambda: from_sklearn(sk.Lasso(0.1), 0), "n_samples is out of range: got 0"),
    (lambda: from_sklearn(sk.Lasso(0.1), -3), "n_samples is out of range: got -3"),
    (lambda: from_sklearn(sk.Lasso(0.1), "442"), "n_samples is out of range: got '442'"),
    (lambda: from_sklearn(sk.Lasso(0.1), math.nan), "n_samples is out of range: got nan"),
    (lambda: from_sklearn(sk.Lasso(-0.1), 10), "alpha is out of range: got -0.1"),
    (lambda: from_sklearn(sk.Ridge(np.ones(2)), 10), "alpha is not a number"),
    (lambda: from_sklearn(sk.ElasticNet(l1_ratio=1.5), 10), "l2 is out of range"),
    (lambda: from_sklearn(sk.Lasso(positive=True), 10), "signs.*got positive=True"),
    (lambda: from_sklearn(sk.ElasticNet(positive=True), 10), "signs.*got positive=True"),
    (lambda: from_sklearn(sk.Ridge(positive=True), 10), "signs.*got positive=True"),
    (lambda: from_sklearn(sk.LogisticRegression(C=0.0), 10), "C is out of range: got 0.0"),
    (lambda: from_sklearn(sk.LogisticRegression(C=-1.0), 10), "C is out of range: got -1.0"),
    (lambda: from_sklearn(sk.LogisticRegression(C=math.nan), 10), "C is out of range: got nan"),
    (lambda: from_sklearn(sk.LogisticRegression(C=None), 10), "C is out of range: got None"),
    (lambda: from_sklearn(sk.SGDClassifier(), 10), "no converter: got SGDClassifier"),
    (lambda: from_sklearn(sk.LassoCV(), 10), "no converter: got LassoCV"),
    (lambda: from_sklearn(MyLasso(0.1), 10), "no converter: got MyLasso"),
    (lambda: from_sklearn("Lasso", 10), "no converter: got str"),
    (lambda: from_sklearn(sk.Lasso, 10), "no converter: got ABCMeta"),
]


@pytest.mark.parametrize(("call", "message"), CONVERSIONS, ids=[m for _, m in CONVERSIONS])
def test_conversion(call: Callable[[], object], message: str) -> None:
    with pytest.raises(PenaltyError, match=message):
        call()


def test_every_message_says_got_expected_and_a_remedy() -> None:
    with pytest.raises(ShrinkageError) as caught:
        L1(-1.0)
    error = caught.value
    assert isinstance(error, ValueError)
    assert str(error) == f"{error.what}: got {error.got}; expected {error.expected}. {error.remedy}"
    assert error.remedy.endswith(".")
