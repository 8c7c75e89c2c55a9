"""The files behind a user's functions: their own, and the modules beside it that it imports."""

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

_OURS = ("shrinkage", "torch", "numpy")
_INSTALLED = ("site-packages", "dist-packages")
_STANDARD = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))

Sourced = FunctionType | type | ModuleType


def is_library(thing: Sourced) -> bool:
    """Is it from the standard library, an installed package, or this one?"""
    name = _module_name(thing)
    root = name.partition(".")[0]
    if root in _OURS or root in sys.builtin_module_names:
        return True
    file = _file(thing)
    if file is None:  # a notebook, a console, or a module that is frozen into the interpreter
        return root in sys.stdlib_module_names
    if any(part in _INSTALLED for part in file.parts):
        return True
    return any(file.is_relative_to(folder) for folder in _STANDARD)


def full_name(thing: object) -> str:
    """Module and name, where a thing has them."""
    name = getattr(thing, "__qualname__", getattr(thing, "__name__", type(thing).__name__))
    return f"{getattr(thing, '__module__', None) or ''}.{name}"


def files_behind(thing: Sourced) -> Iterator[tuple[Path, str]]:
    """(path, text) of the file that defines a thing and of all modules beside it that it needs.

    Imports are read, not run, so that they are the same before and after a module is loaded; of
    a package that is named itself all modules count. Nothing for libraries and notebooks.
    """
    file = None if is_library(thing) else _file(thing)
    if file is None:
        return
    is_package = isinstance(thing, ModuleType) and file.name == "__init__.py"
    waiting = [file, *(sorted(file.parent.rglob("*.py")) if is_package else ())]
    known: set[Path] = set()
    while waiting:
        path = waiting.pop(0)
        if path in known:
            continue
        known.add(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        yield path, text
        waiting += sorted(_imported_beside(path, text))


def _module_name(thing: Sourced) -> str:
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    return name or ""


def _file(thing: Sourced) -> Path | None:
    """The file of a thing's module, or of its code where the module is not at hand."""
    try:
        path = Path(inspect.getsourcefile(thing) or "")
    except (TypeError, OSError):
        return None
    return path.resolve() if path.is_file() else None


def _imported_beside(path: Path, text: str) -> set[Path]:
    """Files of the modules that a file imports from its own folder or package."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return set()
    found: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found |= _found(_homes(path), alias.name)
        elif isinstance(node, ast.ImportFrom):
            homes = [path.parents[node.level - 1]] if node.level else _homes(path)
            for alias in node.names:
                found |= _found(homes, ".".join(filter(None, (node.module, alias.name))))
    return found


def _homes(path: Path) -> list[Path]:
    """Where absolute imports of a file may lie: its folder, and that of its outermost package."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return [path.parent, folder]


def _found(homes: list[Path], dotted: str) -> set[Path]:
    """The files of ``a.b.c`` that exist; c may be a module, or a name in the module ``a.b``."""
    parts = dotted.split(".")
    if parts[0] in _OURS:
        return set()
    return {
        file.resolve()
        for home in homes
        for end in range(1, len(parts) + 1)
        for stem in [home.joinpath(*parts[:end])]
        for file in (stem.with_name(stem.name + ".py"), stem / "__init__.py")
        if file.is_file()
    }
