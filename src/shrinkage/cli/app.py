"""The command itself: its options, its errors, its warnings."""

import sys
import warnings
from importlib.metadata import version
from typing import Annotated

import typer

from shrinkage.cli.words import escaped, say
from shrinkage.errors import ShrinkageError, ShrinkageWarning

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="L1 / L2 regularization for PyTorch networks that does what it says.",
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"shrinkage {version('shrinkage')}")
        raise typer.Exit


@app.callback()
def _options(
    show: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """L1 / L2 regularization for PyTorch networks that does what it says."""


def main() -> None:
    """Run the command; bad input is one line on the error stream and exit code 2."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app()
        except ShrinkageError as error:
            say(f"[bold red]error:[/] {escaped(str(error))}")
            sys.exit(2)
        except KeyboardInterrupt:  # before there was anything to stop
            say("Stopped.")
            sys.exit(130)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: object = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    label = "note" if issubclass(category, ShrinkageWarning) else category.__name__
    say(f"[bold yellow]{label}:[/] {escaped(str(message))}")
