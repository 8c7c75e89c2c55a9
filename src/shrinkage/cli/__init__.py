"""The command line: parse, call, print. One file per command."""

# isort: off  (the order of --help)
from shrinkage.cli import compaction, contrasts, explorer, paths  # noqa: F401  (they register)
from shrinkage.cli.app import app, main

# isort: on

__all__ = ["app", "main"]
