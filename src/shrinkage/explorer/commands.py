"""What a page can ask for: one frozen value per command, read from a message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from shrinkage.errors import ExploreError, did_you_mean


@dataclass(frozen=True)
class Play:
    """Train until told otherwise."""


@dataclass(frozen=True)
class Pause:
    """Stop between two steps."""


@dataclass(frozen=True)
class Advance:
    """Train one step, or to the end of the epoch, and pause."""

    epoch: bool = False


@dataclass(frozen=True)
class Reset:
    """Back to the initial weights of a seed."""

    seed: int | None = None


@dataclass(frozen=True)
class Wake:
    """Start one column again from its initial weights; the others train on."""

    column: str


@dataclass(frozen=True)
class Change:
    """Set controls; see :meth:`Controls.changed`."""

    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Restore:
    """Set what a link says."""

    link: str


@dataclass(frozen=True)
class Select:
    """Tell the story of a weight or a unit of a parameter; of nothing where ``kind`` is empty.

    ``kind`` ``"weight"``: ``index`` counts the parameter's weights; ``"unit"``: its filters or
    neurons; ``"size"``: a weight of the column ``column`` whose value lies in ``low`` … ``high``.
    """

    kind: str = ""
    parameter: str = ""
    index: int = 0
    column: str = ""
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Guide:
    """Go to a step of the tour; −1 ends it."""

    step: int


@dataclass(frozen=True)
class Save:
    """Write a run folder, with the picture that the page drew (PNG, base64)."""

    picture: str = ""


Command = Play | Pause | Advance | Reset | Wake | Change | Restore | Select | Guide | Save

_READERS: Mapping[str, Callable[[Mapping[str, Any]], Command]] = MappingProxyType(
    {
        "play": lambda _: Play(),
        "pause": lambda _: Pause(),
        "step": lambda _: Advance(),
        "epoch": lambda _: Advance(epoch=True),
        "reset": lambda m: Reset(None if m.get("seed") is None else int(m["seed"])),
        "wake": lambda m: Wake(str(m["column"])),
        "change": lambda m: Change(dict(m["changes"])),
        "restore": lambda m: Restore(str(m["link"])),
        "select": lambda m: Select(
            kind=str(m.get("kind", "")),
            parameter=str(m.get("parameter", "")),
            index=int(m.get("index", 0)),
            column=str(m.get("column", "")),
            low=float(m.get("low", 0)),
            high=float(m.get("high", 0)),
        ),
        "guide": lambda m: Guide(int(m["step"])),
        "save": lambda m: Save(str(m.get("picture", ""))),
    }
)


def read_command(message: object) -> Command:
    """The command in a page's message; :class:`ExploreError` where there is none."""
    name = message.get("do") if isinstance(message, Mapping) else message
    if not isinstance(message, Mapping) or not isinstance(name, str) or name not in _READERS:
        raise ExploreError(
            "command is unknown",
            got=repr(name)[:80],
            expected=", ".join(_READERS),
            remedy=did_you_mean(str(name), _READERS) + "Reload the page.",
        )
    try:
        return _READERS[name](message)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ExploreError(
            f"the command {name!r} cannot be read",
            got=f"{type(error).__name__}: {error}",
            expected="what the page sends",
            remedy="Reload the page.",
        ) from None
