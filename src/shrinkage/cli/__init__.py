"""The command line: parse, call, print. One file per command."""

from shrinkage.cli import compact, contrast, explore, path, predict  # noqa: F401  (they register)
from shrinkage.cli.app import app, main

__all__ = ["app", "main"]

_ORDER = ("demo", "contrast", "path", "compact", "predict", "explore")
app.registered_commands.sort(key=lambda command: _ORDER.index(command.name or "demo"))
