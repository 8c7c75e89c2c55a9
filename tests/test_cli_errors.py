"""Bad input on the command line: one line that says it all, exit code 2, nothing left behind."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shrinkage.arguments import takes
from shrinkage.cli import main
from shrinkage.experiments.options import ContrastOptions
from shrinkage.runs import Run

QUICK = "--model linear --columns none,l1 --tries 1 --seeds 1 --epochs 1 --jobs 1 --run run"

NETS = """
import torch
from torch import nn
from shrinkage import attach

text = "no function"

def nothing(spec):
    nn.Linear(spec.n_inputs, spec.n_outputs)

def wide(spec):
    return nn.Linear(spec.n_inputs, spec.n_outputs + 1)

def narrow():
    return nn.Linear(3, 3)

def breaks(spec):
    raise RuntimeError("on\\npurpose")

def two(spec, depth):
    return nn.Linear(1, 1)

def raising(model, plan, budget):
    raise KeyError("no such thing")

def late(model, plan, budget):
    yield from []
    raise ZeroDivisionError("much later")

def forgetting(model, plan, budget):
    pass

def wrong_signature(model):
    pass
"""


def _image(folder: Path, size: int, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("L", (size, size), 128).save(folder / name)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder full of things that are wrong, each in its own way."""
    here = tmp_path_factory.mktemp("here")
    (here / "nets.py").write_text(NETS)
    (here / "broken.py").write_text("import nothing_of_this_name\n")
    rows = [f"{i},{i % 3},{'ab'[i % 2]}" for i in range(40)]
    (here / "good.csv").write_text("size,rooms,kind\n" + "\n".join(rows))
    (here / "nan.csv").write_text("size,kind\n" + "\n".join(f"NaN,{'ab'[i % 2]}" for i in range(9)))
    (here / "one.csv").write_text("size,kind\n" + "\n".join(f"{i},a" for i in range(9)))
    (here / "empty.csv").write_text("")
    (here / "head.csv").write_text("size,kind\n")
    (here / "note.txt").write_text("hello")
    (here / "corrupt.npz").write_bytes(b"PK\x03\x04 and then nothing")
    table = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2
    np.savez(here / "held.npz", **dict(zip(("x_train", "y_train"), table, strict=True)),
             **dict(zip(("x_test", "y_test"), table, strict=True)))  # fmt: skip
    np.savez(here / "half.npz", x_train=np.zeros((9, 2)))
    np.savez(here / "typo.npz", x_train=np.zeros((9, 2)), ytrain=np.zeros(9))
    np.savez(here / "short.npz", x_train=np.zeros((9, 2)), y_train=np.arange(8) % 2)
    np.savez(here / "few.npz", x_train=np.eye(4), y_train=np.arange(4))
    np.savez(here / "objects.npz", x_train=np.array([{}, []], dtype=object), y_train=np.arange(2))
    for kind in "ab":
        for number in range(6):
            _image(here / "sizes" / kind, 8 + number % 2, f"{number}.png")
            _image(here / "corrupt" / kind, 8, f"{number}.png")
    (here / "corrupt" / "b" / "3.png").write_bytes(b"not an image")
    (here / "flat").mkdir()
    (here / "flat" / "1.png").write_bytes(b"")
    (here / "file").write_text("a file, not a run")
    (here / "strange").mkdir()
    (here / "strange" / "thesis.txt").write_text("years of work")
    with Run(here / "other", {"command": "contrast", "seeds": 7}) as run:
        run.append({"kind": "note", "key": "a/0/0"})
    (here / "damaged").mkdir()
    (here / "damaged" / "run.json").write_text("{")
    return here


def case(argv: str, *parts: str) -> object:
    return pytest.param(argv, parts, id=argv or "(nothing)")


