"""What falls back to another way says so once, with the reason."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import shrinkage as sh
from shrinkage.experiments.paths.ends import is_affine, warn_of_single

torch.manual_seed(0)
X = torch.randn(120, 6)
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0.5).long()


class Single(nn.Module):
    """A network whose code takes single precision only."""

    def __init__(self, spec: object = None) -> None:
        super().__init__()
        self.layer, self.relu = nn.Linear(6, 3), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.layer(x.float()))


def test_a_linear_network_that_takes_single_precision_is_said_to_be_trained() -> None:
    assert not is_affine(Single(), X)
    with pytest.warns(sh.ShrinkageWarning, match=r"trained, not solved exactly.*same dtype"):
        warn_of_single(Single(), X)


def test_where_nothing_is_lost_nothing_is_said() -> None:
    bent = Single()
    bent.relu = nn.ReLU()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for network in (bent, nn.Linear(6, 3)):
            warn_of_single(network, X)


class Branching(nn.Module):
    """A network that nobody can follow: its way depends on its input's values."""

    def __init__(self, spec: object = None) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 32), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).relu()
        return self.last(hidden if float(hidden.detach().sum()) >= 0 else -hidden)


def test_measures_say_why_the_wiring_is_not_known() -> None:
    found = sh.measure(Branching(), data=(X, Y))
    assert found.reach is None
    assert found.unreached
    assert f"wiring could not be followed: {found.unreached}" in str(found)
    assert "could not be followed" not in str(sh.measure(nn.Linear(6, 3), data=(X, Y)))
    assert sh.measure(nn.Linear(6, 3)).unreached == ""


def test_a_path_says_that_it_trained_the_whole_network_and_why(tmp_path: Path) -> None:
    path = sh.path(
        Branching, (X, Y), "group", run=tmp_path, points=4, refine=0, seeds=1, epochs=6, jobs=1,
        magnitude=False,
    )  # fmt: skip
    whole = [f for f in path.view.of_kind("fit").values() if "whole" in (f["shrunk"] or {})]
    assert whole
    said = f"{len(whole)} of {len(path.view.of_kind('fit'))} fits trained the whole network"
    assert said in str(path)
    assert said in path.report.read_text(encoding="utf-8")
