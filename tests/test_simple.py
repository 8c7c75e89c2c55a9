"""Functions stay small: complexity as radon counts it, lines with their docstring, parameters."""

import ast
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