CASES = [
    # data
    case("digit", "unknown data set", "'digit'", "Did you mean 'digits'?"),
    case("zebra", "unknown data set", "'zebra'", "openml:NAME", "Check the spelling"),
    case("missing.csv --target kind", "file not found", "missing.csv", "Check the path"),
    case("godo.csv --target kind", "file not found", "Did you mean 'good.csv'?"),
    case("note.txt", "unknown type of file", "'.txt'", ".npz"),
    case("corrupt.npz", "corrupt.npz cannot be read", "an .npz file"),
    case("half.npz", "'y_train' is missing", "got x_train", "np.savez"),
    case("typo.npz", "'y_train' is missing", "Did you mean 'ytrain'?"),
    case("short.npz", "differ in length", "9 inputs and 8 targets"),
    case("few.npz", "too few rows", "at least 4"),
    case("objects.npz", "object array", "dtype"),
    case("good.csv", "a table needs a target column", "'size', 'rooms', 'kind'", "--target"),
    case("good.csv --target knid", "unknown target column", "Did you mean 'kind'?"),
    case("nan.csv --target kind", "missing values", "'size' (9) of 9 rows"),
    case("one.csv --target kind", "fewer than two classes", "'a'"),
    case("empty.csv --target kind", "empty.csv is empty", "header line"),
    case("head.csv --target kind", "nothing to learn from", "0 rows"),
    case("digits --target kind", "target has no meaning", "'kind'", "Leave target out"),
    case("half.npz --target kind", "target has no meaning", "'kind'"),
    case("sizes --target kind", "target has no meaning"),
    case("digits --image-size 8", "image_size has no meaning", "image folders"),
    case("sizes", "images differ in size", "8×8", "9×9", "image"),
    case("sizes --image-size 0", "image_size is no size", "got 0"),
    case("corrupt", "image b/3.png cannot be read", "Replace it or delete it"),
    case("flat", "no sub-folders", "one sub-folder of images per class"),
    case("wine --train-size 3000", "train_size does not fit", "3000", "Leave train_size out"),
    case("wine --train-size 2", "train_size does not fit", "between 3"),
    case("wine --train-size 0", "train_size does not fit", "got 0"),
    case("wine --validation 1.5", "validation is out of range", "1.5", "below 1"),
    case("wine --validation nan", "validation is out of range", "nan"),
    case("wine --validation 0", "too few rows for a validation part"),
    case("wine --test -1", "test is out of range", "got -1"),
    case("held.npz --test 0.2", "test has no meaning", "test=0.2", "Leave test out"),
    case("wine --test 0.999", "too few rows", "test"),
    # networks
    case("wine --model lniear", "unknown model", "Did you mean 'linear'?"),
    case("wine --model net.py:nothing", "file not found", "Did you mean 'nets.py'?"),
    case("wine --model nets.py", "not a reference", "FILE.py:NAME"),
    case("wine --model broken.py:net", "cannot be imported", "nothing_of_this_name"),
    case("wine --model nets.py:wdie", "no callable 'wdie'", "Did you mean 'wide'?"),
    case("wine --model nets.py:text", "no callable 'text'", "a str"),
    case("wine --model nets.py:nothing", "makes no network", "NoneType", "return"),
    case("wine --model nets.py:wide", "wrong output", "(2, 4)", "(2, 3)", "spec.n_outputs"),
    case("wine --model nets.py:narrow", "cannot take these inputs", "(n, 13)"),
    case("wine --model nets.py:breaks", "factory breaks failed", "RuntimeError: on purpose"),
    case("wine --model nets.py:two", "too many arguments", "spec, depth", "lambda"),
    case("wine --model cnn", "cnn cannot take these inputs", "(13,)", "mlp"),
    case("digits --model lenet-5", "16×16", "(1, 8, 8)", "Use cnn"),
    # training
    case("wine --train nets.py:raising", "training function raising failed", "no such thing"),
    case("wine --train nets.py:late", "training function late failed", "much later"),
    case("wine --train nets.py:forgetting", "never applied the plan", "attach(optimizer, plan"),
    case("wine --train nets.py:wrong_signature", "wrong_signature failed", "TypeError"),
    case("wine --train nets.py:missing", "no callable 'missing'"),
    case("wine --train training", "not a reference", "FILE.py:NAME"),
    case("wine --optimizer adamm", "optimizer is unknown", "'adamm'", "sgd or adam or adamw"),
    case("wine --lr 0", "learning rate is out of range", "> 0"),
    case("wine --lr -1", "learning rate is out of range", "got -1"),
    case("wine --lr nan", "learning rate is out of range", "nan"),
    case("wine --batch-size 0", "batch_size is out of range", "≥ 1"),
    case("wine --epochs 0", "epochs is out of range", "≥ 1"),
    case("wine --seeds 0", "seeds is out of range", "≥ 1"),
    case("wine --tries 0", "tries is out of range", "≥ 1"),
    case("wine --tries -3", "tries is out of range", "got -3"),
    case("wine --jobs 0", "jobs is out of range", "≥ 1"),
    case("wine --budget nromal", "budget is unknown", "Did you mean 'normal'?"),
    # columns and strengths
    case("wine --columns none,l7_term", "column is unknown", "Did you mean 'l1_term'?"),
    case("wine --columns l1,l1", "named twice", "Name each column once"),
    case("wine --columns ,", "columns are empty", "some of none"),
    case("wine --columns none,magnitude", "'magnitude' lacks", "'l1' beside it"),
    case("wine --columns dropout", "no column applies", "l1"),
    case("wine --strengths -1", "strengths are out of range", "-1"),
    case("wine --strengths 0,1", "strengths are out of range", "> 0"),
    case("wine --strengths nan", "strengths are out of range", "nan"),
    case("wine --strengths inf", "strengths are out of range", "inf"),
    case("wine --strengths 1e-3,1e-3", "strengths are out of range", "different"),
    case("wine --strengths ,", "strengths are out of range", "none"),
    case("wine --strengths 1e-3;1e-2", "--strengths is not a list of numbers", "1e-3;1e-2"),
    case("wine --choose tset", "choose is unknown", "'tset'", "1se or best"),
    case("wine --choose bset", "choose is unknown", "Did you mean 'best'?"),
    # run folders
    case("wine --run other", "belongs to another configuration", "seeds = 1", "seeds = 7"),
    case("wine --run file", "cannot be written", "file"),
    case("wine --run file/run", "cannot be written", "file"),
    case("wine --run strange", "not a run", "'thesis.txt'", "Choose another folder"),
    case("wine --run damaged", "damaged", "run.json"),
]


