"""What a step of the tour is: controls to set, where to look, and a check on live numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shrinkage.explorer.controls import Controls
from shrinkage.explorer.looks import Standing
from shrinkage.explorer.worth import Worth

_MIN_STEPS = 30


@dataclass(frozen=True)
class View:
    """What a check may read: standings by column since the step of the tour was set, the controls,
    and what weights are worth, where asked for.
    """

    points: Mapping[str, list[Standing]]
    controls: Controls
    worth: Worth | None = None
    begun: int = 0

    def now(self, *names: str) -> list[Standing] | None:
        """The newest standings of these columns; None where one is missing or hardly trained."""
        found = [self.points[name][-1] for name in names if self.points.get(name)]
        ready = all(s.step >= self.begun + _MIN_STEPS for s in found) and len(found) == len(names)
        return found if ready else None


@dataclass(frozen=True)
class Check:
    """``seen``: True or False as the live numbers say, None while there is nothing to judge."""

    seen: bool | None
    sentence: str


@dataclass(frozen=True)
class Claim:
    """One step of the tour.

    ``sets``: changes of the controls (see :meth:`Controls.changed`); ``look``: what to watch, in
    words; ``focus``: the part of the page; ``anew``: whether training begins anew for it;
    ``deep``: whether the check needs what weights are worth, which is costly.
    """

    title: str
    sets: Mapping[str, Any]
    look: str
    focus: str
    check: Callable[[View], Check]
    anew: bool = False
    deep: bool = False
