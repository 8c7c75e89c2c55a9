"""from_glmnet against glmnet's own solutions: its C++ core, run once, and closed forms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import shrinkage as sh
from shrinkage.errors import PenaltyError
from shrinkage.penalties.glmnet import GlmnetElasticNet

RNG = np.random.default_rng(0)
N = 100
X = RNG.normal(size=(N, 5)) * [1, 2, 3, 1, 0.5]
Y = X @ [3.0, -2, 0, 0, 1] + RNG.normal(size=N) + 7

# glmnetpp 0.1.0 (PyPI, the core of glmnet ≥ 4.1): fit_gaussian_ridge(X, Y, 0.8, alpha=alpha,
# standardize=False, thresh=1e-16)
SOLUTIONS = {
    0.0: [2.37819027, -1.85112511, 0.02142541, -0.06170834, 0.63292674],
    0.3: [2.26119235, -1.8010676, 0.0, 0.0, 0.11908432],
    0.7: [2.06367012, -1.74415564, 0.0, 0.0, 0.0],
    1.0: [1.89436632, -1.70126553, 0.0, 0.0, 0.0],
}


def solved(penalty: sh.Penalty, data: object) -> np.ndarray:
    model = nn.Linear(5, 1).double()
    plan = sh.Plan(model, penalty)
    assert sh.polish(model, plan, data, nn.MSELoss(), tol=1e-9, rounds=500).gap <= 1e-9
    assert sh.certify(model, plan, data, nn.MSELoss()).gap <= 1e-9
    return model.weight.detach().numpy()[0]


@pytest.mark.parametrize("alpha", SOLUTIONS)
def test_gaussian_solutions_are_those_of_glmnet(alpha: float) -> None:
    x, y = torch.tensor(X), torch.tensor(Y)[:, None]
    loader = DataLoader(TensorDataset(x, y), batch_size=32)
    for penalty, data in (
        (sh.from_glmnet(0.8, alpha), (x, y)),
        (sh.from_glmnet(0.8, alpha), loader),
        (sh.from_glmnet(0.8, alpha, y=Y), (x, y)),
        (sh.from_glmnet(np.float64(0.4), np.float32(alpha), y=y).scaled(2), (x, y)),
    ):
        assert solved(penalty, data) == pytest.approx(SOLUTIONS[alpha], abs=2e-6)


def test_every_make_of_targets_has_the_same_deviation() -> None:
    expected = sh.ElasticNet(l1=0.0, l2=1.0)
    y = [1.0, 5.0]
    for given in (y, tuple(y), np.array(y), np.array([[1], [5]]), torch.tensor(y)):
        assert sh.from_glmnet(2.0, 0.0, y=given) == expected


@pytest.mark.parametrize("family", ["binomial", "multinomial"])
def test_the_log_loss_families_scale_no_response(family) -> None:
    assert sh.from_glmnet(0.1, 0.5, family=family) == sh.ElasticNet(0.05, 0.025)


@pytest.mark.parametrize(
    "use",
    [
        lambda plan: sh.attach(torch.optim.SGD(plan.model.parameters(), lr=0.1), plan),
        lambda plan: plan.penalty(),
        lambda plan: plan.value(),
        lambda plan: sh.measure(plan.model, plan),
    ],
    ids=["attach", "penalty", "value", "measure"],
)
def test_where_no_targets_are_known_the_remedy_is_named_and_works(use) -> None:
    plan = sh.Plan(nn.Linear(5, 1), sh.from_glmnet(0.8, 0.5))
    with pytest.raises(PenaltyError, match=r"from_glmnet\(lambda_, alpha, y=y\)"):
        use(plan)
    use(sh.Plan(plan.model, sh.from_glmnet(0.8, 0.5, y=Y)))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (torch.tensor([0, 1, 1]), "no gaussian response: got int64.*family='binomial'"),
        (np.array(["a", "b"]), "no gaussian response"),
        (np.ones((4, 2)), r"no gaussian response: got float64 of shape \(4, 2\)"),
        (3.0, "no gaussian response"),
        ([], "no gaussian response"),
        ([2.0, 2.0], "no standard deviation.*got 0"),
        ([2.0, np.nan], "no standard deviation.*got nan"),
        (None, None),
    ],
    ids=repr,
)
def test_targets_that_are_none(y: object, message: str | None) -> None:
    if message is None:
        assert sh.from_glmnet(0.1, 0.5) == GlmnetElasticNet(l1=0.1, l2=0.05)
        return
    with pytest.raises(PenaltyError, match=message):
        sh.from_glmnet(0.1, 0.5, y=y)


def test_a_path_is_that_of_the_elastic_net_on_its_own_targets(tmp_path: Path) -> None:
    """A path standardises the targets, so that their deviation is 1 as within glmnet."""
    found = [
        sh.path(
            "linear", (X, Y), penalty, run=tmp_path / name, points=3, refine=0, weakest=0.01,
            strongest=1.0, seeds=1, refit=None, jobs=1,
        ).frame()
        for name, penalty in (
            ("a", sh.from_glmnet(1.0, 0.5)), ("b", sh.ElasticNet(l1=1.0, l2=0.5))
        )
    ]  # fmt: skip
    ours, theirs = (frame.select("scale", "nonzeros", "train_loss").rows() for frame in found)
    assert np.array(ours) == pytest.approx(np.array(theirs), rel=1e-6)
