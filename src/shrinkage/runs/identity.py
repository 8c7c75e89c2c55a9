"""Whether a continued run has the functions it was begun with."""

import dis
import hashlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path, PurePath
from types import CellType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shrinkage.runs.sources import files_behind, full_name, is_library


def describe(thing: object) -> str:
    """A readable name: strings as they are, functions and objects by their name."""
    return thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)


def fingerprint(thing: object) -> str:
    """A hash of what decides how a function or object behaves; the same in every process.

    Of a function its name, its own lines, the file that defines it with the modules beside it that
    this file imports, its defaults, what it has captured, and the globals it reads, in the same
    way; of a class its lines and members; of an object its type and its attributes; of a
    ``partial`` its parts. Of a notebook's cell the lines are known and no file; in a console
    neither, and the bytecode must do. Of the standard library, of installed packages and of our
    own functions the name only: versions are in run.json.
    """
    digest = hashlib.sha256()
    for text in _Walk().texts(thing):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:16]


_DEEPEST = 5
_PLAIN = (
    str, int, float, bool, complex, bytes, type(None), range, PurePath,
    torch.device, torch.dtype, torch.Size,
)  # fmt: skip
_READS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_WRITES = ("STORE_GLOBAL", "DELETE_GLOBAL")
_INSIDE: Mapping[type, tuple[str, ...]] = MappingProxyType(
    {
        partial: ("func", "args", "keywords"),
        MethodType: ("__func__", "__self__"),
        staticmethod: ("__func__",),
        classmethod: ("__func__",),
        property: ("fget", "fset", "fdel"),
        CodeType: ("co_code", "co_names", "co_varnames", "co_freevars", "co_consts"),
    }
)
"""What these are made of: attributes that their ``vars`` do not show."""


class _Walk:
    """One way through a thing and all it needs; functions, classes and modules are met once."""

    def __init__(self, met: Mapping[int, object] | None = None) -> None:
        self.met = dict(met or {})  # the objects are held, so that no id is used twice
        self.waiting: list[object] = []
        self.read: set[Path] = set()

    def texts(self, thing: object) -> Iterator[str]:
        """The texts that tell this thing from another."""
        yield from self._traits(thing, 0)
        while self.waiting:
            for part in self._parts(self.waiting.pop(0)):
                yield from self._traits(part, 1)

    def _traits(self, thing: object, depth: int) -> Iterator[str]:
        if isinstance(thing, _PLAIN):
            yield repr(thing)
            return
        yield describe(thing)
        if isinstance(thing, FunctionType | type | ModuleType):
            self._meet(thing)
        elif isinstance(thing, Tensor) or (  # objects in an array are but addresses
            isinstance(thing, np.ndarray) and not thing.dtype.hasobject
        ):
            yield from _numbers(thing)
        elif isinstance(thing, set | frozenset):
            # each item by a walk of its own: what it meets must not depend on the set's order
            yield from sorted("\0".join(_Walk(self.met).texts(item)) for item in thing)
        elif depth <= _DEEPEST:
            for part in self._parts(thing):
                yield from self._traits(part, depth + 1)

    def _meet(self, thing: object) -> None:
        if id(thing) not in self.met:
            self.met[id(thing)] = thing
            self.waiting.append(thing)  # a chain of functions may be long: no recursion

    def _parts(self, thing: object) -> Iterator[object]:
        """What a thing is made of, as far as it decides its behaviour."""
        if isinstance(thing, FunctionType):
            yield from self._of_function(thing)
        elif isinstance(thing, type):
            yield from self._of_class(thing)
        elif isinstance(thing, ModuleType):
            yield from self._of_files(thing)
        elif isinstance(thing, Mapping):
            yield from chain.from_iterable(thing.items())
        elif isinstance(thing, tuple | list):
            yield from thing
        elif isinstance(thing, np.ndarray):
            yield from (thing.shape, *thing.ravel().tolist())
        elif type(thing) in _INSIDE:
            yield from (getattr(thing, name) for name in _INSIDE[type(thing)])
        else:
            yield type(thing)
            yield from getattr(thing, "__dict__", {}).items()

    def _of_function(self, function: FunctionType) -> Iterator[object]:
        yield from (function.__defaults__, function.__kwdefaults__)
        yield from (cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell))
        if is_library(function):
            return
        source = _source(function)
        yield source
        if source is None or function.__name__ == "<lambda>":  # several may share a line
            yield function.__code__
        yield from self._of_files(function)
        yield from _globals_read(function)

    def _of_class(self, kind: type) -> Iterator[object]:
        if is_library(kind):
            yield full_name(kind)
            return
        yield _source(kind)
        yield from self._of_files(kind)
        yield from kind.__bases__
        for name, member in sorted(vars(kind).items()):
            is_code = isinstance(member, FunctionType | staticmethod | classmethod | property)
            if is_code or not name.startswith("__"):
                yield from (name, member)

    def _of_files(self, thing: FunctionType | type | ModuleType) -> Iterator[str]:
        for path, text in files_behind(thing):
            if path not in self.read:
                self.read.add(path)
                yield text


def _numbers(thing: Tensor | np.ndarray) -> Iterator[str]:
    array = thing.detach().cpu().contiguous() if isinstance(thing, Tensor) else thing
    yield f"{tuple(array.shape)} {array.dtype}"
    content = array.flatten().view(torch.uint8).numpy() if isinstance(array, Tensor) else array
    yield hashlib.sha256(np.ascontiguousarray(content).tobytes()).hexdigest()


def _globals_read(function: FunctionType) -> Iterator[object]:
    """(name, value) of the globals a function reads, but for those it keeps its own state in."""
    names, written = _names(function.__code__)
    for name in sorted(names - written):
        if name in function.__globals__ and not name.startswith("__"):
            value = function.__globals__[name]
            named = isinstance(value, FunctionType | type | ModuleType) and is_library(value)
            yield from (name, full_name(value) if named else value)


def _names(code: CodeType) -> tuple[set[str], set[str]]:
    """Names of the globals that code, and all code within it, reads and writes."""
    steps = list(dis.get_instructions(code))
    read = {str(step.argval) for step in steps if step.opname in _READS}
    written = {str(step.argval) for step in steps if step.opname in _WRITES}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more_read, more_written = _names(inner)
            read, written = read | more_read, written | more_written
    return read, written


def _source(thing: FunctionType | type) -> str | None:
    """The own lines of a function or class; None where nobody knows them."""
    try:  # of the code, because of a decorated function the lines of the inner one would come
        return inspect.getsource(thing.__code__ if isinstance(thing, FunctionType) else thing)
    except (TypeError, OSError):
        return None


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (an empty cell raises)
    except ValueError:
        return False
    return True


def default_folder(config: dict[str, Any]) -> Path:
    """``runs/contrast-DATA-MODEL-xxxxxx``: the same configuration has the same folder."""
    tag = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:6]
    words = [config["command"], Path(config["data"]["name"]).stem, config["model"]["name"]]
    plain = (re.sub(r"[^A-Za-z0-9_.]+", "-", word).strip("-.") for word in words)
    return Path("runs") / "-".join([*plain, tag])
