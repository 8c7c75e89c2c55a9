"""Targets and ids on their way through path and contrast: as given to a loss of the user's own."""

import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import Lasso, LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

import shrinkage as sh
from shrinkage.data import Spec, from_user
from shrinkage.data.outputs import reads_ids
from shrinkage.errors import DataError, FitError, ShrinkageWarning
from shrinkage.explorer._explore import session_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3)).astype("f4")
YES = (X[:, 0] + 0.7 * RNG.normal(size=200) > 0.8).astype("f4")
COUNT = RNG.poisson(np.exp(1 + 0.6 * X[:, 0])).astype("f4")
COUNT[:2] = 40  # so that counts have holes
SMALL: dict[str, Any] = {
    "seeds": 1, "jobs": 1, "points": 2, "magnitude": False, "refit": None, "refine": 0,
    "weakest": 0.01, "strongest": 0.02,
}  # fmt: skip


def one_output(spec: Spec) -> nn.Module:
    return nn.Linear(spec.n_inputs, 1)


def coefficients(path: Any, scale: float = 0.01) -> tuple[np.ndarray, float]:
    model = path.choose(scale=scale).model
    return model.weight.detach().numpy(), model.bias.detach().numpy()


def training_part(path: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The standardised rows that the first seed was trained on, and their targets as given."""
    rows = path.setting.split(0).train
    assert set(rows.y.flatten().tolist()) <= set(y.flatten().tolist())
    return rows.x.numpy().astype(float), rows.y.numpy()


def logistic(n: float, weight: float) -> LogisticRegression:
    """Sum of losses / n + 0.01·Σ|w|; C = 1/(n·λ)."""
    l1 = {"l1_ratio": 1} if version("scikit-learn") >= "1.8" else {"penalty": "l1"}
    weights = {0: 1.0, 1: weight}
    options = {"solver": "saga", "tol": 1e-9, "max_iter": 100_000, "random_state": 0}
    return LogisticRegression(C=1 / (n * 0.01), class_weight=weights, **options, **l1)


@pytest.mark.parametrize("dtype", ["f4", "i8", "bool"])
def test_an_exact_path_of_logits_is_scikit_learns(dtype: str, tmp_path: Path) -> None:
    """mean loss + λ·Σ|w|: C = 1/(n·λ); an unpenalised intercept, which liblinear has not."""
    weight = 3.0
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([weight], dtype=torch.float64))
    path = sh.path(
        one_output, (X, YES.astype(dtype)), "l1", loss=loss, run=tmp_path / "run", **SMALL
    )
    assert path.setting.solver == "polish"
    x, y = training_part(path, YES)
    right = logistic(len(x), weight).fit(x, y.ravel())
    w, b = coefficients(path)
    np.testing.assert_allclose(w, right.coef_, atol=2e-4)
    np.testing.assert_allclose(b, right.intercept_, atol=2e-4)
    assert path.chosen.row["score_name"] == "accuracy"
    told = path.choose(scale=0.01).predict(X)["prediction"]
    if dtype != "f4":  # a class by its name, and not always the first one
        mean, scale = path.setting.split(0).x_mean, path.setting.split(0).x_scale
        chosen = right.predict((X - mean.numpy()) / scale.numpy())
        names = path.setting.data.classes
        assert told.to_list() == [names[int(k)] for k in chosen]
        assert len(set(told.to_list())) == 2


def test_two_classes_are_one_output_for_a_loss_of_logits(tmp_path: Path) -> None:
    path = sh.path(
        "linear", (X, YES.astype(int)), "l1", loss=nn.BCEWithLogitsLoss(), run=tmp_path, **SMALL
    )
    assert path.chosen.model.state_dict().popitem()[1].shape == (1,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_class_weights_in_an_exact_path_are_scikit_learns(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    """Of two logits under L1 their difference is what one logit is, at the same λ."""
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0], dtype=dtype))
    path = sh.path("linear", (X, YES.astype(int)), "l1", loss=loss, run=tmp_path, **SMALL)
    x, y = training_part(path, YES)
    weights = np.where(y == 1, 3.0, 1.0)
    right = logistic(weights.sum(), 3.0).fit(x, y)
    state = next(iter(path.choose(scale=0.01).model.state_dict().values())).numpy()
    np.testing.assert_allclose(state[1] - state[0], right.coef_[0], atol=2e-4)


def test_squares_given_explicitly_are_lasso_on_the_targets_as_they_are(tmp_path: Path) -> None:
    y = (50 + 20 * X[:, 0] + RNG.normal(size=200)).astype("f4")
    path = sh.path(
        one_output, (X, y), "l1", loss=nn.MSELoss(), run=tmp_path,
        **{**SMALL, "weakest": 2.0, "strongest": 4.0},
    )  # fmt: skip
    x, target = training_part(path, y)
    right = Lasso(alpha=1.0, tol=1e-10, max_iter=100_000).fit(x, target.ravel())  # 1/(2n)
    w, b = coefficients(path, 2.0)
    np.testing.assert_allclose(w[0], right.coef_, atol=1e-3)
    point = path.choose(scale=2.0)
    split = path.setting.split(0)
    scaled = (X - split.x_mean.numpy()) / split.x_scale.numpy()
    np.testing.assert_allclose(point.predict(X)["prediction"], right.predict(scaled), atol=1e-2)
    assert b == pytest.approx(right.intercept_, abs=1e-3)


class Noted(nn.PoissonNLLLoss):
    """Notes the targets that it is given."""

    seen: ClassVar[set[float]] = set()

    def forward(self, p: Tensor, y: Tensor) -> Tensor:
        self.seen.update(y.flatten().tolist())
        return super().forward(p, y)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
def test_counts_reach_a_poisson_loss_as_they_are(dtype: str, tmp_path: Path) -> None:
    path = sh.path(
        one_output, (X, COUNT.astype(dtype)), "l1", loss=nn.PoissonNLLLoss(), run=tmp_path,
        **{**SMALL, "weakest": 0.3, "strongest": 0.6},
    )  # fmt: skip
    x, y = training_part(path, COUNT)
    y = y.ravel()

    def cost(z: np.ndarray) -> float:
        rate = x @ (z[:3] - z[3:6]) + z[6]
        return float((np.exp(rate) - y * rate).mean() + 0.3 * z[:6].sum())

    bounds = [(0, None)] * 6 + [(None, None)]
    right = minimize(cost, np.zeros(7), bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-9}).x
    w, b = coefficients(path, 0.3)
    np.testing.assert_allclose(w[0], right[:3] - right[3:6], atol=5e-4)
    np.testing.assert_allclose(b, right[6:], atol=5e-4)
    assert path.chosen.row["score_name"] == "−loss"
    rates = path.choose(scale=0.3).predict(X)["prediction"].to_numpy()
    split = path.setting.split(0)
    scaled = (X - split.x_mean.numpy()) / split.x_scale.numpy()
    np.testing.assert_allclose(rates, (scaled @ w.T + b).ravel(), atol=1e-4)


def test_a_trained_path_and_a_contrast_give_the_counts_too(tmp_path: Path) -> None:
    loss = Noted()
    options: dict[str, Any] = {"loss": loss, "epochs": 1, "jobs": 1}
    sh.path(one_output, (X, COUNT), "l1", run=tmp_path / "p", **options | SMALL)
    assert loss.seen == set(COUNT.tolist())
    loss.seen.clear()
    sh.contrast(
        one_output, (X, COUNT), columns=["l1"], seeds=1, tries=1, run=tmp_path / "c", **options
    )
    assert loss.seen == set(COUNT.tolist())


def train_of_my_own(seen: set[float]) -> Callable[..., None]:
    def train(model: nn.Module, plan: sh.Plan, budget: Any) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        sh.attach(optimizer, plan, method=budget.method)
        for _ in range(budget.epochs):
            for x, y in budget.batches(64):
                seen.update(y.flatten().tolist())
                optimizer.zero_grad()
                functional.mse_loss(model(x), y).backward()
                optimizer.step()

    return train


def test_a_training_of_ones_own_gets_the_targets_as_given(tmp_path: Path) -> None:
    y, seen = (3 + X[:, 0]).astype("f4"), set[float]()
    options: dict[str, Any] = {"train": train_of_my_own(seen), "epochs": 4, "jobs": 1}
    path = sh.path(one_output, (X, y), sh.L1(1.0), run=tmp_path / "path", **options | SMALL)
    assert seen <= set(y.tolist())
    assert path.setting.split(0).y_scale == 1
    seen.clear()
    result = sh.contrast(
        one_output, (X, y), columns=["none", "l1"], seeds=1, tries=1, run=tmp_path / "contrast",
        **options,
    )  # fmt: skip
    assert seen <= set(y.tolist())
    assert result.setting.split(0).y_scale == 1


def test_without_either_targets_are_standardised_as_before(tmp_path: Path) -> None:
    y = (50 + 20 * X[:, 0] + RNG.normal(size=200)).astype("f4")
    path = sh.path(one_output, (X, y), "l1", run=tmp_path, **SMALL)
    rows = path.setting.split(0).train.y
    assert abs(float(rows.mean())) < 1e-5
    assert float(rows.std(correction=0)) == pytest.approx(1, abs=1e-5)
    answers = path.choose(scale=0.01).predict(X)["prediction"].to_numpy()
    assert np.corrcoef(answers, y)[0, 1] > 0.99
    assert answers.mean() == pytest.approx(50, abs=5)


def test_the_live_page_too() -> None:
    session = session_of(one_output, (X, YES), loss=nn.BCEWithLogitsLoss())
    assert set(session.rows.y.flatten().tolist()) == {0.0, 1.0}


# ------------------------------------------------------- more columns of targets than of outputs


def survival(p: Tensor, y: Tensor) -> Tensor:
    risk, time, event = p.squeeze(1), y[:, 0], y[:, 1]
    at_risk = torch.where(time[None] >= time[:, None], risk[None], -torch.inf).logsumexp(1)
    return ((at_risk - risk) * event).sum() / event.sum().clamp(min=1)


def weighted(p: Tensor, y: Tensor) -> Tensor:
    return ((p[:, 0] - y[:, 0]) ** 2 * y[:, 1]).mean()


TIMES = np.column_stack([RNG.exponential(np.exp(-X[:, 0])), RNG.random(200) < 0.8]).astype("f4")


@pytest.mark.parametrize("loss", [survival, weighted])
def test_time_and_event_or_weights_in_path_and_contrast(loss: Any, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShrinkageWarning)
        path = sh.path(
            one_output, (X, TIMES), "l1", loss=loss, epochs=6, run=tmp_path / "p", **SMALL
        )
        result = sh.contrast(
            one_output, (X, TIMES), columns=["none", "l1"], loss=loss, seeds=1, tries=1, epochs=6,
            jobs=1, run=tmp_path / "c",
        )  # fmt: skip
    rows = path.setting.split(0)
    assert torch.equal(rows.train.y[:3], torch.tensor(TIMES)[_places(rows.train.y[:3])])
    model = path.chosen.model
    point = path.chosen.row
    right = loss(model(rows.validation.x), rows.validation.y).item()
    assert point["validation_loss"] == pytest.approx(right, rel=1e-4)
    assert point["score_name"] == "−loss"
    assert len(result.summary()) == 2
    assert "no certificate" not in str(result)


def _places(rows: Tensor) -> list[int]:
    return [int(np.flatnonzero((row.numpy() == TIMES).all(axis=1))[0]) for row in rows]


def test_batches_of_what_is_no_mean_are_warned_of_and_the_remedy_is_exact(tmp_path: Path) -> None:
    options: dict[str, Any] = {"loss": survival, **SMALL, "weakest": 0.02, "strongest": 0.04}
    with pytest.warns(ShrinkageWarning, match=r"no mean.*batch_size=128 trains on all at once"):
        sh.path(one_output, (X, TIMES), "l1", epochs=1, run=tmp_path / "a", **options)
    path = sh.path(
        one_output, (X, TIMES), "l1", epochs=300, point_epochs=300, batch_size=128, lr=0.1,
        run=tmp_path / "b", **options,
    )  # fmt: skip
    model, rows = path.choose(scale=0.02).model, path.setting.split(0).train
    net = nn.Linear(3, 1, bias=False).double()
    sh.polish(net, sh.Plan(net, sh.L1(0.02)), (rows.x.double(), rows.y), survival, tol=1e-5)
    np.testing.assert_allclose(
        model.weight.detach().numpy(), net.weight.detach().numpy(), atol=5e-3
    )


# ------------------------------------------------------------------------- integers and labels


def test_integers_are_numbers_for_a_loss_of_numbers_and_labels_for_others(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"the loss takes numbers.*classes.*floats"):
        sh.path("linear", "wine", "l1", loss=nn.MSELoss(), run=tmp_path / "a")
    y = np.array([1, 2, 5])[RNG.integers(0, 3, 200)]

    def own(p: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(p, y)

    with pytest.warns(ShrinkageWarning, match="1, 2, 5 reach your own code numbered 0 to 2"):
        sh.path("linear", (X, y), "l1", loss=own, epochs=1, run=tmp_path / "b", **SMALL)


def test_several_yes_and_no_of_integers(tmp_path: Path) -> None:
    y = np.column_stack([YES, 1 - YES]).astype(int)
    path = sh.path("linear", (X, y), "l1", loss=nn.BCEWithLogitsLoss(), run=tmp_path, **SMALL)
    assert path.setting.solver == "polish"
    assert set(path.setting.split(0).train.y.flatten().tolist()) == {0.0, 1.0}
    assert path.chosen.row["score_name"] == "accuracy"


def test_what_a_loss_raises_is_told_before_anything_is_written(tmp_path: Path) -> None:
    def broken(_p: Tensor, _y: Tensor) -> Tensor:
        raise ValueError("mine alone")

    for call in (
        lambda: sh.path(one_output, (X, YES), "l1", loss=broken, run=tmp_path / "run"),
        lambda: sh.contrast(one_output, (X, YES), loss=broken, run=tmp_path / "run"),
    ):
        with pytest.raises(FitError, match="mine alone"):
            call()
    with pytest.raises(FitError, match="not a mean over examples"):
        sh.contrast(one_output, (X, YES), loss=nn.MSELoss(reduction="none"), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --------------------------------------------------------------------------------------- ids

TOKENS = RNG.integers(0, 20, (200, 5))
TOPIC = ((TOKENS < 4).sum(axis=1) > 1).astype(int)


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(20, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        assert not x.is_floating_point()
        assert 0 <= int(x.min()) <= int(x.max()) < 20
        return self.out(self.embedding(x).mean(dim=1))


class Cast(Bag):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.embedding(x.long()).mean(dim=1))


@pytest.mark.parametrize(("make", "dtype"), [(Bag, np.int64), (Cast, np.uint8)])
def test_ids_reach_the_network_as_they_are(make: Any, dtype: Any, tmp_path: Path) -> None:
    x = TOKENS.astype(dtype)
    path = sh.path(make, (x, TOPIC), "l1", epochs=1, run=tmp_path / "p", **SMALL)
    rows = path.setting.split(0).train.x
    assert rows.dtype == torch.int64
    assert set(map(tuple, rows.tolist())) <= set(map(tuple, TOKENS.tolist()))
    with torch.no_grad():
        chosen = path.chosen.model(torch.tensor(TOKENS)).argmax(1)
    assert path.chosen.predict(x)["prediction"].to_list() == [str(k) for k in chosen.tolist()]
    with pytest.raises(DataError, match="ids"):
        path.chosen.predict(x + 0.25)
    if make is Bag:
        result = sh.contrast(
            make, (x, TOPIC), columns=["l1"], seeds=1, tries=1, epochs=2, jobs=1,
            run=tmp_path / "c",
        )  # fmt: skip
        assert len(result.predict("l1", x)) == 200


def test_whole_numbers_are_standardised_for_a_dense_network(tmp_path: Path) -> None:
    path = sh.path("linear", (TOKENS, TOPIC), "l1", run=tmp_path, **SMALL)
    rows = path.setting.split(0).train.x
    assert rows.dtype == torch.float32
    assert abs(float(rows.mean())) < 1e-5
    assert len(path.chosen.predict(TOKENS)) == 200


class Mixed(nn.Module):
    """A level in the first column, and quantities."""

    def __init__(self) -> None:
        super().__init__()
        self.levels, self.out = nn.Embedding(20, 3), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([self.levels(x[:, 0].long()), x[:, 1:].float()], dim=1))


@pytest.mark.parametrize("dtype", ["f4", "i8"])
def test_a_column_of_ids_beside_quantities(dtype: str, tmp_path: Path) -> None:
    x = np.column_stack([TOKENS[:, 0], 10 * X]).astype(dtype)
    path = sh.path(Mixed, (x, TOPIC), "l1", epochs=1, run=tmp_path, **SMALL)
    rows = path.setting.split(0).train.x
    assert set(rows[:, 0].tolist()) <= set(TOKENS[:, 0].tolist())
    assert float(rows[:, 1:].mean().abs()) < 1e-5
    assert len(path.chosen.predict(x)) == 200


class Asleep(nn.Module):
    """A dense network with a head of zeros, which casts by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(5, 2)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x.float())


