"""What a step of the tour is: controls to set, where to look, and a check on live numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shrinkage.explorer.controls import Controls
from shrinkage.explorer.looks import Standing
from shrinkage.explorer.worth import Worth

_MIN_STEPS = 30


@dataclass(frozen=True)
class Check:
    """``seen``: True or False as the live numbers say, None while there is nothing to judge."""

    seen: bool | None
    sentence: str


@dataclass(frozen=True)
class View:
    """What a check may read: standings by column since the step of the tour was set, the controls,
    and what weights are worth, where asked for.
    """

    points: Mapping[str, list[Standing]]
    controls: Controls
    worth: Worth | None = None
    begun: int = 0

    def now(self, *names: str) -> list[Standing] | Check:
        """The newest standings of these columns, or what is still missing to judge them."""
        if any(name not in self.points for name in names):
            return Check(None, "This step needs its own columns: set the controls again.")
        steps = min(self.points[n][-1].step if self.points[n] else self.begun for n in names)
        if steps < self.begun + _MIN_STEPS:
            return Check(None, f"Let it train: {steps - self.begun} of {_MIN_STEPS} steps.")
        return [self.points[name][-1] for name in names]


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
