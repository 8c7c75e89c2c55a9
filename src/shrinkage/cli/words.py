"""Text in and out: what was typed, what is said."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C is one line and exit code 130."""
    try:
        with guarded():
            yield
    except KeyboardInterrupt:
        say("Stopped. Finished fits are kept: the same command goes on from there.")
        raise typer.Exit(130) from None


@contextmanager
def guarded() -> Iterator[None]:
    """Code of the user's that ends the program, or turns our warnings into errors, is told of."""
    from shrinkage.errors import ModelError, ShrinkageWarning, told

    try:
        yield
    except (SystemExit, ShrinkageWarning) as error:
        raise ModelError(
            "code of your own ended the command",
            got=told(error),
            expected="functions that return or raise, and warnings that stay warnings",
            remedy="Leave out sys.exit() and warnings.simplefilter('error').",
        ) from error


def say(text: str) -> None:
    """Print to the error stream, with rich's markup."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(text)


def tell(text: str) -> None:
    """Print to the standard output."""
    typer.echo(text)


def escaped(text: str) -> str:
    """One line that rich takes literally."""
    from rich.markup import escape

    return escape(" ".join(text.split()))


def command_data(data: str, **options: object) -> str:
    """Data and what is needed to read them, as they are typed."""
    words = [data]
    for option, value in options.items():
        words += [] if value is None else [f"--{option.replace('_', '-')}", str(value)]
    return shlex.join(words)


def command(arguments: list[str], data: str) -> str:
    """The command line without run folder and workers, what decides the figures; data first."""
    elsewhere = ("--run", "--jobs", "--engine", "--address")
    words = [w for w in arguments if not w.startswith(tuple(f"{o}=" for o in elsewhere))]
    for option in elsewhere:
        while option in words:
            at = words.index(option)
            del words[at : at + 2]
    if data in words[1:]:
        words.insert(1, words.pop(words.index(data, 1)))
    return shlex.join(["shrinkage", *words])
