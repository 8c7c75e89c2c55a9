"""Wrong values anywhere in the public functions: one error of ours, said briefly, nothing left."""

import copy
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import fuzzing
import shrinkage as sh
from fuzzing import Broken, World
from shrinkage.cli import main
from shrinkage.errors import ShrinkageError, shown, told

SLOW = {"path", "contrast", "explore", "compact", "predict"}
SLOW |= {"Compact.export", "Compact.onnx", "Compact.save"}
"""Calls of which each try takes long: a few of their wrong inputs are tried here."""


def _sample() -> Iterator[fuzzing.Case]:
    """Of each call and argument some values, other ones for each, spread over all of them."""
    for number, case in enumerate(fuzzing.cases()):
        if number % (89 if case.call.name in SLOW else 7) == 0:
            yield case


def test_whatever_is_wrong_is_refused_by_an_error_of_ours_and_leaves_nothing() -> None:
    counts: Counter[str] = Counter()
    wrong = []
    with fuzzing.stopped_before_training():
        for case in _sample():
            found = fuzzing.outcome(case)
            counts[found.kind] += 1
            if found.kind not in ("accepted", "refused"):
                wrong.append(f"{case}: {found.kind} {found.said} {found.where}")
    assert wrong == []
    assert counts["refused"] > 3_000


def test_the_fuzzer_sees_raw_errors_files_and_weights_that_are_left() -> None:
    """What counts is counted: three functions that do what none of ours may."""

    def raising(**_: object) -> None:
        raise TypeError("raw")

    def littering(**_: object) -> None:
        Path("left.txt").touch()
        raise ShrinkageError("wrong", got="it", expected="else", remedy="Do.")

    def writing(w: World) -> Callable[..., None]:
        def write(**_: object) -> None:
            w.model.get_parameter("out.bias").data.add_(1)
            raise ShrinkageError("wrong", got="it", expected="else", remedy="Do.")

        return write

    for function, kind in ((lambda _: raising, "raw"), (lambda _: littering, "left"),
                           (writing, "left")):  # fmt: skip
        call = fuzzing.Call("a function", function, {"a": lambda _: 1})
        assert fuzzing.outcome(fuzzing.Case(call, (("a", "None"),))).kind == kind


@pytest.fixture
def w(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


NATURAL: dict[str, tuple[Callable[[World], object], str]] = {
    "swapped": (lambda w: sh.Plan(sh.L1(1e-3), w.model), r"Plan\(model, L1\(1e-4\)\). The network"),
    "strength": (lambda w: sh.Plan(w.model, 1e-3), r"inside a penalty: L1\(0.001\)"),
    "name": (lambda w: sh.Plan(w.model, "l1"), r"Write the penalty itself, such as L1\(1e-4\)"),
    "class": (lambda w: sh.Plan(w.model, sh.L1), r"Give it a strength: L1\(1e-4\)"),
    "rule's class": (lambda w: sh.Rules({"*": sh.L1}), r"'\*' has no penalty.*L1\(1e-4\)"),
    "network's class": (lambda w: sh.Plan(nn.Linear, sh.L1(1)), r"Make one of the class: Linear\("),
    "text": (lambda w: sh.L1("0.1"), "strength is not a number: got '0.1'"),
    "no match": (lambda w: sh.Plan(w.model, {"fc2": sh.L1(1)}), "Did you mean 'fc1'"),
    "no plan": (lambda w: sh.certify(w.model, w.pair), r"no plan: .*\(model, plan, data, loss\)"),
    "no data": (lambda w: sh.certify(w.model, w.plan), r"no data: .*certify\(model, plan, \(X, y"),
    "no network": (lambda w: sh.measure(w.plan), r"no network: got Plan.*\(model, plan, data"),
    "no inputs": (lambda w: sh.compact(w.model), r"no example inputs: .*compact\(model, x\)"),
    "instance": (lambda w: sh.path(w.model, w.rows, "l1"), r"Pass the class, or lambda: MyNet"),
    "data first": (lambda w: sh.path(w.rows, "linear", "l1"), r"make_model.*comes first"),
    "one column": (lambda w: sh.contrast("linear", w.rows, columns="l1"), r"columns=\['l1'\]"),
    "one layer": (lambda w: sh.compact(w.model, w.x, ignored="fc1"), r"ignored=\('fc1',\)"),
    "within": (lambda w: fuzzing.finished_path().choose(0.5), r"A tolerance is named: within=0.5"),
    "callback": (
        lambda w: sh.polish(w.model, w.plan, w.pair, progress=lambda: None),
        "progress takes other arguments: .*too many positional",
    ),
    "loss": (
        lambda w: sh.certify(w.model, w.plan, w.pair, nn.CrossEntropyLoss),
        "loss is not a function: got the class CrossEntropyLoss",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NATURAL)
def test_natural_mistakes_are_told_the_line_that_makes_them_right(name: str, w: World) -> None:
    make, words = NATURAL[name]
    with pytest.raises(ShrinkageError, match=words):
        make(w)


def test_a_single_batch_size_is_as_good_as_a_list_of_one(w: World) -> None:
    found = sh.compact(w.model, w.x, batch_sizes=2).report  # type: ignore[arg-type]
    assert {latency.batch for latency in found.latencies} == {2}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros(3, 4), "a Tensor of shape (3, 4)"),
        (np.zeros((2, 5)), "a ndarray of shape (2, 5)"),
        (torch.tensor(1.0), "tensor(1.)"),
        (nn.Linear, "the class Linear"),
        (nn.Sequential(nn.ReLU(), nn.ReLU()), "a Sequential"),
        (list(range(10_000)), "a list of 10000"),
        (dict.fromkeys(range(99)), "a dict of 99"),
        ("x" * 10**6, f"'{'x' * 80}…'"),
        (10**5000, "an int"),
        (Broken(), "a Broken"),
        ([Broken()], "a list of 1"),
        (object(), "an object"),
        (len, "<built-in function len>"),
        (pickle.dumps, "<built-in function dumps>"),
        (copy.copy, "a function copy"),
        (None, "None"),
    ],
    ids=lambda v: v[:20] if isinstance(v, str) else type(v).__name__,
)
def test_values_are_shown_briefly_in_one_line(value: object, words: str) -> None:
    assert shown(value) == words


