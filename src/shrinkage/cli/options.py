"""Options as they are typed: a command's parameters from the records of options that it takes."""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from shrinkage.arguments import Listed, Options, Typed, options_of


def typed(command: Callable[..., None]) -> Callable[..., None]:
    """The command with a parameter for every option that can be typed.

    Each parameter of ``command`` whose annotation is a record of options stands for the options in
    it; the others stay as they are.
    """
    records: dict[str, type[Options]] = {}
    parameters: list[Parameter] = []
    own: list[str] = []
    for parameter in signature(command).parameters.values():
        if isinstance(parameter.annotation, type) and issubclass(parameter.annotation, Options):
            records[parameter.name] = parameter.annotation
            parameters += map(_parameter, _typed(parameter.annotation))
        else:
            parameters.append(parameter)
            own.append(parameter.name)

    @wraps(command)
    def call(**given: Any) -> None:
        command(
            **{name: _record(record, given) for name, record in records.items()},
            **{name: given[name] for name in own},
        )

    parameters.sort(key=lambda one: one.default is not Parameter.empty)
    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    return call


def _typed(record: type[Options]) -> list[tuple[Listed, Typed]]:
    return [(row, row.option) for row in options_of(record) if isinstance(row.option, Typed)]


def _parameter(listed: tuple[Listed, Typed]) -> Parameter:
    """An option as Typer takes it."""
    row, option = listed
    default = row.default if option.default is Parameter.empty else option.default
    kind = row.annotation if option.kind is None else option.kind
    flags = () if option.flag is None else (option.flag,)
    if option.argument:
        shown: object = typer.Argument(help=option.help)
    else:
        shown = typer.Option(
            *flags,
            help=option.help,
            metavar=option.metavar,
            rich_help_panel=row.panel,
            show_default=option.absent or True,
        )
    return Parameter(
        row.name,
        Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, shown],
    )


def _record(record: type[Options], given: Mapping[str, Any]) -> Options:
    """The record of what was typed; options for Python alone have their defaults."""
    return record(
        **{
            row.name: given[row.name] if option.read is None else option.read(given[row.name])
            for row, option in _typed(record)
        }
    )
