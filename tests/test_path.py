"""path on networks: chains, refit, choice, the run folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import shrinkage as sh
from shrinkage.data import from_user, split
from shrinkage.errors import DataError, FitError, ModelError
from shrinkage.experiments.fit import zeros_held
from shrinkage.experiments.paths import RegularizationPath
from shrinkage.experiments.paths.ends import is_affine
from shrinkage.experiments.paths.points import Rest, fit_point, settled
from shrinkage.experiments.paths.setting import PointJob, key
from shrinkage.progress import Progress

LASSO = sh.L1(1.0)
SMALL: dict[str, Any] = {
    "points": 8, "seeds": 2, "train_size": 200, "epochs": 15, "point_epochs": 1.5, "refine": 1,
}  # fmt: skip


def run(folder: Path, penalty: sh.Penalty = LASSO, **options: Any) -> RegularizationPath:
    return sh.path("mlp", "digits", penalty, run=folder, **{**SMALL, **options})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RegularizationPath:
    return run(tmp_path_factory.mktemp("path"), jobs=1)


def fits(path: RegularizationPath) -> dict[str, Any]:
    return path.view.of_kind("fit")


def test_from_the_dense_network_to_the_empty_one(small: RegularizationPath) -> None:
    for seed in range(2):
        chain = sorted(
            (f for f in fits(small).values() if f["seed"] == seed), key=lambda f: f["scale"]
        )
        counts = [fit["weights"]["nonzeros"] for fit in chain]
        assert chain[0]["scale"] == 0
        assert counts[0] == chain[0]["weights"]["size"]
        assert counts == sorted(counts, reverse=True)
        assert counts[1] > 0.9 * counts[0]
        assert counts[-1] == 0


def test_a_refit_keeps_the_zeros_and_lowers_the_loss(small: RegularizationPath) -> None:
    lower = []
    for name, fit in fits(small).items():
        if fit["scale"] == 0:
            assert "refit" not in fit
            continue
        ours, again = small.view.weights(name), small.view.weights(f"{name}/refit")
        for layer in ("fc1.weight", "fc2.weight", "out.weight"):
            assert torch.equal(ours[layer] == 0, again[layer] == 0)
        lower.append(fit["refit"]["train"]["loss"] < fit["train"]["loss"])
    assert sum(lower) > 0.8 * len(lower)


def test_magnitude_pruning_has_as_many_weights_and_epochs(small: RegularizationPath) -> None:
    pruned = small.view.of_kind("magnitude")
    alive = [f for f in fits(small).values() if f["scale"] and f["weights"]["nonzeros"]]
    assert len(pruned) == len(alive)
    for fit in alive:
        point = pruned[f"{fit['key']}/magnitude"]
        assert point["nonzeros"] == fit["weights"]["nonzeros"]
        assert point["epochs"] == 1.5 * (fit["rounds"] + 1)
        weights = small.view.weights(point["key"])
        counted = sum(int(weights[f"{n}.weight"].count_nonzero()) for n in ("fc1", "fc2", "out"))
        assert counted == point["nonzeros"]


def test_every_network_is_tested_after_the_choice(small: RegularizationPath) -> None:
    kinds = [point["kind"] for point in small.view.points]
    assert kinds.index("test") > max(k for k, kind in enumerate(kinds) if kind == "fit")
    frame = small.frame()
    assert frame["test_score"].null_count() == 0
    assert frame["fit"].unique().sort().to_list() == ["fit", "refit"]


def test_the_stored_network_is_the_one_that_was_measured(small: RegularizationPath) -> None:
    model, plan = small.chosen.of_seed(1)
    fit = fits(small)[key(1, small.chosen.scale)]
    assert sum(int(p.count_nonzero()) for _, _, p in plan.blocks()) == fit["weights"]["nonzeros"]
    part = small.setting.split(1).validation
    score = float((model(part.x).argmax(1) == part.y).double().mean())
    stored = fit if small.chosen.family == "fit" else fit["refit"]
    assert score == pytest.approx(stored["validation"]["score"])


def test_choices(small: RegularizationPath) -> None:
    best, sparse = small.choose("best"), small.choose("1se")
    assert sparse.row["nonzeros"] <= best.row["nonzeros"]
    few = small.choose(nonzeros=500)
    assert few.row["nonzeros"] <= 500
    near = small.choose(within=0.05)
    frame = small.frame()
    assert near.row["validation_score"] >= frame["validation_score"].max() - 0.05
    assert near.row["nonzeros"] <= best.row["nonzeros"]
    scale = small.view.decisions["scales"][3]
    assert small.choose(scale=scale).scale == scale
    assert small.choose(features=20).row["features"] <= 20
    assert "scale" in str(few)


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ({"rule": "best", "nonzeros": 3}, "takes one wish"),
        ({"rule": "2se"}, "unknown"),
        ({"scale": 123.0}, "no point"),
        ({"nonzeros": 1}, r"at λ = .* nonzero weights at the fewest.*Ask for nonzeros=\d+ or more"),
        ({"nonzeros": -1}, "out of range"),
        ({"within": float("nan")}, "out of range"),
    ],
)
def test_choices_that_cannot_be(small: RegularizationPath, wish: Any, text: str) -> None:
    with pytest.raises(FitError, match=text):
        small.choose(**wish)


def test_going_on_changes_nothing_and_fits_nothing(small: RegularizationPath) -> None:
    before = (small.folder / "points.jsonl").read_bytes()
    events: list[Progress] = []
    again = run(small.folder, jobs=1, progress=events.append)
    assert (small.folder / "points.jsonl").read_bytes() == before
    assert not events
    assert again.chosen.scale == small.chosen.scale


@pytest.mark.parametrize("penalty", [sh.LogSum(1.0, epsilon=0.1), sh.GroupL1(1.0, by="filter")])
def test_other_penalties(penalty: sh.Penalty, tmp_path: Path) -> None:
    path = run(tmp_path, penalty, jobs=1, seeds=1)
    counts = [f["weights"]["nonzeros"] for f in fits(path).values()]
    assert max(counts) > 5000
    assert min(counts) == 0


def test_a_smooth_penalty_needs_its_ends(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="no scale empties"):
        run(tmp_path / "a", sh.L2(1.0), jobs=1, seeds=1)
    path = run(tmp_path / "b", sh.L2(1.0), jobs=1, seeds=1, weakest=1e-4, strongest=1e-1)
    chain = sorted(fits(path).values(), key=lambda fit: fit["scale"])
    sizes = [fit["weights"]["l2"] for fit in chain]
    assert sizes[-4:] == sorted(sizes[-4:], reverse=True)
    assert sizes[-1] < 0.3 * sizes[0]


def own_training(model: nn.Module, plan: sh.Plan, budget: sh.Budget) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3 * budget.lr_factor)
    sh.attach(optimizer, plan, method=budget.method)
    for _ in range(int(budget.epochs)):
        for x, y in budget.batches(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()


def test_a_training_function_of_ones_own(tmp_path: Path) -> None:
    path = run(tmp_path, train=own_training, point_epochs=1, jobs=1, seeds=1, refit=None)
    counts = [f["weights"]["nonzeros"] for f in fits(path).values()]
    assert min(counts) < 0.05 * max(counts)


def failing(model: nn.Module, plan: sh.Plan, budget: sh.Budget) -> None:
    raise ZeroDivisionError


def test_a_failing_function_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ZeroDivisionError"):
        run(tmp_path / "a", train=failing)
    assert not (tmp_path / "a").exists()


def test_a_softmax_before_cross_entropy_is_warned_of_once(tmp_path: Path) -> None:
    def net() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(dim=1))

    few = {"points": 2, "epochs": 1, "weakest": 1e-4, "strongest": 1e-2, "refit": 0}
    with pytest.warns(sh.ShrinkageWarning, match="outputs are probabilities") as seen:
        sh.path(net, "digits", LASSO, run=tmp_path / "path", progress=lambda _: None, jobs=1, **few)
    assert len(seen) == 1


def test_folds_are_the_chains(tmp_path: Path) -> None:
    path = sh.path(
        "linear", "diabetes", sh.L1(1.0), run=tmp_path, points=4, folds=3, refine=0, jobs=1
    )
    assert {fit["seed"] for fit in fits(path).values()} == {0, 1, 2}


@pytest.mark.parametrize("name", ["diabetes", "breast_cancer"])
def test_folds_part_the_rows(name: str) -> None:
    data = from_user(name)
    parts = [split(data, k, folds=4) for k in range(4)]
    rows = sum(len(part.validation) for part in parts)
    assert rows == len(parts[0].train) + len(parts[0].validation)
    assert all(len(p.test) == len(parts[0].test) for p in parts)
    sizes = [len(part.validation) for part in parts]
    assert max(sizes) - min(sizes) <= 2


@pytest.mark.parametrize("folds", [1, 0, 10_000, 2.5])
def test_folds_that_do_not_fit(folds: Any) -> None:
    with pytest.raises(DataError, match=r"folds (do not fit|is not a whole number)"):
        split(from_user("diabetes"), 0, folds=folds)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"refit": 1.0}, "refit"),
        ({"refit": -0.1}, "refit"),
        ({"rounds": 0}, "rounds"),
        ({"point_epochs": 0}, "point_epochs"),
        ({"refine": -1}, "refine"),
        ({"points": 1}, "points is out of range"),
        ({"weakest": 1.0, "strongest": 0.1}, "grid of a path"),
        ({"weakest": -1.0}, "weakest .* out of range"),
        ({"folds": 3}, "contradict"),
        ({"choose": "worst"}, "choose is unknown"),
        ({"train": own_training, "lr": 0.1}, "lr has no meaning"),
        ({"seeds": 0}, "seeds"),
        ({"jobs": 0}, "jobs"),
        ({"device": "cuda:99"}, "device cannot be used"),
        ({"device": "meta"}, "device cannot be used"),
        ({"device": "gpu"}, "device cannot be used"),
        ({"device": 3.5}, "the device is no name: got 3.5"),
    ],
)
def test_bad_options_write_nothing(options: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(FitError, match=text):
        run(tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_what_is_affine() -> None:
    x = torch.randn(5, 6)
    assert is_affine(nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), x)
    assert not is_affine(nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 2)), x)
    assert not is_affine(nn.Sequential(nn.Linear(6, 3), nn.ReLU()), x)
    assert not is_affine(nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3)), x)
    assert not is_affine(nn.Sequential(nn.BatchNorm1d(6, affine=False), nn.Linear(6, 3)), x)


def test_settled_means_objective_and_support() -> None:
    assert settled(Rest(1.5, 1000), Rest(1.499, 990))
    assert not settled(Rest(1.5, 1000), Rest(1.4, 1000))
    assert not settled(Rest(1.5, 1000), Rest(1.5, 900))


def test_a_point_does_not_depend_on_whether_the_loss_before_is_known(
    small: RegularizationPath,
) -> None:
    scale, following = small.view.decisions["scales"][3:5]
    before = fits(small)[key(1, scale)]
    weights = small.view.weights(before["key"])
    known = fits(small)[key(1, following)]
    torch.set_num_threads(1)
    for loss in (None, before["train"]["loss"]):
        point, _ = fit_point(small.setting, PointJob(1, following, weights, loss))
        assert json.loads(json.dumps(point.to_json())) == known


def test_zeros_held_stay_under_any_optimizer() -> None:
    model = nn.Linear(6, 3)
    with torch.no_grad():
        model.weight[:, ::2] = 0
    zeros = model.weight == 0
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    with zeros_held(sh.Plan(model, sh.L1(0.0))):
        for _ in steps(model, optimizer):
            assert torch.equal(model.weight == 0, zeros)
    for _ in steps(model, optimizer):
        pass
    assert bool((model.weight != 0).all())


def steps(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    x = torch.randn(8, 6)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        yield
