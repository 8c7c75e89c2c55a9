"""fingerprint: whatever decides how a function behaves changes it, and nothing else does."""

import linecache
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from shrinkage.data.user_code import load_object
from shrinkage.runs.identity import fingerprint

CELL = """
import functools
import torch
from torch import nn
from torch.optim import SGD as Optimizer
import helper

LR = 0.1
OPTIONS = {"momentum": 0.9, "sizes": (3, 4)}
NAMES = {"a", "b", "c"}
STEPS = 0

class Base(nn.Module):
    width = 3

class Net(Base):
    def forward(self, x):
        return scaled(x)

def scaled(x):
    return inner(x)

def inner(x):
    return [(lambda v: v * FACTOR)(v) for v in x]

FACTOR = 2.0

def decorated(f):
    @functools.wraps(f)
    def call(*args):
        return 1 + f(*args)
    return call

@decorated
def shift(x):
    return x

def make(spec):
    global STEPS
    STEPS += 1
    Optimizer, LR, OPTIONS, NAMES, Net, helper.WIDTH, shift, make
    return nested

def nested():
    def within():
        return LR
    return within
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, with a module that imports another one and a package."""
    (tmp_path / "helper.py").write_text("import deeper\nfrom parts import small\nWIDTH = 5\n")
    (tmp_path / "deeper.py").write_text("DEPTH = 2\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "small.py").write_text("from . import tiny\nSIZE = 1\n")
    (tmp_path / "parts" / "tiny.py").write_text("from .. import nothing\nSIZE = 0\n")
    (tmp_path / "parts" / "unused.py").write_text("SIZE = 9\n")
    text = (tmp_path / "parts" / "tiny.py").read_text()
    (tmp_path / "parts" / "tiny.py").write_text(text.replace("from .. import nothing\n", ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("helper", "deeper", "parts", "parts.small", "parts.tiny")
    for name in names:  # those of other tests
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in names:
        sys.modules.pop(name, None)


def cell(text: str, *, lines: bool) -> dict[str, Any]:
    """Run a notebook's cell: its lines are known to linecache, or, in a console, to nobody."""
    names: dict[str, Any] = {"__name__": "__main__"}
    file = f"<cell {hash(text)}>" if lines else "<stdin>"
    if lines:
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), names)  # noqa: S102
    return names


CHANGES = [
    ("LR = 0.1", "LR = 0.2"),
    ('"momentum": 0.9', '"momentum": 0.8'),
    ("(3, 4)", "(3, 5)"),
    ('"c"}', '"d"}'),
    ("width = 3", "width = 4"),
    ("return scaled(x)", "return scaled(-x)"),
    ("return inner(x)", "return inner(x + 1)"),
    ("FACTOR = 2.0", "FACTOR = 3.0"),
    ("v * FACTOR", "v + FACTOR"),
    ("SGD as Optimizer", "Adam as Optimizer"),
    ("return 1 + f", "return 2 + f"),
    ("return within", "return within()"),
]


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_a_cell_that_changes_what_a_function_needs(
    helper: Path, old: str, new: str, lines: bool
) -> None:
    assert CELL.count(old) == 1
    one, again = (cell(CELL, lines=lines)["make"] for _ in range(2))
    other = cell(CELL.replace(old, new), lines=lines)["make"]
    assert fingerprint(one) == fingerprint(again)
    # what a function keeps its own state in says nothing about it
    one(None)
    assert fingerprint(one) == fingerprint(again)
    if lines or "return within" not in old:
        assert fingerprint(one) != fingerprint(other)


def test_what_a_function_does_not_need_says_nothing(helper: Path) -> None:
    one = cell(CELL, lines=True)["make"]
    more = cell(CELL + "\nUNUSED = 3\ndef unused(): return 4\n", lines=True)["make"]
    assert fingerprint(one) == fingerprint(more)
    (helper / "parts" / "unused.py").write_text("SIZE = 10\n")
    assert fingerprint(one) == fingerprint(more)


def test_a_global_that_is_set_anew(helper: Path) -> None:
    names = cell(CELL, lines=True)
    before = fingerprint(names["make"])
    names["LR"] = 0.5
    changed = fingerprint(names["make"])
    assert changed != before
    names["LR"] = 0.1
    assert fingerprint(names["make"]) == before


@pytest.mark.parametrize("file", ["helper.py", "deeper.py", "parts/small.py", "parts/tiny.py"])
@pytest.mark.parametrize("style", ["import helper", "from helper import WIDTH", "local"])
def test_a_module_beside_the_file(helper: Path, file: str, style: str) -> None:
    inside, outside = ("import helper", "") if style == "local" else ("pass", style)
    user = helper / "user.py"
    user.write_text(f"{outside}\ndef make(spec):\n    {inside}\n    return 1\n")
    before = fingerprint(load_object(f"{user}:make"))
    with (helper / file).open("a") as text:
        text.write("MORE = 1\n")
    assert fingerprint(load_object(f"{user}:make")) != before


def test_a_module_that_a_cell_reads(helper: Path) -> None:
    make = cell(CELL, lines=True)["make"]
    before = fingerprint(make)
    (helper / "deeper.py").write_text("DEPTH = 3\n")
    assert fingerprint(make) != before


def test_classes_and_functions_that_need_each_other() -> None:
    text = """
class A:
    def f(self): return B
class B(A):
    def g(self): return A, f
def f(): return g()
def g(): return f(), B, TABLE
TABLE = {"f": f, "again": f}
TABLE["itself"] = TABLE
"""
    one, other = (cell(text, lines=False)["f"] for _ in range(2))
    assert fingerprint(one) == fingerprint(other)


def test_a_long_chain_of_functions() -> None:
    links = "\n".join(f"def f{k}(): return f{k + 1}()" for k in range(200))
    one, same, other = (
        cell(f"{links}\ndef f200(): return {end}", lines=False)["f0"] for end in (1, 1, 2)
    )
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def test_arrays_of_objects_are_their_items() -> None:
    one, same, other = (np.array([f"a{k}", (1, k)], dtype=object) for k in (300, 300, 301))
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def test_bytecode_with_its_constants() -> None:
    one, other = (cell(f"f = lambda: {k}", lines=False)["f"] for k in (1, 2))
    assert fingerprint(one) != fingerprint(other)
    pair = cell("f, g = lambda: 1, lambda: 2", lines=True)
    assert fingerprint(pair["f"]) != fingerprint(pair["g"])


def test_a_decorator_counts() -> None:
    def decorated(f: Callable[[], float], bias: float) -> Callable[[], float]:
        @wraps(f)
        def call() -> float:
            return f() + bias

        return call

    def base() -> float:
        return 1.0

    assert fingerprint(decorated(base, 0.0)) != fingerprint(decorated(base, 1.0))


def test_libraries_are_named_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda p, **k: (read.append(p), real(p, **k))[1])
    for thing in (nn.Linear, nn.functional.cross_entropy, torch.optim.SGD, subprocess.run, wraps):
        fingerprint(thing)
    assert read == []
    assert fingerprint(nn.Linear) != fingerprint(nn.Conv2d)


PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from shrinkage.runs.identity import fingerprint
from shrinkage.data.user_code import load_object
from shrinkage import L1
import numpy as np
names = {{"__name__": "__main__"}}
exec(compile(Path({cell!r}).read_text(), "<stdin>", "exec"), names)
held = {{names["make"], names["inner"], names["Net"], 1, "text", (2, None)}}
objects = [held, L1(0.1), np.arange(3), object()]
print(fingerprint(names["make"]), fingerprint(load_object({file!r})), fingerprint(objects))
"""


def test_the_same_in_every_process(helper: Path) -> None:
    (helper / "cell.txt").write_text(CELL)
    (helper / "user.py").write_text(CELL)
    program = PROGRAM.format(
        folder=str(helper), cell=str(helper / "cell.txt"), file=f"{helper / 'user.py'}:make"
    )
    seen = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout)
    assert len(seen) == 1, seen
