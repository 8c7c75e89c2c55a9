"""Whether a continued run has the functions it was begun with."""

import hashlib
import inspect
import json
import re
from pathlib import Path
from typing import Any


def describe(thing: object) -> str:
    """A readable name: strings as they are, functions and objects by their name."""
    return thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)


def fingerprint(function: object) -> str:
    """A hash of the source file that defines ``function``, and its name.

    Where there is no source to read (a console), the name alone.
    """
    try:
        source = Path(inspect.getsourcefile(function) or "").read_text(encoding="utf-8")  # type: ignore[arg-type]
    except (TypeError, OSError):
        source = ""
    if getattr(function, "__module__", "").startswith("shrinkage."):
        source = ""  # our own reference networks: the version in run.json tells
    return hashlib.sha256(f"{describe(function)}\0{source}".encode()).hexdigest()[:16]


def default_folder(config: dict[str, Any]) -> Path:
    """``runs/contrast-DATA-MODEL-xxxxxx``: the same configuration has the same folder."""
    tag = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:6]
    words = [config["command"], Path(config["data"]["name"]).stem, config["model"]["name"]]
    plain = (re.sub(r"[^A-Za-z0-9_.]+", "-", word).strip("-.") for word in words)
    return Path("runs") / "-".join([*plain, tag])
