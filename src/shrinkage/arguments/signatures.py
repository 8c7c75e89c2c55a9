"""Functions whose parameters are the options of a record."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, cleandoc, signature
from textwrap import wrap
from typing import ParamSpec, TypeVar, cast

from shrinkage.arguments.options import Listed, Options, options_of
from shrinkage.errors import OptionError, did_you_mean

P = ParamSpec("P")
O = TypeVar("O", bound=Options)  # noqa: E741
R = TypeVar("R")

_WIDTH = 92
_AFTER_PARAMETERS = ("\nReturns\n---", "\nYields\n---", "\nRaises\n---")


def takes(record: Callable[P, O]) -> Callable[[Callable[[O], R]], Callable[P, R]]:
    """Give a function of one record the record's options as its own parameters.

    Type checkers see the parameters of the record's constructor; ``help`` and completion see the
    same ones at run time, each with its text in the docstring.

    Parameters
    ----------
    record : type
        A frozen dataclass that is an :class:`Options`.

    Returns
    -------
    callable
        A decorator. What it returns raises :class:`OptionError` for options that the record does
        not have, for too many and for too few.
    """
    kind = cast("type[Options]", record)

    def decorated(function: Callable[[O], R]) -> Callable[P, R]:
        own = _signature(kind, function)

        @wraps(function)
        def call(*given: P.args, **options: P.kwargs) -> R:
            try:
                own.bind(*given, **options)
            except TypeError as problem:
                raise _refused(function.__name__, str(problem), list(own.parameters)) from None
            return function(record(*given, **options))

        call.__signature__ = own  # type: ignore[attr-defined]
        call.__doc__ = _documented(cleandoc(function.__doc__ or ""), options_of(kind))
        return call

    return decorated


def _signature(record: type[Options], function: Callable[..., object]) -> Signature:
    parameters = [
        Parameter(
            row.name,
            Parameter.KEYWORD_ONLY if row.field.kw_only else Parameter.POSITIONAL_OR_KEYWORD,
            default=row.default,
            annotation=row.annotation,
        )
        for row in options_of(record)
    ]
    return Signature(parameters, return_annotation=signature(function).return_annotation)


def _refused(name: str, problem: str, known: list[str]) -> OptionError:
    """What Python says of a wrong call, with the name that may have been meant."""
    word = problem.split("'")[1] if "'" in problem else ""
    hint = did_you_mean(word, known) if word not in known else ""
    return OptionError(
        f"{name}() cannot be called like that",
        got=problem.removeprefix("got "),
        expected=f"options of {name}()",
        remedy=f"{hint}help(sh.{name}) lists them.",
    )


def _documented(text: str, rows: list[Listed]) -> str:
    """The docstring with a numpydoc section of the parameters, before what is returned."""
    lines = ["", "Parameters", "----------"]
    for row in rows:
        lines += [f"{row.name} : {_kind(row)}{_default(row)}", *_paragraph(row)]
    section = "\n".join([*lines, ""])
    found = [at for title in _AFTER_PARAMETERS if (at := text.find(title)) >= 0]
    cut = min(found, default=len(text))
    return text[:cut].rstrip() + "\n" + section + text[cut:]


def _default(row: Listed) -> str:
    if row.default is Parameter.empty:
        return ""
    return f", default {row.default!r}" + (f": {row.option.absent}" if row.option.absent else "")


def _paragraph(row: Listed) -> list[str]:
    texts = (row.option.help, row.option.python)
    return [f"    {line}" for text in texts for line in wrap(text, _WIDTH)]


def _kind(row: Listed) -> str:
    kind = row.annotation
    if isinstance(kind, str):
        return kind
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
