"""Functions stay small: complexity as radon counts it, lines with their docstring, parameters."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from radon.complexity import cc_visit
from radon.visitors import Function

import shrinkage

FILES = sorted(Path(shrinkage.__file__).parent.rglob("*.py"))
MOST_COMPLEX, MOST_LINES, MOST_PARAMETERS = 10, 50, 8


def too_large(source: str) -> Iterator[str]:
    for block in cc_visit(source):
        if isinstance(block, Function) and block.complexity > MOST_COMPLEX:
            yield f"{block.name}: complexity {block.complexity}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            parameters = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
            if lines > MOST_LINES:
                yield f"{node.name}: {lines} lines"
            if parameters > MOST_PARAMETERS:
                yield f"{node.name}: {parameters} parameters"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_functions_are_small(path: Path) -> None:
    assert list(too_large(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n" + "    if x:\n        return 1\n" * 10,
        "def f():\n" + "    print()\n" * 50,
        "def f(a, b, c, d, e, *, g, h, i, j): ...",
    ],
)
def test_what_is_too_large_is_seen(source: str) -> None:
    assert list(too_large(source))


def names(source: str) -> Iterator[str]:
    """Classes and aliases of types at the top of a module; type variables are its own."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and not ast.unparse(node.value).startswith("TypeVar"):
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            yield from (name for name in targets if name[0].isupper() and not name.isupper())


def test_a_name_of_a_type_means_one_thing() -> None:
    found = Counter(name for path in FILES for name in names(path.read_text(encoding="utf-8")))
    assert {name for name, count in found.items() if count > 1} == set()
