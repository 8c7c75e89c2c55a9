"""Labels that a loss ignores, numbers that are no labels, and targets that float32 cannot tell."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

import shrinkage as sh
from shrinkage.analysis.measures.criterion import Criterion
from shrinkage.data import load
from shrinkage.errors import DataError, FitError, PenaltyError, ShrinkageWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
LABELS = np.digitize(X[:, 0], [-0.5, 0.5])
SMALL: dict[str, Any] = {
    "points": 2, "epochs": 1, "seeds": 1, "jobs": 1, "progress": lambda _: None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "ignored"),
    [
        (np.where(X[:, 1] > 1, -1, LABELS), -1),
        (np.where(X[:, 1] > 1, -100, LABELS), -100),
        (LABELS + 1, 3),
        (LABELS + 10, 1),
    ],
)
def test_a_label_that_would_be_numbered_otherwise_is_refused(
    labels: Any, ignored: int, tmp_path: Path
) -> None:
    """Labels are numbered from 0: the loss would ignore another class, or none."""
    loss = nn.CrossEntropyLoss(ignore_index=ignored)
    with pytest.raises(FitError, match=f"ignore_index={ignored} for the labels"):
        sh.path("linear", (X, labels), "l1", loss=loss, run=tmp_path / "r")
    with pytest.raises(FitError, match=f"ignore_index={ignored} for the labels"):
        sh.contrast("linear", (X, labels), loss=loss, run=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_an_ignored_label_among_those_of_the_loss_counts_for_nothing(tmp_path: Path) -> None:
    keep = LABELS != 1
    path = sh.path("linear", (X, LABELS), "l1", loss=nn.CrossEntropyLoss(ignore_index=1),
                   run=tmp_path / "a", **SMALL)  # fmt: skip
    rows = path.setting.split(0).validation
    model = path.chosen.model
    with torch.no_grad():
        output = model(rows.x)
    there = rows.y != 1
    right = nn.functional.cross_entropy(output[there], rows.y[there])
    assert path.chosen.row["validation_loss"] == pytest.approx(float(right), rel=1e-5)
    # and the remedy of the refusal: rows left out, the others numbered from 0
    again = sh.path("linear", (X[keep], LABELS[keep] // 2), "l1", run=tmp_path / "b",
                    loss=nn.CrossEntropyLoss(ignore_index=-1), **SMALL)  # fmt: skip
    assert again.setting.data.classes == ("0", "1")


def test_counts_of_a_table_are_refused_with_a_remedy_that_works(tmp_path: Path) -> None:
    counts = np.minimum(np.exp(X[:, 0]).astype(int), 9)
    counts[0] = 9  # one row of a class: too few to be shared out
    file = tmp_path / "t.csv"
    pl.DataFrame({"a": X[:, 0], "n": counts}).write_csv(file)
    with pytest.raises(FitError, match="task='regression'"):
        sh.path("linear", load(file, target="n"), "l1", loss=nn.PoissonNLLLoss(), run=tmp_path)
    with pytest.raises(DataError, match="task='regression'"):
        sh.path("linear", load(file, target="n"), "l1", run=tmp_path / "r")
    data = load(file, target="n", task="regression")
    path = sh.path("linear", data, "l1", loss=nn.PoissonNLLLoss(), run=tmp_path / "r", **SMALL)
    assert set(path.setting.split(0).train.y.flatten().tolist()) <= set(counts.tolist())


@pytest.mark.parametrize("loss", [nn.HuberLoss(), nn.SmoothL1Loss(), nn.BCELoss(torch.ones(1))])
def test_losses_take_targets_of_another_precision(loss: nn.Module) -> None:
    """Some of PyTorch's take one dtype alone."""
    p = torch.rand(5, 1, requires_grad=True)
    y = torch.rand(5, dtype=torch.float64)
    value = Criterion(loss)(p, y)
    value.backward()  # type: ignore[no-untyped-call]
    right = p.detach().double().requires_grad_()
    wanted = type(loss)()(right, y[:, None])
    wanted.backward()
    assert float(value.detach()) == pytest.approx(float(wanted.detach()), rel=1e-12)
    assert p.grad is not None
    torch.testing.assert_close(p.grad.double(), right.grad, rtol=1e-6, atol=0)


def test_targets_that_float32_cannot_tell_apart_are_said(tmp_path: Path) -> None:
    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.line(x)

    far = 1.7e9 + 30 * X[:, 0].round(2)
    with pytest.raises(ShrinkageWarning, match="subtract a constant"):  # an error in tests
        sh.path(Line, (X, far), "l1", loss=nn.HuberLoss(), run=tmp_path / "a", **SMALL)
    near = (far - 1.7e9) / 30
    sh.path(Line, (X, near), "l1", loss=nn.HuberLoss(), run=tmp_path / "b", **SMALL)