PATH_QUICK = "--model linear --points 3 --seeds 1 --jobs 1 --run run"
PATH_CASES = [
    case("digit", "unknown data set", "Did you mean 'digits'?"),
    case("wine --model lniear", "unknown model", "Did you mean 'linear'?"),
    case("wine --penalty log_smu", "penalty is unknown", "Did you mean 'log_sum'?"),
    case("wine --penalty l2", "no scale empties", "--from, --to", "L1 part"),
    case("wine --points 1", "points is out of range", "got 1", "≥ 2"),
    case("wine --from 1 --to 0.1", "grid of a path is empty", "0 < from < to"),
    case("wine --from -1", "(--from) is out of range", "got -1", "> 0"),
    case("wine --from nan", "(--from) is out of range", "got nan"),
    case("wine --to inf", "(--to) is out of range", "got inf"),
    case("wine --folds 1", "folds do not fit", "1 folds", "2 to"),
    case("wine --folds 900", "folds do not fit", "900 folds"),
    case("wine --folds 3 --seeds 3", "contradict each other", "one of the two"),
    case("wine --choose bset", "choose is unknown", "Did you mean 'best'?"),
    case("wine --within -0.1", "within is out of range", "got -0.1"),
    case("wine --epochs 0", "epochs is out of range", "≥ 1"),
    case("wine --point-epochs 0", "point_epochs is out of range", "> 0"),
    case("wine --rounds 0", "rounds is out of range", "≥ 1"),
    case("wine --batch-size 0", "batch_size is out of range", "≥ 1"),
    case("wine --lr nan", "learning rate is out of range", "nan"),
    case("wine --jobs 0", "jobs is out of range", "≥ 1"),
    case("wine --seeds 0", "seeds is out of range", "≥ 1"),
    case("wine --train nets.py:raising", "training function raising failed", "no such thing"),
    case("wine --train nets.py:raising --lr 1", "lr has no meaning", "lr=1"),
    case("wine --run other", "belongs to another configuration", "command = path"),
    case("wine --run file", "cannot be written", "file"),
    case("wine --run strange", "not a run", "'thesis.txt'"),
]


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, but for the caches of Python and the locks of runs."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts and path.name != ".lock"
    }


def arguments(argv: str, command: str = "contrast", options: str = QUICK) -> list[str]:
    """A whole command line: what is asked for, after all that keeps a slip from running long."""
    words = argv.split()
    quick = options.split()
    given = {word for word in words if word.startswith("--")}
    kept = [
        word
        for option, value in zip(quick[::2], quick[1::2], strict=True)
        if option not in given
        for word in (option, value)
    ]
    return ["shrinkage", command, *words, *kept]


Called = tuple[int, str, str]


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: Path
) -> Callable[[list[str]], Called]:
    """Run the command in this process: (exit code, standard output, standard error)."""

    def run(argv: list[str]) -> Called:
        monkeypatch.chdir(here)
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, out, err

    return run


def assert_one_good_line(errors: str, parts: tuple[str, ...]) -> None:
    lines = errors.splitlines()
    assert len(lines) == 1, errors
    line = lines[0]
    assert line.startswith("error: ")
    assert "Traceback" not in line
    for part in parts:
        assert part in line, (part, line)
    what, _, rest = line.partition(": got ")
    got, _, rest = rest.partition("; expected ")
    expected, _, remedy = rest.partition(". ")
    assert all(len(text) > 2 for text in (what, expected, remedy)), line
    assert got, line
    assert line.endswith((".", "?", "…)")), line


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 25


@pytest.mark.parametrize(("argv", "parts"), CASES)
def test_bad_input_is_one_line(
    argv: str, parts: tuple[str, ...], call: Callable[[list[str]], Called], here: Path
) -> None:
    before = snapshot(here)
    code, out, err = call(arguments(argv))
    assert_one_good_line(err, parts)
    assert code == 2
    assert out == ""
    assert snapshot(here) == before


