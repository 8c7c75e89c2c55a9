"""Whether a continued run has the functions it was begun with."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


def describe(thing: object) -> str:
    """A readable name: strings as they are, functions and objects by their name."""
    return thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)


def fingerprint(function: object) -> str:
    """A hash of a function's name, its own lines, and the source file that defines it.

    Of a notebook's cell the lines are known and no file; in a console neither, and the name alone
    must do.
    """
    texts = [describe(function)]
    if not getattr(function, "__module__", "").startswith("shrinkage."):
        for read in (inspect.getsource, _file_text):
            try:
                texts.append(read(function))  # type: ignore[arg-type]
            except (TypeError, OSError):
                texts.append("")
    # Our own functions have a name only: the version in run.json tells.
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _file_text(function: Callable[..., Any]) -> str:
    return Path(inspect.getsourcefile(function) or "").read_text(encoding="utf-8")


def default_folder(config: dict[str, Any]) -> Path:
    """``runs/contrast-DATA-MODEL-xxxxxx``: the same configuration has the same folder."""
    tag = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:6]
    words = [config["command"], Path(config["data"]["name"]).stem, config["model"]["name"]]
    plain = (re.sub(r"[^A-Za-z0-9_.]+", "-", word).strip("-.") for word in words)
    return Path("runs") / "-".join([*plain, tag])
