"""What a user's code does besides its work: exits, prints, moves, raises what cannot be pickled."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import shrinkage as sh
from run_edits import small_path
from shrinkage.cli import main
from shrinkage.errors import DataError, ModelError, RunError, foreign_code

NETS = """
import os, sys, threading
import torch
from torch import nn
import shrinkage as sh

def net(spec):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(spec.n_inputs, 4), nn.ReLU(), nn.Linear(4, spec.n_outputs))

def exits(spec): sys.exit()
def raises_exit(spec): raise SystemExit(0)
def prints(spec): print('{"made": 1}'); return net(spec)
def moves(spec): os.chdir(os.path.dirname(os.getcwd())); return net(spec)

class OddError(Exception):
    def __init__(self, lock, more): super().__init__("odd"); self.lock = threading.Lock()

def odd(spec): raise OddError(1, 2)

class Late(nn.Module):
    def __init__(self, spec): super().__init__(); self.net = net(spec)
    def forward(self, x):
        if len(x) > 20 and not self.training: self.late()
        return self.net(x)
    def late(self): raise KeyError("late")

class LateExit(Late):
    def late(self): sys.exit(0)

LOCK = threading.Lock()
def locked(spec):
    with LOCK: return net(spec)

def train(model, plan, budget):
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    sh.attach(optimizer, plan, method=budget.method)
    print("training"); os.chdir(os.path.dirname(os.getcwd()))
    for _ in range(int(budget.epochs)):
        for x, y in budget.batches(16):
            optimizer.zero_grad(); nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

def train_exits(model, plan, budget): sys.exit(0)
def train_odd(model, plan, budget): raise OddError(1, 2)
"""
SIZE = "--points 2 --seeds 1 --refine 0 --epochs 2 --point-epochs 1 --rounds 1 --no-magnitude"
Called = tuple[object, str, str]


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[[str], Called]:
    """A path over wine in a folder with nets.py: exit code, standard output, standard error."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "nets.py").write_text(NETS)

    def run(options: str) -> Called:
        monkeypatch.chdir(here)
        words = f"shrinkage path wine --run run --jobs 1 {SIZE} {options}".split()
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--model nets.py:exits", "the factory exits failed: got SystemExit"),
        ("--model nets.py:raises_exit", "the factory raises_exit failed: got SystemExit: 0"),
        ("--model nets.py:odd", "the factory odd failed: got OddError: odd"),
        ("--model nets.py:Late", "failed where it was evaluated: got KeyError: 'late'"),
        ("--model nets.py:LateExit", "failed where it was evaluated: got SystemExit: 0"),
        ("--model nets.py:net --train nets.py:train_exits", "train_exits failed: got SystemExit"),
        ("--model nets.py:net --train nets.py:train_odd", "train_odd failed: got OddError: odd"),
    ],
)
def test_code_that_exits_or_raises_is_one_line(
    call: Callable[[str], Called], tmp_path: Path, options: str, told: str
) -> None:
    code, out, errors = call(options)
    assert code == 2
    assert out == ""
    assert len(errors.splitlines()) == 1
    assert told in errors
    assert "nets.py, line" in errors
    assert not (tmp_path / "here" / "run").exists()


@pytest.mark.parametrize(
    "options", ["--model nets.py:prints", "--model nets.py:moves",
                "--model nets.py:net --train nets.py:train"]
)  # fmt: skip
def test_code_that_prints_and_moves_breaks_nothing(
    call: Callable[[str], Called], tmp_path: Path, options: str
) -> None:
    code, out, errors = call(options)
    assert code == 0, errors
    assert out.splitlines()[-1] == "Run folder: run"
    assert (tmp_path / "here" / "run" / "report.html").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here"]


def test_what_cannot_be_pickled_needs_one_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETS)
    lock = threading.Lock()

    def train(model: nn.Module, plan: sh.Plan, budget: sh.Budget) -> None:
        with lock:
            optimizer = torch.optim.SGD(model.parameters(), 0.05)
            sh.attach(optimizer, plan, method=budget.method)

    options: dict[str, Any] = {"train": train, "points": 2, "magnitude": False}
    options |= {"weakest": 1e-3, "strongest": 1e-2}
    with pytest.raises(RunError, match=r"cannot be sent.*jobs=1"):
        small_path(tmp_path / "run", jobs=2, **options)
    assert not (tmp_path / "run").exists()
    assert small_path(tmp_path / "run", jobs=1, **options).report.exists()


def test_a_dataset_that_cannot_be_read() -> None:
    class Broken(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> Any:
            if index == 3:
                sys.exit("no row")
            return torch.zeros(2), 0

    with pytest.raises(DataError, match=r"Broken cannot be read.*SystemExit: no row"):
        sh.path("linear", Broken(), sh.L1(1.0))


@pytest.mark.parametrize("raised", [KeyboardInterrupt, GeneratorExit])
def test_interrupts_go_through(raised: type[BaseException]) -> None:
    def refused(got: str) -> ModelError:
        return ModelError("x", got=got, expected="y", remedy="z")

    with pytest.raises(raised), foreign_code(refused):
        raise raised
