"""Wrong values for every argument of the public functions, and what each comes to.

``python tests/fuzzing.py`` tries them all and prints the counts; ``--train`` lets calls that are
accepted train, in tiny budgets. :mod:`test_wrong_types` runs those that end before any training.
"""

import contextlib
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from sklearn.linear_model import Lasso
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import shrinkage as sh
import shrinkage.experiments.contrasts._contrast as contrasting
import shrinkage.experiments.paths._path as pathing
import shrinkage.explorer._explore as exploring
from shrinkage import data as shdata
from shrinkage.data import Data, Examples, Spec, models
from shrinkage.graph.layers import _REGISTERED
from shrinkage.optim.metrics import _STEPS, METRICS
from shrinkage.plans.rules import Rule

SECONDS = 10
"""After so long a call is said to hang."""


class _Reached(BaseException):
    """A call was accepted, and would train now."""


class _HangError(BaseException):
    pass


# -- what calls are made of


@dataclass
class World:
    """The right arguments of one call, made when they are asked for, small, the same each time."""

    folder: Path

    @cached_property
    def model(self) -> nn.Module:
        torch.manual_seed(0)
        layers = OrderedDict(fc1=nn.Linear(4, 5), relu=nn.ReLU(), out=nn.Linear(5, 2))
        return nn.Sequential(layers).eval()

    @cached_property
    def plan(self) -> sh.Plan:
        return sh.Plan(self.model, sh.L1(1e-3))

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.model.parameters(), lr=0.1)

    @cached_property
    def handle(self) -> sh.Handle:
        return sh.attach(self.optimizer, self.plan)

    @cached_property
    def x(self) -> torch.Tensor:
        return torch.randn(12, 4, generator=torch.Generator().manual_seed(1))

    @cached_property
    def y(self) -> torch.Tensor:
        return torch.arange(12) % 2

    @cached_property
    def pair(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x, self.y

    @cached_property
    def rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(60, 4, generator=torch.Generator().manual_seed(2))
        return x, (x[:, 0] > 0).long()

    @cached_property
    def compact(self) -> sh.Compact:
        return sh.compact(self.model, self.x, batch_sizes=())


@cache
def _kept_folder() -> Path:
    """A folder that lasts as long as the program, for what takes time to make."""
    keeper = tempfile.TemporaryDirectory(prefix="fuzzing-")
    _kept_folder.keeper = keeper  # type: ignore[attr-defined]
    return Path(keeper.name)


@cache
def finished_path() -> sh.RegularizationPath:
    rows = World(_kept_folder()).rows
    return sh.path("linear", rows, sh.L1(1.0), run=_kept_folder() / "path", points=3, seeds=2,
                   jobs=1, progress=_quiet, refine=0)  # fmt: skip


@cache
def finished_contrast() -> sh.Contrast:
    rows = World(_kept_folder()).rows
    return sh.contrast("linear", rows, run=_kept_folder() / "contrast", columns=["none", "l1"],
                       tries=1, seeds=1, epochs=1, jobs=1, progress=_quiet)  # fmt: skip


@cache
def finished_compact() -> Path:
    """A folder as ``shrinkage compact`` writes it, without the exported programs."""
    found, source = finished_path(), shdata.from_user(World(_kept_folder()).rows)
    questions = found.setting.questions(0).as_json()
    small = sh.compact(found.chosen.model, source.x[:8], batch_sizes=())
    return small.save(_kept_folder() / "small", model="linear", spec=vars(source.spec),
                      questions=questions)  # fmt: skip


def _quiet(_: object) -> None:
    pass


# -- wrong values


class Broken:
    """Everything that Python asks an object for raises."""

    def _raise(self, *_: object, **__: object) -> Any:
        raise RuntimeError("this object is broken")

    __repr__ = __str__ = __len__ = __bool__ = __eq__ = __iter__ = __getitem__ = _raise  # type: ignore[assignment]
    __float__ = __int__ = __index__ = __format__ = __fspath__ = __contains__ = _raise  # type: ignore[assignment]
    __hash__ = object.__hash__


class Text(str):
    """A str, and yet not."""

    __slots__ = ()


class Raising(Dataset[Any]):
    """A dataset whose rows cannot be read."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, at: int) -> Any:
        raise KeyError(f"no row {at}")


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield torch.zeros(4), 0


class Lengthless(Dataset[Any]):
    def __len__(self) -> int:
        raise OSError("the disk is gone")

    def __getitem__(self, at: int) -> Any:
        return torch.zeros(4), 0


class Rowed(Dataset[Any]):
    """A dataset of one kind of row."""

    def __init__(self, row: object) -> None:
        self.row = row

    def __len__(self) -> int:
        return 9

    def __getitem__(self, at: int) -> Any:
        return self.row


def _generator() -> Iterator[int]:
    yield 1


def _failing(*_: object, **__: object) -> Any:
    raise LookupError("a function of the user's\n\nthat fails, at length: " + "x" * 10_000)


WRONG: dict[str, Callable[[World], object]] = {
    "None": lambda w: None,
    "empty text": lambda w: "",
    "abc": lambda w: "abc",
    "text 0.1": lambda w: "0.1",
    "long text": lambda w: "x" * 1_000_000,
    "null text": lambda w: "a\0b",
    "lone surrogate": lambda w: "\ud800",
    "str subclass": lambda w: Text("l1"),
    "bytes": lambda w: b"x",
    "-1": lambda w: -1,
    "0": lambda w: 0,
    "1": lambda w: 1,
    "1.5": lambda w: 1.5,
    "nan": lambda w: float("nan"),
    "inf": lambda w: float("inf"),
    "10**400": lambda w: 10**400,
    "True": lambda w: True,
    "complex": lambda w: 1j,
    "Ellipsis": lambda w: ...,
    "NotImplemented": lambda w: NotImplemented,
    "empty list": lambda w: [],
    "list": lambda w: [1, "a", None],
    "nested list": lambda w: [[[]]],
    "empty tuple": lambda w: (),
    "pair of None": lambda w: (None, None),
    "triple": lambda w: (1, 2, 3),
    "pair of texts": lambda w: ("a", "b"),
    "empty dict": lambda w: {},
    "dict": lambda w: {"a": 1},
    "dict of odd keys": lambda w: {1: sh.L1(1.0), None: sh.L1(1.0)},
    "dict of classes": lambda w: {"*": sh.L1},
    "dict of texts": lambda w: {"*": "l1"},
    "set": lambda w: {1},
    "range": lambda w: range(3),
    "slice": lambda w: slice(3),
    "object": lambda w: object(),
    "class": lambda w: int,
    "module class": lambda w: nn.Linear,
    "penalty class": lambda w: sh.L1,
    "optimizer class": lambda w: torch.optim.SGD,
    "function": lambda w: lambda: None,
    "failing function": lambda w: _failing,
    "partial": lambda w: partial(int, base=2),
    "generator": lambda w: _generator(),
    "module": lambda w: os,
    "exception": lambda w: ValueError("x" * 10_000),
    "broken": lambda w: Broken(),
    "broken pair": lambda w: (Broken(), Broken()),
    "path to nowhere": lambda w: Path("/nowhere/at/all"),
    "folder": lambda w: w.folder,
    "array": lambda w: np.zeros((3, 2)),
    "empty array": lambda w: np.zeros(0),
    "0-d array": lambda w: np.array(1.0),
    "numpy scalar": lambda w: np.float32(-2.5),
    "numpy int": lambda w: np.int64(-3),
    "object array": lambda w: np.array([{}, []], dtype=object),
    "text array": lambda w: np.array(["a", "b"]),
    "complex array": lambda w: np.zeros((3, 4), dtype=complex),
    "date array": lambda w: np.array(["2020-01-01"], dtype="datetime64[D]"),
    "tensor": lambda w: torch.zeros(3, 2),
    "tensor of rank 5": lambda w: torch.zeros(2, 1, 1, 1, 4),
    "0-d tensor": lambda w: torch.tensor(1.0),
    "empty tensor": lambda w: torch.zeros(0, 4),
    "int tensor": lambda w: torch.arange(4).reshape(1, 4),
    "bool tensor": lambda w: torch.ones(2, 4, dtype=torch.bool),
    "complex tensor": lambda w: torch.zeros(3, 4, dtype=torch.complex64),
    "half tensor": lambda w: torch.zeros(3, 4, dtype=torch.float16),
    "meta tensor": lambda w: torch.zeros(12, 4, device="meta"),
    "sparse tensor": lambda w: torch.eye(4).to_sparse(),
    "tensor with grad": lambda w: torch.zeros(12, 4, requires_grad=True),
    "nan tensor": lambda w: torch.full((12, 4), torch.nan),
    "view": lambda w: torch.zeros(1).expand(12, 4),
    "parameter": lambda w: nn.Parameter(torch.zeros(2)),
    "network": lambda w: w.model,
    "network without parameters": lambda w: nn.ReLU(),
    "lazy network": lambda w: nn.LazyLinear(3),
    "plan": lambda w: w.plan,
    "another's plan": lambda w: sh.Plan(nn.Linear(4, 2), sh.L1(1e-3)),
    "penalty": lambda w: sh.L1(1.0),
    "rules": lambda w: sh.Rules(sh.L1(1.0)),
    "rules that match nothing": lambda w: sh.Rules({"nowhere": sh.L1(1.0)}),
    "optimizer": lambda w: w.optimizer,
    "pair": lambda w: w.pair,
    "pair the wrong way round": lambda w: w.pair[::-1],
    "pair of unequal lengths": lambda w: (w.x, w.y[:5]),
    "pair of 0-d": lambda w: (torch.tensor(1.0), torch.tensor(1)),
    "pair of text": lambda w: (np.array(["a"] * 12), w.y),
    "pair with labels out of range": lambda w: (w.x, w.y + 7),
    "pair with nan": lambda w: (w.x * torch.nan, w.y),
    "pair of complex": lambda w: (w.x.to(torch.complex64), w.y),
    "pair on meta": lambda w: (w.x.to("meta"), w.y.to("meta")),
    "pair sparse": lambda w: (w.x.to_sparse(), w.y),
    "pair of ragged lists": lambda w: ([[1.0], [1.0, 2.0]], [0, 1]),
    "pair of frames": lambda w: (pl.DataFrame({"a": [1, 2]}), pl.Series([0, 1])),
    "mapping of parts": lambda w: {"train": 3, "test": None},
    "mapping with odd names": lambda w: {None: w.pair},
    "frame": lambda w: pl.DataFrame({"a": ["x", None], "b": [1, 2]}),
    "dataset that raises": lambda w: Raising(),
    "dataset without length": lambda w: Lengthless(),
    "endless dataset": lambda w: Endless(),
    "dataset of dicts": lambda w: Rowed({"x": 1}),
    "dataset of None": lambda w: Rowed((None, None)),
    "dataset of triples": lambda w: TensorDataset(w.x, w.y, w.y),
    "dataset of texts": lambda w: Rowed(("a", "b")),
    "loader of dicts": lambda w: DataLoader(Rowed({"x": torch.zeros(4)}), batch_size=4),
    "loader that raises": lambda w: DataLoader(Raising(), batch_size=4),
    "loader of triples": lambda w: DataLoader(TensorDataset(w.x, w.y, w.y), batch_size=4),
    "loader of texts": lambda w: DataLoader(Rowed((torch.zeros(4), "b")), batch_size=4),
    "dtype": lambda w: torch.float32,
    "device": lambda w: torch.device("meta"),
    "random generator": lambda w: torch.Generator(),
}
"""By name, what is tried in place of every argument."""

PAIRED = ("None", "abc", "1.5", "object", "network", "plan", "broken", "tensor", "pair", "penalty")
"""What is tried in place of two arguments at once."""


# -- the calls


@dataclass(frozen=True)
class Call:
    """A public function with right arguments, each of which is put out in turn.

    ``trains``: it draws random weights before it looks at all arguments, or would train once they
    are accepted, and is stopped there.
    """

    name: str
    function: Callable[[World], Callable[..., object]]
    args: dict[str, Callable[[World], object]]
    trains: bool = False

    def __call__(self, world: World, wrong: dict[str, object]) -> object:
        given = {name: make(world) for name, make in self.args.items() if name not in wrong}
        given |= wrong
        return self.function(world)(**given)


def _of(function: Callable[..., object]) -> Callable[[World], Callable[..., object]]:
    return lambda _: function


def _method(make: Callable[[World], object], name: str) -> Callable[[World], Callable[..., object]]:
    return lambda w: getattr(make(w), name)


def _setting(make: Callable[[World], Any], name: str) -> Callable[[World], Callable[..., object]]:
    def setter(w: World) -> Callable[..., object]:
        thing = make(w)
        return lambda value: setattr(thing, name, value)

    return setter


MODEL = {"model": lambda w: w.model}
PLANNED = {**MODEL, "plan": lambda w: w.plan, "data": lambda w: w.pair}
FLAGS = {name: (lambda _: False) for name in ("biases", "norms", "rescale")}
PENALTIES: dict[str, tuple[Callable[..., Any], dict[str, object]]] = {
    "L1": (sh.L1, {"strength": 0.5}),
    "L2": (sh.L2, {"strength": 0.5}),
    "ElasticNet": (sh.ElasticNet, {"l1": 0.5, "l2": 0.1}),
    "GroupL1": (sh.GroupL1, {"strength": 0.5, "by": "filter", "coupled": False}),
    "SparseGroupL1": (sh.SparseGroupL1, {"l1": 0.5, "group": 0.5, "by": "filter"}),
    "LogSum": (sh.LogSum, {"strength": 0.5, "epsilon": 0.5}),
    "MCP": (sh.MCP, {"strength": 0.5, "knee": 2.0}),
}


def _constant(value: object) -> Callable[[World], object]:
    return lambda _: value


def _penalty_calls() -> Iterator[Call]:
    for name, (kind, usual) in PENALTIES.items():
        yield Call(name, _of(kind), {k: _constant(v) for k, v in usual.items()})
        one = _constant(kind(**usual))
        weights = {"w": lambda w: torch.ones(3, 4)}
        yield Call(f"{name}.value", _method(one, "value"), weights)
        yield Call(f"{name}.prox", _method(one, "prox"), {**weights, "step": _constant(0.1)})
        both = {**weights, "grad": lambda w: torch.ones(3, 4)}
        yield Call(f"{name}.distance", _method(one, "distance"), both)
        yield Call(f"{name}.strength_max", _method(one, "strength_max"), {"grad": both["grad"]})
        yield Call(f"{name}.scaled", _method(one, "scaled"), {"factor": _constant(2.0)})
        yield Call(f"{name}.of_part", _method(one, "of_part"), {"share": _constant(0.5)})


TRAINING: dict[str, Callable[[World], object]] = {
    "make_model": _constant("linear"),
    "data": lambda w: w.rows,
    "run": lambda w: w.folder / "run",
    "seeds": _constant(1),
    "epochs": _constant(1),
    "batch_size": _constant(32),
    "optimizer": _constant("sgd"),
    "lr": _constant(0.1),
    "loss": _constant(None),
    "train": _constant(None),
    "train_size": _constant(None),
    "validation": _constant(0.2),
    "test": _constant(0.2),
    **FLAGS,
    "device": _constant("cpu"),
    "jobs": _constant(1),
    "command": _constant(None),
    "progress": _constant(_quiet),
    "choose": _constant("1se"),
    "point_epochs": _constant(1),
}
PATH = TRAINING | {
    "penalty": _constant(sh.L1(1.0)),
    "points": _constant(2),
    "weakest": _constant(0.001),
    "strongest": _constant(1.0),
    "refine": _constant(0),
    "within": _constant(None),
    "stability": _constant(None),
    "refit": _constant(0.0),
    "magnitude": _constant(False),
    "shrink": _constant(True),
    "folds": _constant(None),
    "rounds": _constant(1),
    "engine": _constant("auto"),
    "address": _constant(None),
}
CONTRAST = TRAINING | {
    "columns": _constant(["none", "l1"]),
    "budget": _constant("quick"),
    "tries": _constant(None),
    "grid": _constant([0.01]),
    "polish": _constant(0),
}
EXPLORE = {
    name: TRAINING[name]
    for name in ("make_model", "data", "loss", "optimizer", "lr", "batch_size", "train_size",
                 "biases", "validation")
} | {
    "columns": _constant(["none", "l1"]),
    "seed": _constant(0),
    "settings": _constant(None),
    "port": _constant(0),
    "browser": _constant(False),
    "runs": lambda w: w.folder / "runs",
    "source": _constant(None),
    "say": _constant(_quiet),
}  # fmt: skip
ROWS = {"rows": lambda w: w.rows[0][:3]}
SPEC = {"spec": _constant(Spec(4, (4,), 2))}
IMAGES = {"spec": _constant(Spec(256, (1, 16, 16), 2)), "dropout": _constant(0.1)}


def _data(w: World) -> Data:
    return shdata.from_user(w.rows)


REGISTERS: tuple[dict[Any, Any], ...] = (METRICS, _STEPS, _REGISTERED)


def _taken_back(register: Callable[..., None]) -> Callable[[World], Callable[..., object]]:
    """What is registered is taken back, so that no other call sees it."""

    def registered(**given: Any) -> None:
        before = [dict(known) for known in REGISTERS]
        try:
            register(**given)
        finally:
            for known, was in zip(REGISTERS, before, strict=True):
                known.clear()
                known.update(was)

    return _of(registered)


class Mine(torch.optim.SGD):
    """An optimizer of the user's with a step of its own."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


class Layer(nn.Module):
    """A layer of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(4, 2))


def _planned(name: Any) -> None:
    """Register under a name, and make a plan with it."""
    try:
        axes = {name: "io"}
    except TypeError:  # no name of anything
        axes = name
    sh.register_layer(Layer, axes)
    sh.Plan(Layer(), sh.L1(1.0))


def _attached(metric: Any) -> None:
    """Register, and attach with it."""
    sh.register_metric(Mine, metric)
    net = nn.Linear(4, 2)
    sh.attach(Mine(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(1e-3)))


CALLS: tuple[Call, ...] = (
    *_penalty_calls(),
    Call("from_weight_decay", _of(sh.from_weight_decay), {"weight_decay": _constant(0.1)}),
    Call("from_glmnet", _of(sh.from_glmnet),
         {"lambda_": _constant(0.1), "alpha": _constant(1.0), "family": _constant("gaussian")}),
    Call("from_glmnet of y", _of(sh.from_glmnet),
         {"lambda_": _constant(0.1), "alpha": _constant(0.5), "family": _constant("gaussian"),
          "y": lambda w: w.x[:, 0]}),
    Call("from_sklearn", _of(sh.from_sklearn),
         {"estimator": lambda w: Lasso(), "n_samples": _constant(10)}),
    Call("Rules", _of(sh.Rules), {"rules": _constant(sh.L1(1.0)), **FLAGS}),
    Call("Rules.value", _of(lambda value: sh.Rules({"*": value})), {"value": _constant(sh.L1(1))}),
    Call("Rules.key", _of(lambda key: sh.Rules((Rule(key, sh.L1(1)),))), {"key": _constant("*")}),
    Call("Rules.scaled", _of(sh.Rules(sh.L1(1.0)).scaled), {"factor": _constant(2.0)}),
    Call("Plan", _of(sh.Plan), {**MODEL, "rules": _constant(sh.L1(1.0)), **FLAGS,
                                "example_inputs": _constant(None)}),
    Call("Plan coupled", _of(sh.Plan), {
        **MODEL, "rules": _constant(sh.GroupL1(1.0, coupled=True)), **FLAGS,
        "example_inputs": lambda w: w.x}),
    Call("Plan.scaled", _method(lambda w: w.plan, "scaled"), {"factor": _constant(2.0)}),
    Call("Plan.parameter", _method(lambda w: w.plan, "parameter"),
         {"entry": lambda w: w.plan.entries[0]}),
    Call("Plan.stacked", _method(lambda w: w.plan, "stacked"), {**MODEL, "count": _constant(1)}),
    Call("feature_rules", _of(sh.feature_rules),
         {**MODEL, "input_shape": _constant((4,)), "strength": _constant(1.0)}),
    Call("attach", _of(sh.attach), {
        "optimizer": lambda w: w.optimizer, "plan": lambda w: w.plan, "method": _constant("auto"),
        "warmup": _constant(5)}),
    Call("Handle", _of(sh.Handle), {
        "optimizer": lambda w: w.optimizer, "plan": lambda w: w.plan, "method": _constant("auto"),
        "warmup": _constant(5)}),
    Call("Handle.scale", _setting(lambda w: w.handle, "scale"), {"value": _constant(0.5)}),
    Call("Handle.load_state_dict", _method(lambda w: w.handle, "load_state_dict"),
         {"state": lambda w: w.handle.state_dict()}),
    *(Call(f"Handle.load_state_dict {key}",
           lambda w, key=key: lambda value: w.handle.load_state_dict(
               w.handle.state_dict() | {key: value}),
           {"value": lambda w, key=key: w.handle.state_dict()[key]})
      for key in ("scale", "warmup", "method", "blocks")),
    Call("Warmup", _of(sh.Warmup), {"steps": _constant(5), "shape": _constant("linear")}),
    Call("Metric", _of(sh.Metric), {"step": _constant(0.1), "reach": _constant(1.0)}),
    Call("register_metric", _taken_back(sh.register_metric),
         {"kind": _constant(torch.optim.SGD), "metric": lambda w: METRICS[torch.optim.SGD]}),
    Call("register_metric like another", _taken_back(sh.register_metric),
         {"kind": _constant(Mine), "metric": _constant(torch.optim.SGD)}),
    Call("register_metric and attach", _taken_back(_attached),
         {"metric": _constant(torch.optim.SGD)}, trains=True),
    Call("register_layer", _taken_back(sh.register_layer),
         {"kind": _constant(Layer), "axes": _constant({"kernel": "io"})}),
    Call("register_layer axes", _taken_back(lambda value: sh.register_layer(Layer, {"a": value})),
         {"value": _constant("io")}),
    Call("register_layer names", _taken_back(_planned),
         {"name": _constant("kernel")}),
    Call("measure", _of(sh.measure), {**PLANNED, "loss": _constant(None)}),
    Call("certify", _of(sh.certify), {
        **PLANNED, "loss": _constant(None), "samples": _constant(0), "seed": _constant(0)}),
    Call("polish", _of(sh.polish), {
        **PLANNED, "loss": _constant(None), "tol": _constant(1e6), "rounds": _constant(1),
        "samples": _constant(0), "progress": _constant(_quiet)}),
    Call("compact", _of(sh.compact), {
        **MODEL, "example_inputs": lambda w: w.x, "ignored": _constant(()),
        "drop_inputs": _constant(False), "sparse": _constant(None), "batch_sizes": _constant(())}),
    Call("compact by names", lambda w: lambda value: sh.compact(
        w.model, {"input": value}, batch_sizes=()), {"value": lambda w: w.x}),
    Call("Compact.save", _method(lambda w: w.compact, "save"), {
        "folder": lambda w: w.folder / "small", "note": _constant("text")}),
    Call("Compact.export", _method(lambda w: w.compact, "export"),
         {"path": lambda w: w.folder / "small.pt2"}),
    Call("Compact.onnx", _method(lambda w: w.compact, "onnx"),
         {"path": lambda w: w.folder / "small.onnx"}),
    Call("load_compact", _of(sh.load_compact), {
        "make_model": _constant(None), "folder": lambda w: finished_compact()}),
    Call("predict", _of(sh.predict),
         {"folder": lambda w: finished_compact(), **ROWS, "make_model": _constant(None)},
         trains=True),
    Call("path", _of(sh.path), PATH, trains=True),
    Call("contrast", _of(sh.contrast), CONTRAST, trains=True),
    Call("explore", _of(sh.explore), EXPLORE, trains=True),
    Call("choose", _method(lambda w: finished_path(), "choose"), {
        "rule": _constant(None), "within": _constant(None), "nonzeros": _constant(None),
        "features": _constant(None), "scale": _constant(None)}),
    Call("choose paired", _method(lambda w: finished_path(), "choose"), {
        "rule": _constant("paired"), "within": _constant(None), "nonzeros": _constant(None),
        "features": _constant(None), "scale": _constant(None)}),
    Call("PathPoint.predict", _method(lambda w: finished_path().chosen, "predict"),
         {**ROWS, "seed": _constant(0)}, trains=True),
    Call("PathPoint.of_seed", _method(lambda w: finished_path().chosen, "of_seed"),
         {"seed": _constant(0)}, trains=True),
    Call("Contrast.predict", _method(lambda w: finished_contrast(), "predict"),
         {"column": _constant("l1"), **ROWS, "seed": _constant(0)}, trains=True),
    Call("Contrast.model", _method(lambda w: finished_contrast(), "model"),
         {"column": _constant("l1"), "seed": _constant(0)}, trains=True),
    Call("Training", _of(sh.Training), {
        "epochs": _constant(1), "batch_size": _constant(2), "optimizer": _constant("sgd"),
        "lr": _constant(0.1), "loss": _constant(None), "penalty_from": _constant(0.1),
        "warmup": _constant(0.1)}),
    Call("Stability", _of(sh.Stability), {
        "subsamples": _constant(50), "threshold": _constant(0.9), "errors": _constant(1.0)}),
    Call("data.load", _of(shdata.load), {
        "source": _constant("digits"), "target": _constant(None), "task": _constant(None),
        "missing": _constant(None), "image_size": _constant(None)}),
    Call("data.from_user", _of(shdata.from_user),
         {"data": lambda w: w.pair, "target": _constant(None)}),
    Call("data.examples", _of(shdata.examples), {"data": lambda w: w.pair}),
    Call("data.stream", _of(shdata.stream), {"data": lambda w: w.pair}),
    Call("data.split", _of(shdata.split), {
        "data": _data, "seed": _constant(0), "train_size": _constant(None),
        "validation": _constant(0.2), "test": _constant(0.2), "folds": _constant(None)}),
    Call("data.Examples", _of(Examples), {"x": lambda w: w.x, "y": lambda w: w.y}),
    Call("data.Examples.batches", lambda w: lambda size: list(Examples(w.x, w.y).batches(size)),
         {"size": _constant(3)}),
    Call("data.Data", _of(Data), {
        "name": _constant("a"), "x": lambda w: w.x, "y": lambda w: w.y,
        "task": _constant("classification"), "classes": _constant(("a", "b")),
        "columns": _constant(()), "standardise": _constant(()), "origins": _constant(()),
        "holes": _constant(False), "test": _constant(None)}),
    Call("models.mlp", _of(models.mlp), {**SPEC, "dropout": _constant(0.1)}),
    Call("models.cnn", _of(models.cnn), IMAGES),
    Call("models.lenet_5", _of(models.lenet_5), IMAGES),
    Call("models.linear", _of(models.linear), SPEC),
    Call("models.resolve", _of(models.resolve), {"model": _constant("mlp")}),
    Call("models.build", _of(models.build),
         {"factory": _constant(models.mlp), **SPEC, "dropout": _constant(0.1)}),
)  # fmt: skip


# -- one try, and what it comes to


@dataclass(frozen=True)
class Case:
    """One call with one or two wrong arguments."""

    call: Call
    wrong: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.call.name}({', '.join(f'{a}={v}' for a, v in self.wrong)})"


@dataclass(frozen=True)
class Outcome:
    """``kind``: accepted, refused (by an error of ours), raw, hang, or left (a trace behind)."""

    kind: str
    said: str = ""
    where: str = ""


def cases() -> Iterator[Case]:
    """All of them, in a fixed order."""
    for call in CALLS:
        for name in call.args:
            for value in WRONG:
                if value == "failing function" and name in ("progress", "say"):
                    continue  # what a callback of the user's raises is the user's
                yield Case(call, ((name, value),))
        for first, second in combinations(list(call.args)[:4], 2):
            for value in PAIRED:
                yield Case(call, ((first, value), (second, PAIRED[-1 - PAIRED.index(value)])))


@contextlib.contextmanager
def stopped_before_training() -> Iterator[None]:
    """Calls that would train, or serve a page, end where they begin to.

    What the calls start from is made before, whole, and not while the random state is compared.
    """
    finished_path(), finished_contrast(), finished_compact()

    def reached(*_: object, **__: object) -> Any:
        raise _Reached

    places = (
        (pathing, "PathStages"),
        (contrasting, "ContrastStages"),
        (exploring.webbrowser, "open"),
        (exploring, "threads"),
    )
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, reached)
    try:
        yield
    finally:
        for (module, name), was in zip(places, before, strict=True):
            setattr(module, name, was)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def hang(*_: object) -> None:
        raise _HangError

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(case: Case) -> Outcome:
    """Try one."""
    with tempfile.TemporaryDirectory(prefix="fuzzing-") as name, contextlib.chdir(name):
        world = World(Path(name))
        torch.manual_seed(3)
        wrong = {argument: WRONG[value](world) for argument, value in case.wrong}
        state = {k: t.clone() for k, t in world.model.state_dict().items()}
        mode, luck = world.model.training, torch.get_rng_state()
        kind, said, where = "accepted", "", ""
        try:
            with warnings.catch_warnings(), _limited():
                warnings.simplefilter("ignore")
                case.call(world, wrong)
        except _Reached:
            return Outcome("accepted")
        except _HangError:
            return Outcome("hang")
        except sh.ShrinkageError as error:
            kind, said = "refused", str(error)
        except BaseException as error:
            kind, where = "raw", _place(error)
            with contextlib.suppress(BaseException):
                said = f"{type(error).__name__}: {error}"[:300]
        if kind == "refused":
            left = _left(world, state, mode, luck, case.call.trains)
            kind = "left" if left else kind
            said = f"{left}: {said}" if left else said
        return Outcome(kind, said, where)


def _left(
    world: World, state: dict[str, torch.Tensor], mode: bool, luck: torch.Tensor, trains: bool
) -> str:
    """What a refused call has left behind, in words."""
    if any(Path(world.folder).iterdir()):
        return f"files {[p.name for p in world.folder.iterdir()]}"
    if any(not torch.equal(t, state[k]) for k, t in world.model.state_dict().items()):
        return "weights"
    if world.model.training != mode or any(p.grad is not None for p in world.model.parameters()):
        return "mode or gradients"
    if not trains and not torch.equal(luck, torch.get_rng_state()):
        return "random state"
    if world.__dict__.get("handle") is None and world.__dict__.get("optimizer") is not None:
        hooks = world.optimizer._optimizer_step_post_hooks
        return "hooks" if hooks else ""
    return ""


def _place(error: BaseException) -> str:
    """The innermost line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/src/shrinkage/" in f.filename]
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}" if ours else "?"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(argv: list[str]) -> None:
    """Count."""
    only = [word for word in argv if not word.startswith("-")]
    finished_path(), finished_contrast(), finished_compact()
    trains = contextlib.nullcontext() if "--train" in argv else stopped_before_training()
    counts: Counter[str] = Counter()
    raw: Counter[str] = Counter()
    example: dict[str, str] = {}
    with trains:
        for case in cases():
            if only and not any(case.call.name == word for word in only):
                continue
            found = outcome(case)
            counts[found.kind] += 1
            if found.kind in ("raw", "hang", "left"):
                key = found.where or found.said.split(":")[0]
                raw[key] += 1
                example.setdefault(key, f"{case} -> {found.kind} {found.said[:160]}")
                if "-v" in argv:
                    _say(f"{case} -> {found.kind} {found.where} {found.said[:160]}")
            if "--accepted" in argv and found.kind == "accepted":
                _say(f"accepted {case}")
            if "--refused" in argv and found.kind == "refused":
                _say(f"refused {case}: {found.said[:400]}")
    for key, count in raw.most_common():
        _say(f"{count:6} {key}\n       {example[key]}")
    _say(f"{sum(counts.values()):,} wrong inputs: " + ", ".join(
        f"{count:,} {kind}" for kind, count in sorted(counts.items())))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
