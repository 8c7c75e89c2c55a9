"""Every public function takes NumPy's numbers, and refuses numbers and flags that are none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import shrinkage as sh

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
Y = X @ [2.0, -1.0, 0.0, 0.0] + RNG.normal(size=40)
DATA = (torch.tensor(X).float(), torch.tensor(Y).float()[:, None])
QUICK = {"points": 2, "refine": 0, "seeds": 1, "jobs": 1}


def walk(folder: Path, **given: Any) -> sh.RegularizationPath:
    return sh.path("linear", (X, Y), "l1", run=folder / "run", **(QUICK | given))


def plan() -> sh.Plan:
    torch.manual_seed(0)
    return sh.Plan(nn.Linear(4, 1), sh.L1(0.01))


def test_a_path_in_numbers_of_numpy_is_the_same_run(tmp_path: Path) -> None:
    plainly = {
        "points": 2, "refine": 0, "jobs": 1, "seeds": 2, "rounds": 1, "weakest": 0.01,
        "strongest": 1.0, "refit": 0.0, "train_size": 20, "validation": 0.25, "test": 0.25,
        "magnitude": False, "shrink": True, "biases": True,
    }  # fmt: skip
    numpys = {
        name: np.array(value) if name in ("points", "strongest") else np.asarray(value)[()]
        for name, value in plainly.items()
    } | {"seeds": torch.tensor(2)}
    assert all(type(value) is not type(plainly[name]) for name, value in numpys.items())
    first = walk(tmp_path, **plainly)
    again = walk(tmp_path, **numpys)  # another configuration would be refused
    assert again.frame().equals(first.frame())
    assert again.choose(within=np.float32(0.5)).scale == first.choose(within=0.5).scale
    assert again.choose(nonzeros=np.int64(3)).scale == first.choose(nonzeros=3).scale
    assert again.chosen.of_seed(np.int64(1))[0].out.weight.equal(
        first.chosen.of_seed(1)[0].out.weight
    )


def test_a_contrast_in_numbers_of_numpy(tmp_path: Path) -> None:
    result = sh.contrast(
        "linear", (X, Y), columns=["l1"], run=tmp_path, seeds=np.int64(1), epochs=np.int8(2),
        batch_size=np.uint8(8), lr=np.float32(0.05), grid=np.array([1e-2, 1e-1]),
        jobs=torch.tensor(1), polish=np.int64(1), biases=np.True_, validation=np.float64(0.2),
    )  # fmt: skip
    assert len(result.view.of_kind("fit")) == 2
    header = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert header["config"]["biases"] is True
    assert result.model("l1", np.int64(0)).out.weight.isfinite().all()


def test_certificates_in_numbers_of_numpy() -> None:
    plan_ = plan()
    plan_.model.double()
    data = tuple(part.double() for part in DATA)
    sh.polish(plan_.model, plan_, data, tol=np.float32(1e-6), rounds=np.int64(50))
    exact = sh.certify(plan_.model, plan_, data, samples=np.int64(0), seed=torch.tensor(3))
    assert exact.gap < 2e-6
    handle = sh.attach(torch.optim.SGD(plan_.model.parameters(), lr=0.1), plan_)
    handle.scale = np.float64(0.5)
    assert type(handle.scale) is float
    assert sh.Stability(np.int64(20), np.float32(0.75)) == sh.Stability(20, 0.75)


@pytest.mark.parametrize("flag", ["magnitude", "shrink", "biases", "norms", "rescale"])
@pytest.mark.parametrize("value", ["no", 1, None], ids=repr)
def test_what_is_no_flag_is_refused_by_a_path(flag: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(sh.ShrinkageError, match=f"{flag} is neither True nor False"):
        walk(tmp_path, **{flag: value})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("call", "flag"),
    [
        (lambda v: sh.Plan(nn.Linear(2, 1), sh.L1(0.1), biases=v), "biases"),
        (lambda v: sh.Rules(sh.L1(0.1), norms=v), "norms"),
        (
            lambda v: sh.Plan(nn.Linear(2, 1), sh.Rules(sh.L1(1), rescale=True), rescale=v),
            "rescale",
        ),
        (lambda v: sh.GroupL1(0.1, coupled=v), "coupled"),
        (lambda v: sh.contrast("linear", (X, Y), biases=v), "biases"),
        (lambda v: sh.explore("linear", (X, Y), browser=v), "browser"),
        (lambda v: sh.explore("linear", (X, Y), browser=False, biases=v), "biases"),
        (lambda v: sh.compact(nn.Linear(2, 1), torch.ones(2, 2), drop_inputs=v), "drop_inputs"),
    ],
    ids=["plan", "rules", "plan of rules", "group", "contrast", "browser", "explore", "compact"],
)
@pytest.mark.parametrize("value", ["no", 1], ids=repr)
def test_what_is_no_flag_is_refused(call: Any, flag: str, value: object) -> None:
    with pytest.raises(sh.ShrinkageError, match=f"{flag} is neither True nor False: got {value!r}"):
        call(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points", 2.5), ("points", True), ("points", "5"), ("seeds", 1.0), ("seeds", True),
        ("folds", 2.0), ("folds", True), ("folds", "3"), ("train_size", 20.0),
        ("train_size", "20"), ("epochs", "5"), ("epochs", np.float64(5)), ("jobs", 1.5),
        ("jobs", True), ("rounds", "2"), ("refine", None), ("refit", "no"), ("refit", True),
        ("point_epochs", "1"), ("batch_size", 2.5), ("lr", "fast"), ("validation", "0.2"),
        ("validation", True), ("test", "a"), ("weakest", "0.1"), ("strongest", [1.0]),
        ("stability", 5.0), ("within", "0.1"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_by_a_path(name: str, value: object, tmp_path: Path) -> None:
    given = {"seeds": None} if name == "folds" else {}
    with pytest.raises(sh.ShrinkageError, match=r"is not a (whole )?number: got"):
        walk(tmp_path, **given, **{name: value})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seeds", 1.5), ("tries", "3"), ("epochs", True), ("point_epochs", 0.5), ("polish", "1"),
        ("grid", ["a"]), ("grid", [True]), ("jobs", "2"), ("batch_size", 8.0),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_by_a_contrast(
    name: str, value: object, tmp_path: Path
) -> None:
    with pytest.raises(
        sh.ShrinkageError, match=r"is not a whole number|strengths are out of range"
    ):
        sh.contrast("linear", (X, Y), run=tmp_path / "run", **{name: value})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "call",
    [
        lambda p: sh.polish(p.model, p, DATA, tol="a"),
        lambda p: sh.polish(p.model, p, DATA, rounds=2.0),
        lambda p: sh.certify(p.model, p, DATA, samples=True),
        lambda p: sh.certify(p.model, p, DATA, seed="a"),
        lambda p: p.scaled("2"),
        lambda p: sh.compact(p.model, DATA[0], batch_sizes=(1.5,)),
        lambda p: sh.compact(p.model, DATA[0], sparse=True),
        lambda p: sh.Training(epochs=np.float64(3)),
        lambda p: sh.explore("linear", (X, Y), port=True),
    ],
)
def test_what_is_no_number_is_refused_elsewhere(call: Any) -> None:
    with pytest.raises(sh.ShrinkageError, match=r"is not a (whole )?number: got"):
        call(plan())
