"""weights=: fits that go on from a trained network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import shrinkage as sh
from shrinkage.cli import app
from shrinkage.errors import ModelError, RunError, ShrinkageWarning
from shrinkage.explorer._explore import session_of

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
SIZE: Any = {"columns": ["none", "l1"], "tries": 1, "seeds": 2, "epochs": 1, "jobs": 1}


def make() -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(9)
    model = make()
    model(3 * X + 1)  # so that the running statistics are not those of a new network
    return model.eval()


def stays(model: nn.Module, plan: sh.Plan, budget: Any) -> None:
    """A training that takes no step."""
    sh.attach(torch.optim.SGD(model.parameters(), 0.1), plan, method=budget.method).remove()


def same(model: nn.Module, other: nn.Module) -> bool:
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def written(weights: dict[str, Tensor], folder: Path) -> Path:
    save_file(weights, folder / "w.safetensors")
    return folder / "w.safetensors"


@pytest.mark.parametrize("kind", ["module", "wrapped", "state", "file"])
def test_every_fit_begins_at_the_weights(kind: str, trained: nn.Module, tmp_path: Path) -> None:
    given = {
        "module": lambda: trained,
        "wrapped": lambda: nn.DataParallel(trained),
        "state": trained.state_dict,
        "file": lambda: written(trained.state_dict(), tmp_path),
    }[kind]()
    result = sh.contrast(make, (X, Y), weights=given, train=stays, run=tmp_path / "run", **SIZE)
    for seed in (0, 1):
        assert same(result.model("l1", seed), trained)
    assert "the weights given (SHA-256 " in result.report.read_text()


def test_training_goes_on_from_there_and_leaves_what_was_given(
    trained: nn.Module, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    runs = [
        sh.contrast(make, (X, Y), weights=weights, run=tmp_path / str(weights is None), **SIZE)
        for weights in (trained, None)
    ]
    assert not same(runs[0].model("none"), trained)
    assert not same(runs[0].model("none"), runs[1].model("none"))
    assert all(torch.equal(before[name], now) for name, now in trained.state_dict().items())


def test_a_path_goes_on_from_there(trained: nn.Module, tmp_path: Path) -> None:
    size: Any = {"points": 3, "seeds": 1, "refine": 0, "epochs": 1, "magnitude": False, "jobs": 1}
    options = {**size, "weakest": 1e-6, "strongest": 1e-3, "refit": None}
    path = sh.path(
        make, (X, Y), "l1", weights=trained, train=stays, run=tmp_path / "run", **options
    )
    assert same(path.choose(scale=0.0).model, trained)
    page = path.report.read_text()
    assert "the weights given (SHA-256 " in page
    assert "random weights" not in page


def test_other_weights_are_another_run(trained: nn.Module, tmp_path: Path) -> None:
    run = tmp_path / "run"
    sh.contrast(make, (X, Y), weights=trained, run=run, **SIZE)
    again = sh.contrast(make, (X, Y), weights=trained.state_dict(), run=run, **SIZE)
    assert again.folder == run
    for other in (make(), None):
        with pytest.raises(RunError, match="another configuration: got weights"):
            sh.contrast(make, (X, Y), weights=other, run=run, **SIZE)


def test_the_live_page_begins_there(trained: nn.Module) -> None:
    session = session_of(make, (X, Y), columns=("none", "l1"), weights=trained)
    model, _ = session.setting.network(session.setting.by_name["l1"], 0.1, 3)
    assert same(model, trained)


def test_the_command(trained: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\ndef make(spec):\n"
        "    return nn.Sequential(nn.Linear(spec.n_inputs, 3), nn.Linear(3, spec.n_outputs))\n"
    )
    net = nn.Sequential(nn.Linear(13, 3), nn.Linear(3, 3))
    parts = ["contrast", "wine", "--model", f"{tmp_path}/net.py:make", "--columns", "none",
             "--weights", str(written(net.state_dict(), tmp_path)), "--epochs", "1", "--seeds", "1",
             "--tries", "1", "--jobs", "1", "--run", str(tmp_path / "run")]  # fmt: skip
    app(parts, standalone_mode=False)
    assert '"weights": ' in (tmp_path / "run" / "run.json").read_text()


def test_a_convex_path_says_that_it_needs_none(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = nn.Linear(4, 2)
    size: Any = {"points": 3, "seeds": 1, "refine": 0, "jobs": 1}
    with pytest.warns(ShrinkageWarning, match="solved exactly"):
        sh.path(lambda: nn.Linear(4, 2), (X, Y), "l1", weights=net, run=tmp_path / "r", **size)


GOOD = make().state_dict()
WRONG: dict[str, tuple[Any, str]] = {
    "a number": (3, "these are no weights: got 3"),
    "a list": ([GOOD], "these are no weights"),
    "nothing": ({}, "these are no weights"),
    "a checkpoint": ({"model": GOOD}, r"weights=checkpoint\['model'\]"),
    "a pickle": ("net.pt", r"torch.load\(FILE, weights_only=True\)"),
    "no file": ("none.safetensors", "no such file"),
    "too few": ({k: v for k, v in GOOD.items() if k != "3.bias"}, "weights that lack '3.bias'"),
    "too many": ({**GOOD, "4.bias": torch.ones(2)}, "weights that have '4.bias'"),
    "other names": ({k.replace("3.", "9."): v for k, v in GOOD.items()}, "lack '3.bias' and 1"),
    "other shapes": ({**GOOD, "3.bias": torch.ones(3)}, r"'3.bias' of shape \(3,\).*\(2,\)"),
    "NaN": ({**GOOD, "3.bias": torch.full((2,), torch.nan)}, "not finite: got NaN .*'3.bias'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    weights, told = WRONG[name]
    with pytest.raises(ModelError, match=told):
        sh.contrast(make, (X, Y), weights=weights, run=tmp_path / "run", **SIZE)
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_damaged(tmp_path: Path) -> None:
    path = written(GOOD, tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"w.safetensors cannot be read"):
        sh.path(make, (X, Y), "l1", weights=path, run=tmp_path / "run")


def test_other_numbers_than_the_networks_are_taken_into_its_own() -> None:
    session = session_of(make, (X, Y), columns=("l1",), weights=make().double())
    model, _ = session.setting.network(session.setting.by_name["l1"], 0.1, 0)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