@pytest.mark.parametrize(("argv", "parts"), PATH_CASES)
def test_bad_input_of_path_is_one_line(
    argv: str, parts: tuple[str, ...], call: Callable[[list[str]], Called], here: Path
) -> None:
    before = snapshot(here)
    code, out, err = call(arguments(argv, "path", PATH_QUICK))
    assert_one_good_line(err, parts)
    assert (code, out) == (2, "")
    assert snapshot(here) == before


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ("wine --nope", "--nope"),
        ("wine --modle linear", "--modle"),
        ("wine --epochs many", "--epochs"),
        ("wine --lr fast", "--lr"),
        ("wine extra", "extra"),
        ("wine --model", "--model"),
    ],
)
def test_errors_of_usage(
    argv: str, part: str, call: Callable[[list[str]], Called], here: Path
) -> None:
    before = snapshot(here)
    code, out, err = call(["shrinkage", "contrast", *argv.split()])
    assert (code, out) == (2, "")
    assert part in err
    assert "Traceback" not in err
    assert snapshot(here) == before


@pytest.mark.parametrize("argv", ["contrast", "demo extra", "contrats wine", "demo --seeds x"])
def test_errors_of_usage_of_other_commands(
    argv: str, call: Callable[[list[str]], Called], here: Path
) -> None:
    code, out, err = call(["shrinkage", *argv.split()])
    assert (code, out) == (2, "")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        ("wine --choose tset", ("choose is unknown",)),
        ("wine --train nets.py:raising --jobs 2", ("raising failed", "no such thing")),
    ],
)
def test_a_real_process_says_the_same(argv: str, parts: tuple[str, ...], here: Path) -> None:
    before = snapshot(here)
    program = "from shrinkage.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments(argv)[1:]],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert_one_good_line(done.stderr, parts)
    assert done.returncode == 2
    assert done.stdout == ""
    assert snapshot(here) == before


def test_a_good_command_prints_its_tables_and_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", arguments("wine --strengths 1e-3 --choose best"))
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    assert stop.value.code == 0
    assert "error" not in err
    assert "L1 exact" in out
    assert "λ=0.001" in out
    assert "…" not in out  # nothing is cut off where it goes to a file
    assert out.splitlines()[-1] == "Run folder: run"
    header = json.loads((tmp_path / "run" / "run.json").read_text())
    assert header["config"]["choose"] == "best"
    command = header["decisions"]["command"]
    assert "wine --strengths 1e-3 --choose best --model linear" in command
    assert "--run" not in command
    assert "--jobs" not in command


class StoppedError(Exception):
    """Raised in place of a contrast."""


def asked_for(monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> dict[str, Any]:
    """What a command line hands to contrast, but for what does not decide the figures."""

    @takes(ContrastOptions)
    def caught(options: ContrastOptions) -> None:
        asked = vars(options)
        raise StoppedError({**asked, "data": getattr(options.data, "name", options.data)})

    monkeypatch.setattr("shrinkage.experiments.contrasts.contrast", caught)
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(StoppedError) as stop:
        main()
    asked: dict[str, Any] = stop.value.args[0]
    return {k: v for k, v in asked.items() if v is not None and k not in ("run", "jobs")}


@pytest.mark.parametrize(
    "options", ["", "--seeds 2", "--tries 3", "--seeds 2 --tries 3 --run somewhere --jobs 1"]
)
def test_the_demos_command_is_the_demo(monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    demo = asked_for(monkeypatch, ["shrinkage", "demo", *options.split()])
    command = demo.pop("command")
    again = asked_for(monkeypatch, command.split())
    assert again.pop("command") == command
    if "grid" in demo:
        demo["grid"] = list(demo["grid"])
    defaults = {
        "budget": "normal",
        "choose": "1se",
        "norms": False,
        "rescale": False,
        "polish": 0,
        "device": "cpu",
        "engine": "auto",
    }
    assert again == {**defaults, **demo}


@pytest.mark.parametrize("option", ["seeds", "tries"])
def test_a_demo_of_nothing_is_refused(
    option: str, call: Callable[[list[str]], Called], here: Path
) -> None:
    code, _, err = call(["shrinkage", "demo", f"--{option}", "0", "--run", "run"])
    assert code == 2
    assert_one_good_line(err, (f"{option} is out of range", "got 0"))
    assert not (here / "run").exists()


def test_the_version(call: Callable[[list[str]], Called]) -> None:
    code, out, err = call(["shrinkage", "--version"])
    assert (code, err) == (0, "")
    assert out.startswith("shrinkage 0.")
