"""Whether a continued run has the functions it was begun with."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor


def describe(thing: object) -> str:
    """A readable name: strings as they are, functions and objects by their name."""
    return thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)


def fingerprint(thing: object) -> str:
    """A hash of what decides how a function or object behaves; the same in every process.

    Of a function its name, its own lines, the file that defines it, its defaults and what it has
    captured; of an object its type and its attributes; of a ``partial`` its parts. Of a notebook's
    cell the lines are known and no file; in a console neither, and the bytecode must do.
    """
    digest = hashlib.sha256()
    for text in _traits(thing, depth=0):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:16]


_DEEPEST = 5
_PLAIN = (str, int, float, bool, complex, bytes, type(None))


def _traits(thing: object, depth: int) -> Iterator[str]:
    if isinstance(thing, _PLAIN):
        yield repr(thing)
        return
    yield describe(thing)
    if depth > _DEEPEST:
        return
    if isinstance(thing, Tensor):
        yield f"{tuple(thing.shape)} {thing.dtype}"
        yield hashlib.sha256(thing.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
        return
    if isinstance(thing, np.ndarray):
        yield f"{thing.shape} {thing.dtype}"
        yield hashlib.sha256(np.ascontiguousarray(thing).tobytes()).hexdigest()
        return
    for part in _parts(thing):
        yield from _traits(part, depth + 1)


def _parts(thing: object) -> Iterator[object]:
    """What an object is made of, as far as it decides its behaviour."""
    if isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from (str(key), value)
    elif isinstance(thing, tuple | list):
        yield from thing
    elif isinstance(thing, set | frozenset):
        yield from sorted(map(repr, thing))
    elif isinstance(thing, partial):
        yield from (thing.func, thing.args, thing.keywords)
    elif isinstance(thing, MethodType):
        yield from (thing.__func__, thing.__self__)
    elif isinstance(thing, FunctionType):
        yield from _source(thing)
        yield from (thing.__defaults__, thing.__kwdefaults__)
        yield from (cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell))
    elif isinstance(thing, type):
        yield from _source(thing)
    elif not isinstance(thing, ModuleType):
        yield type(thing)
        yield from (
            ((name, value) for name, value in vars(thing).items())
            if hasattr(thing, "__dict__")
            else ()
        )


def _source(thing: Callable[..., Any]) -> Iterator[str]:
    """Own lines and file; nothing of our own functions, for which the version in run.json tells."""
    if (getattr(thing, "__module__", None) or "").partition(".")[0] in ("shrinkage", "torch"):
        return
    for read in (inspect.getsource, _file_text):
        try:
            yield read(thing)
        except (TypeError, OSError):
            code = getattr(thing, "__code__", None)
            yield "" if code is None else code.co_code.hex()


def _file_text(thing: Callable[..., Any]) -> str:
    return Path(inspect.getsourcefile(thing) or "").read_text(encoding="utf-8")


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