def test_one_se_of_one_value_says_that_it_is_the_best(tmp_path: Path) -> None:
    def weighted(p: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(p, y, weight=torch.tensor([1.0, 2.0, 5.0]))

    path = sh.path("linear", (X, LABELS), "l1", loss=weighted, batch_size=90, run=tmp_path / "r",
                   **SMALL)  # fmt: skip
    assert "no standard error" in path.choose("1se").why
    assert path.choose("1se").scale == path.choose("best").scale


def test_measure_knows_the_targets_of_glmnets_strength() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    x = torch.tensor(X, dtype=torch.float32)
    y = (3 * x[:, :1] + 1).clone()
    plan = sh.Plan(model, sh.from_glmnet(0.1, 0.5))
    w = model.weight.detach().double()
    right = 0.1 * float(w.abs().sum()) + 0.05 / float(y.double().std(correction=0)) * float(
        w.square().sum()
    )
    assert sh.measure(model, plan, (x, y)).penalty == pytest.approx(right, rel=1e-6)
    parts = {"test": (x[:9], y[:9]), "train": (x, y)}
    assert sh.measure(model, plan, parts).penalty == pytest.approx(right, rel=1e-6)
    with pytest.raises(PenaltyError, match="y=y"):  # whose targets are not those of training
        sh.measure(model, plan, {"validation": (x, y), "test": (x, y)})


def test_new_rows_in_other_frames_are_refused_with_remedies_that_work(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    arrays = sh.path("linear", (X, LABELS), "l1", run=tmp_path / "a", **SMALL).chosen
    file = tmp_path / "t.csv"
    frame = pl.DataFrame({"a": X[:, 0], "g": np.where(X[:, 1] > 0, "u", "v"), "y": LABELS})
    frame.write_csv(file)
    table = sh.path("linear", load(file, target="y"), "l1", run=tmp_path / "b", **SMALL).chosen
    new = pandas.DataFrame(frame.to_dict(as_series=False))
    with pytest.raises(DataError, match=r"polars\.DataFrame\(frame\.to_dict\('list'\)\)"):
        table.predict(new)
    assert len(table.predict(pl.DataFrame(new.to_dict("list")))) == 90
    with pytest.raises(DataError, match=r"numpy\.asarray\(rows\)"):
        arrays.predict(X.tolist())
    with pytest.raises(DataError, match=r"frame\.to_numpy\(\)|numpy"):
        arrays.predict(pandas.DataFrame(X))
    assert len(arrays.predict(np.asarray(X.tolist()))) == 90


def test_several_labels_a_row_are_told_which_loss_takes_them(tmp_path: Path) -> None:
    several = (RNG.random((90, 2)) < 0.5).astype(int)
    with pytest.raises(DataError, match="BCEWithLogitsLoss"):
        sh.path("linear", (X, several), "l1", run=tmp_path / "r")
    path = sh.path("linear", (X, several), "l1", loss=nn.BCEWithLogitsLoss(), run=tmp_path / "r",
                   **SMALL)  # fmt: skip
    rows = path.setting.split(0).validation
    with torch.no_grad():
        right = nn.functional.binary_cross_entropy_with_logits(path.chosen.model(rows.x), rows.y)
    assert path.chosen.row["validation_loss"] == pytest.approx(float(right), rel=1e-5)


SIGNS = np.where(X[:, 0] > 0, 1.0, -1.0)


@pytest.mark.parametrize(
    ("loss", "y", "right"),
    [
        (nn.BCEWithLogitsLoss(), SIGNS, SIGNS > 0),
        (nn.BCEWithLogitsLoss(), SIGNS + 1, SIGNS > 0),
        (nn.functional.binary_cross_entropy_with_logits, SIGNS, SIGNS > 0),
        (nn.PoissonNLLLoss(), SIGNS, SIGNS + 1),
        (nn.SoftMarginLoss(), SIGNS > 0, SIGNS),
        (nn.HingeEmbeddingLoss(), SIGNS > 0, SIGNS),
    ],
)
def test_targets_without_a_meaning_for_the_loss_are_refused(
    loss: Any, y: Any, right: Any, tmp_path: Path
) -> None:
    """−1 for a cross-entropy has no minimum; 0 for a margin is no class."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    x = torch.tensor(X, dtype=torch.float32)
    plan = sh.Plan(model, sh.L1(1e-3))
    wrong, fitting = (torch.tensor(np.asarray(v, dtype="f4"))[:, None] for v in (y, right))
    with pytest.raises(FitError, match="no meaning for"):
        sh.certify(model, plan, (x, wrong), loss)
    with pytest.raises(FitError, match="no meaning for"):
        sh.path(lambda: nn.Linear(3, 1), (x, wrong), "l1", loss=loss, run=tmp_path / "r")
    found = sh.certify(model, plan, (x, fitting), loss)
    wanted = float(loss(model(x), fitting).detach()) + 1e-3 * float(
        model.weight.detach().abs().sum()
    )
    assert found.objective == pytest.approx(wanted, rel=1e-6)


def test_hidden_values_of_a_masked_array_are_not_used(tmp_path: Path) -> None:
    masked = np.ma.masked_less(X, -1.5)
    with pytest.raises(DataError, match="hidden") as caught:
        sh.path("linear", (masked, LABELS), "l1", run=tmp_path / "r")
    assert f"got {int((X < -1.5).sum())} of 270" in str(caught.value)
    assert sh.data.from_user((masked.filled(0.0), LABELS)).x.min() >= -1.5


@pytest.mark.parametrize(
    ("layers", "loss", "said"),
    [
        ((), nn.NLLLoss(), "no log-probabilities"),
        ((), nn.functional.nll_loss, "no log-probabilities"),
        ((nn.LogSoftmax(dim=1),), nn.NLLLoss(), ""),
        ((nn.Softmax(dim=1),), nn.CrossEntropyLoss(), "are probabilities"),
        ((), nn.CrossEntropyLoss(), ""),
    ],
)
def test_outputs_that_a_loss_takes_amiss_are_said(
    layers: Any, loss: Any, said: str, tmp_path: Path
) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(3, 3), *layers)

    def call() -> Any:
        return sh.path(make, (X, LABELS), "l1", loss=loss, run=tmp_path / "r", **SMALL)

    if said:
        with pytest.raises(ShrinkageWarning, match=said):  # an error in tests
            call()
    else:
        rows = call().setting.split(0).train
        assert sorted(set(rows.y.tolist())) == [0, 1, 2]
