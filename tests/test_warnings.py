"""Every warning of ours points at the line of the caller, whatever lies between."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from torch import nn

import shrinkage as sh
from shrinkage.data import load
from shrinkage.data.outputs import warn_of_logits, warn_of_probabilities
from shrinkage.errors import ShrinkageWarning
from shrinkage.experiments.paths import _path

X, Y = torch.randn(40, 4), torch.arange(40) % 2
SOURCE = Path(sh.__file__).parent


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.matrix


class Doubling(torch.optim.SGD):
    """Cannot be tried on a small problem."""

    def step(self, closure: Any = None) -> Any:
        if self.param_groups[0]["params"][0].numel() != 8:
            raise RuntimeError
        return super().step(closure)


def left_out(_: Path) -> None:
    sh.Plan(nn.Sequential(Unknown(), nn.Linear(4, 2)), sh.L1(1.0))


def idle(_: Path) -> None:
    sh.Plan(nn.Linear(4, 2), {"*": sh.L1(1.0), nn.Linear: sh.L2(1.0)})


def undone(_: Path) -> None:
    sh.Plan(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), sh.L2(1.0))


def decaying(_: Path) -> None:
    net = nn.Linear(4, 2)
    sh.attach(torch.optim.AdamW(net.parameters()), sh.Plan(net, sh.L1(1.0)))


def decaying_later(_: Path) -> None:
    net = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, sh.Plan(net, sh.L1(1.0)))
    net(X).sum().backward()
    optimizer.param_groups[0]["weight_decay"] = 0.1
    optimizer.step()


def strangers(_: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 2))
    plan = sh.Plan(net, sh.L1(1.0))
    net.append(nn.Linear(2, 2))
    sh.attach(torch.optim.SGD(net.parameters(), lr=0.1), plan)


def searching_nothing(_: Path) -> None:
    net = nn.Linear(4, 2)
    plan = sh.Plan(net, sh.L1(1.0))
    sh.attach(torch.optim.LBFGS(net.parameters()), plan, method="subgradient")


def untried(_: Path) -> None:
    net = nn.Linear(4, 2)
    sh.register_metric(Doubling, torch.optim.SGD)
    sh.attach(Doubling(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(1.0)))


def written(_: Path) -> None:
    net = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)))
    for _step in range(8):
        optimizer.zero_grad()
        net(X).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            net.weight.add_(0.1)


def many_levels(folder: Path) -> None:
    names = [f"n{k}" for k in range(60)]
    pl.DataFrame({"a": names, "t": [k % 2 for k in range(60)]}).write_csv(folder / "a.csv")
    load(folder / "a.csv", target="t")


def missing(folder: Path) -> None:
    (folder / "a.csv").write_text("a,t\n1,x\n,y\n3,x\n4,y\n")
    load(folder / "a.csv", target="t", missing="drop")


def probabilities(_: Path) -> None:
    warn_of_probabilities(torch.full((2, 2), 0.5))


def logits(_: Path) -> None:
    warn_of_logits(torch.zeros(2, 2))


class _Begun(Exception):  # noqa: N818
    """The path would train now."""


def _begin(folder: Path, x: Any, y: Any, **options: Any) -> None:
    def begin(*_: object, **__: object) -> None:
        raise _Begun

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_path, "PathStages", begin)
        with pytest.raises(_Begun):
            sh.path(lambda: nn.Linear(4, 2), (x, y), "l1", run=folder / "run", **options)


def constant_columns(folder: Path) -> None:
    x = X.clone()
    x[:, 1] = 3.0
    _begin(folder, x, Y)


def numbered(folder: Path) -> None:
    _begin(folder, X, 3 * Y, loss=lambda p, y: nn.functional.cross_entropy(p, y))


@pytest.mark.parametrize(
    "call",
    [left_out, idle, undone, decaying, decaying_later, strangers, searching_nothing, untried,
     written, many_levels, missing, probabilities, logits, constant_columns, numbered],
    ids=lambda call: call.__name__,
)  # fmt: skip
def test_it_points_at_the_callers_line(call: Callable[[Path], None], tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(tmp_path)
    ours = [warning for warning in caught if warning.category is ShrinkageWarning]
    assert ours
    assert {warning.filename for warning in ours} == {__file__}


def test_it_is_told_once_a_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            idle(Path())
    assert len([w for w in caught if w.category is ShrinkageWarning]) == 1


def test_no_other_way_of_warning_is_left() -> None:
    files = [path for path in SOURCE.rglob("*.py") if path.name != "errors.py"]
    assert [path.name for path in files if "warnings.warn(" in path.read_text("utf-8")] == []
