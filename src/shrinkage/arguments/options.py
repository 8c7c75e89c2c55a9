"""What an option is: an annotation that says in one place what Python and the command line need."""

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields
from inspect import Parameter, get_annotations
from typing import Any, ClassVar, ForwardRef


@dataclass(frozen=True)
class Option:
    """An option of a function in Python.

    Parameters
    ----------
    help : str
        What it is, in a sentence or two.
    python : str
        What else is to be said of it in Python; ``--help`` leaves it out.
    absent : str
        What is taken where it is not given, where the default value alone does not tell.
    """

    help: str
    python: str = ""
    absent: str = ""


@dataclass(frozen=True)
class Typed(Option):
    """An option that can be typed on the command line, too.

    Parameters
    ----------
    flag : str or None
        Its name there, such as ``"--from"``; None: the one that it has in Python.
    kind : type or None
        The type of what is typed; None: that of the annotation.
    read : callable or None
        What is typed as Python takes it; None: as it is.
    default : object
        The default there, where it is another than Python's.
    metavar : str or None
        How the value is called in ``--help``; None: by its type.
    argument : bool
        Whether it is typed by its place, without a flag.
    """

    flag: str | None = None
    kind: Any = None
    read: Callable[[Any], Any] | None = None
    default: object = Parameter.empty
    metavar: str | None = None
    argument: bool = False


class Options:
    """A record of options: a frozen dataclass whose fields are annotated with :class:`Option`."""

    panel: ClassVar[str] = "Options"
    """The title over its options in ``--help``."""


@dataclass(frozen=True)
class Listed:
    """An option as its record lists it: the field, and the panel of ``--help`` that shows it."""

    field: "Field[Any]"
    panel: str

    @property
    def name(self) -> str:
        """Its name in Python."""
        return self.field.name

    @property
    def option(self) -> Option:
        """What is said of it."""
        notes: tuple[object, ...] = self.field.type.__metadata__  # type: ignore[union-attr]
        return next(note for note in notes if isinstance(note, Option))

    @property
    def annotation(self) -> Any:
        """Its type in Python; text where that needs PyTorch, which takes seconds to import."""
        kind = self.field.type.__origin__  # type: ignore[union-attr]
        return kind.__forward_arg__ if isinstance(kind, ForwardRef) else kind

    @property
    def default(self) -> Any:
        """Its default in Python; ``Parameter.empty`` where it must be given."""
        return Parameter.empty if self.field.default is MISSING else self.field.default


def options_of(record: type[Options]) -> list[Listed]:
    """The options of a record: those with a place, in its order, then its own, then its bases'."""
    known = {field.name: field for field in fields(record)}  # type: ignore[arg-type]
    panels: dict[str, str] = {}
    for owner in record.__mro__:
        for name in get_annotations(owner):
            panels.setdefault(name, getattr(owner, "panel", ""))
    placed = [field for field in known.values() if not field.kw_only]
    named = [known[name] for name in panels if name in known and known[name].kw_only]
    return [Listed(field, panels[field.name]) for field in (*placed, *named)]
