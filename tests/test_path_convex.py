"""Paths of linear models beside scikit-learn's and skglm's: the same minima, the same supports."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skglm import SparseLogisticRegression
from sklearn.linear_model import enet_path

import shrinkage as sh
from shrinkage.experiments.fit import Training
from shrinkage.experiments.paths import RegularizationPath, ends
from shrinkage.experiments.paths.setting import key


def solved(penalty: sh.Penalty, data: str, run: Path) -> RegularizationPath:
    return sh.path(
        "linear", data, penalty, run=run, points=12, seeds=1, refit=None, refine=0, jobs=1
    )


def weights(path: RegularizationPath, scale: float) -> tuple[np.ndarray, np.ndarray]:
    stored = path.view.weights(key(0, scale))
    return stored["out.weight"].double().numpy(), stored["out.bias"].double().numpy()


@pytest.mark.parametrize("penalty", [sh.L1(1.0), sh.ElasticNet(l1=1.0, l2=0.3)])
def test_diabetes_is_scikit_learns_path(penalty: sh.L1 | sh.ElasticNet, tmp_path: Path) -> None:
    path = solved(penalty, "diabetes", tmp_path)
    assert path.setting.solver == "polish"
    train = path.setting.split(0).train
    x, y = train.x.double().numpy(), train.y.double().numpy().ravel()
    l1, l2 = (1.0, 0.0) if isinstance(penalty, sh.L1) else (penalty.l1, penalty.l2)
    scales = sorted(path.view.decisions["scales"], reverse=True)
    # theirs: |y − Xw|²/2n + α·ρ|w| + α(1 − ρ)w²/2; ours is twice that
    alphas = [s * (l1 / 2 + l2) for s in scales]
    _, theirs, _ = enet_path(
        x - x.mean(0), y - y.mean(), l1_ratio=l1 / (l1 + 2 * l2), alphas=alphas, tol=1e-12,
        max_iter=100_000,
    )  # fmt: skip

    def objective(w: np.ndarray, scale: float) -> float:
        rest = y - y.mean() - (x - x.mean(0)) @ w
        return float((rest**2).mean() + scale * (l1 * abs(w).sum() + l2 * (w**2).sum()))

    for k, scale in enumerate(scales):
        ours = weights(path, scale)[0][0]
        best = objective(theirs[:, k], scale)
        assert objective(ours, scale) == pytest.approx(best, rel=1e-5)
        assert np.array_equal(ours != 0, theirs[:, k] != 0)
    assert not weights(path, scales[0])[0].any()


def test_breast_cancer_is_skglms_path(tmp_path: Path) -> None:
    path = solved(sh.L1(1.0), "breast_cancer", tmp_path)
    train = path.setting.split(0).train
    x, y = np.asfortranarray(train.x.double().numpy()), train.y.numpy()  # for numba
    for scale in path.view.decisions["scales"][1:9]:
        rival = SparseLogisticRegression(alpha=scale, tol=1e-10, max_epochs=100_000).fit(x, y)
        w, b = weights(path, scale)
        # two rows of a softmax with |a| + |b| are one logit a − b with |a − b|

        def objective(w: np.ndarray, b: float, scale: float = scale) -> float:
            logits = (x @ w + b) * np.where(y == 1, 1, -1)
            return float(np.logaddexp(0, -logits).mean() + scale * abs(w).sum())

        ours, theirs = w[1] - w[0], rival.coef_.ravel()
        best = objective(theirs, float(rival.intercept_))
        assert objective(ours, b[1] - b[0]) == pytest.approx(best, rel=1e-5)
        assert np.array_equal(ours != 0, theirs != 0)


@pytest.mark.parametrize("data", ["diabetes", "breast_cancer"])
@pytest.mark.parametrize("penalty", [sh.L1(2.0), sh.GroupL1(1.0, by="input")])
def test_the_strongest_scale_is_the_first_that_empties(
    data: str, penalty: sh.Penalty, tmp_path: Path
) -> None:
    path = solved(penalty, data, tmp_path / "a")
    strongest = path.view.decisions["scales"][0]
    below = sh.path(
        "linear", data, penalty, run=tmp_path / "b", points=2, seeds=1, refit=None, refine=0,
        weakest=0.99 * strongest, strongest=strongest, jobs=1,
    )  # fmt: skip
    assert not weights(below, strongest)[0].any()
    assert weights(below, below.view.decisions["scales"][1])[0].any()


def test_refit_is_the_unpenalised_minimum_on_the_support(tmp_path: Path) -> None:
    path = sh.path(
        "linear", "diabetes", sh.L1(1.0), run=tmp_path, points=5, seeds=1, refine=0, jobs=1
    )
    train = path.setting.split(0).train
    x, y = train.x.double().numpy(), train.y.double().numpy().ravel()
    scale = path.view.decisions["scales"][2]
    fit, refit = (path.view.weights(key(0, scale) + end)["out.weight"][0] for end in ("", "/refit"))
    used = (fit != 0).numpy()
    assert torch.equal(fit != 0, refit != 0)
    design = np.column_stack([x[:, used], np.ones(len(x))])
    exact = np.linalg.lstsq(design, y, rcond=None)[0][:-1]
    assert refit.double().numpy()[used] == pytest.approx(exact, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("linear", {"epochs": 2}, "without epochs every point is solved exactly"),
        ("linear", {"epochs": 2, "lr": 0.1}, "without lr and epochs every point"),
        ("linear", {}, ""),
        ("mlp", {"epochs": 2}, ""),
    ],
)
def test_options_that_ask_for_training_where_none_is_needed_are_told(
    model: str, options: dict[str, float], said: str, tmp_path: Path
) -> None:
    path = sh.path(
        model, "wine", sh.L1(1.0), run=tmp_path, points=3, seeds=1, refine=0, jobs=1,
        weakest=1e-3, strongest=0.1, progress=lambda _: None, **options,
    )  # fmt: skip
    assert (path.setting.solver == "polish") == (model == "linear" and not options)
    page = path.report.read_text(encoding="utf-8")
    for text in (str(path), page):
        assert ("is solved exactly" in text) == bool(said)
        assert said in text


class Casting(torch.nn.Linear):
    """Takes float32, whatever it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.float())


@pytest.mark.parametrize("options", [{"epochs": 2}, {"train": Training(2)}, {}], ids=str)
def test_a_network_that_cannot_be_asked_in_float64_is_trained(
    options: dict[str, Any], tmp_path: Path
) -> None:
    says = (
        nullcontext() if options else pytest.warns(sh.ShrinkageWarning, match="not solved exactly")
    )
    with says:
        path = sh.path(
            lambda: Casting(13, 3), "wine", sh.L1(1.0), run=tmp_path, points=2, seeds=1, refine=0,
            weakest=1e-3, strongest=0.1, jobs=1, progress=lambda _: None, **options,
        )  # fmt: skip
    assert path.setting.solver == "train"
    assert "exact_without" not in path.view.decisions


def test_affinity_is_asked_where_the_network_is() -> None:
    with torch.device("meta"):  # stands for a device other than the numbers'
        x, layer = torch.zeros(4, 5), torch.nn.Linear(5, 2)
    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta"):
        ends._is_affine(layer.double(), x.double())  # it comes as far as the comparison
    assert not ends.is_affine(layer, x)