def test_errors_stay_short_in_one_line_and_printable() -> None:
    error = ShrinkageError("w\n" * 9999, got="\ud800\0" + "g" * 9999, expected="e", remedy="r")
    assert len(str(error)) < 2_000
    assert "\n" not in str(error)
    assert str(error).encode("utf-8").count(b"\0") == 0
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(again), again.got) == (str(error), error.got)


def test_foreign_exceptions_are_shortened() -> None:
    assert len(told(ValueError("x" * 10**6))) < 400

    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert told(SilentError()) == "SilentError"


COMMANDS = (
    "contrast", "contrast digits --tries x", "contrast digits --tries 1.5",
    "contrast digits --lr nan",
    "contrast digits --columns ,", "contrast digits --columns l1,l1", "contrast digits --seeds -1",
    "contrast digits --budget tiny", "contrast digits --device moon", "contrast digits --jobs 0",
    "contrast digits --grid 0,a", "contrast digits --choose worst", "contrast digits --test 2",
    "contrast digits --no-such-option 1", "contrast digits extra", "contrast --model",
    "path digits --penalty l3", "path digits --points 0", "path digits --points many",
    "path digits --refit 1", "path digits --within x", "path digits --folds 1",
    "path digits --stability 3", "path digits --engine diesel",
    "path digits --weakest 2 --strongest 1",
    "path digits --rounds 0", "path nowhere.csv", "path digits --address",
    "explore digits --port 99999999", "explore digits --port x", "explore digits --columns nothing",
    "explore digits --lr -1", "explore digits --settings !", "explore nowhere/at/all.csv",
    "compact nowhere", "compact", "compact . --seed x", "compact . --nonzeros few",
    "predict", "predict nowhere rows.csv", "predict . nowhere.csv", "predict . rows.csv --out",
    "demo --epochs 0", "demo --seeds x", "demo --no-such", "no-such-command", "--no-such",
)  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_wrong_words_on_the_command_line_end_with_2_and_leave_nothing(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["shrinkage", *line.split()])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code == 2, said
    assert "Traceback" not in said.err + said.out
    assert list(tmp_path.iterdir()) == []


def test_a_few_of_every_call_are_accepted_as_they_are(w: World) -> None:
    """The right arguments that the fuzzer starts from are right."""
    with fuzzing.stopped_before_training():
        for call in fuzzing.CALLS:
            if call.name in SLOW:
                continue
            case = fuzzing.Case(call, ())
            assert fuzzing.outcome(case).kind == "accepted", call.name
    assert len(list(islice(fuzzing.cases(), 20_000))) == 20_000
