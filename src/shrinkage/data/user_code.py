"""Functions and classes of a user's file, by their name."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from shrinkage.arguments import check_type
from shrinkage.errors import ModelError, did_you_mean, foreign_code, shown


def load_object(reference: str) -> Callable[..., Any]:
    """The callable NAME of ``FILE.py:NAME``; modules beside the file can be imported by it.

    A file is run once for each content it has. Its objects, and those of the modules beside it,
    are pickled by value with cloudpickle, so that worker processes need no path to them.
    Raises :class:`ModelError` for a file that is missing or cannot be imported (with the original
    error), and a name that is missing or cannot be called.
    """
    check_type("this is no reference to code", reference, str, expected="FILE.py:NAME",
               remedy="For instance nets.py:make_net.", error=ModelError)  # fmt: skip
    file, _, name = reference.rpartition(":")
    if not file.endswith(".py") or not name:
        raise ModelError(
            "not a reference to an object in a file",
            got=shown(reference),
            expected="FILE.py:NAME",
            remedy="For instance nets.py:make_net.",
        )
    path = _existing(file)
    module = _import(path)
    found: object = getattr(module, name, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise ModelError(
            f"{path.name} has no callable {name!r}",
            got="no such name" if found is None else f"a {type(found).__name__}",
            expected=f"one of {', '.join(known) or '(nothing callable in this file)'}",
            remedy=did_you_mean(name, known) + "Check the spelling.",
        )
    return found


def _existing(file: str) -> Path:
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        beside = (p.name for p in path.parent.glob("*.py"))
        raise ModelError(
            "file not found",
            got=shown(file),
            expected="a Python file that exists",
            remedy=did_you_mean(path.name, beside) + "Check the path.",
        )
    return path


def _import(path: Path) -> ModuleType:
    """The module of a file; its name holds a hash of path and content."""
    content = path.read_bytes()
    tag = hashlib.sha256(str(path).encode() + b"\0" + content).hexdigest()[:12]
    name = f"{path.stem}_{tag}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:  # pragma: no cover - a .py file always has one
        raise ImportError(path)
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    before = set(sys.modules)
    try:
        with (
            _importable(path.parent),
            foreign_code(
                lambda got: ModelError(
                    f"{path.name} cannot be imported",
                    got=got,
                    expected="a file that runs without error",
                    remedy="Run it with python to see the whole traceback.",
                )
            ),
        ):
            found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    cloudpickle.register_pickle_by_value(module)
    for other in set(sys.modules) - before:
        if _is_beside(path.parent, other):
            cloudpickle.register_pickle_by_value(sys.modules[other])
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make the modules of a folder importable, after all others."""
    if str(folder) in sys.path:
        yield
        return
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _is_beside(folder: Path, name: str) -> bool:
    """Is it a top-level module or package that lies in this very folder?"""
    file = getattr(sys.modules[name], "__file__", None)
    homes = (folder / f"{name}.py", folder / name / "__init__.py")
    return file is not None and Path(file).resolve() in homes