class Places(nn.Module):
    """Numbers, with an embedding of their columns."""

    def __init__(self) -> None:
        super().__init__()
        self.columns, self.out = nn.Embedding(5, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((x[..., None] * self.columns(torch.arange(5))).sum(dim=1))


@pytest.mark.parametrize(
    ("network", "ids"),
    [(Bag(), True), (Cast(), True), (Asleep(), False), (Places(), False), (nn.Linear(5, 2), False)],
)
def test_what_a_network_reads_as_ids(network: nn.Module, ids: bool) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert reads_ids(network, torch.tensor(TOKENS[:8])) is ids
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_data_keep_that_they_were_integers() -> None:
    assert from_user((TOKENS, TOPIC)).integers
    assert not from_user((X, TOPIC)).integers
    assert not from_user((np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 0, 1]))).integers


def test_several_integers_a_row_are_no_labels_to_a_training_of_ones_own(tmp_path: Path) -> None:
    y, shapes = np.stack([COUNT, COUNT + 1], axis=1).astype("i8"), set[tuple[int, ...]]()

    def train(model: nn.Module, plan: sh.Plan, budget: Any) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        sh.attach(optimizer, plan, method=budget.method)
        for x, targets in budget.batches(64):
            shapes.add(tuple(targets.shape[1:]))
            assert bool((targets[:, 1] == targets[:, 0] + 1).all())
            optimizer.zero_grad()
            functional.mse_loss(model(x), targets.to(x)).backward()
            optimizer.step()

    options: dict[str, Any] = {"train": train, "epochs": 1, "jobs": 1}
    sh.path(two_outputs, (X, y), sh.L1(1.0), run=tmp_path / "path", **options | SMALL)
    sh.contrast(
        two_outputs, (X, y), columns=["l1"], seeds=1, tries=1, run=tmp_path / "c", **options
    )
    assert shapes == {(2,)}


def two_outputs(spec: Spec) -> nn.Module:
    return nn.Linear(spec.n_inputs, 2)
