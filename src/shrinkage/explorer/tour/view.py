"""What a step of the tour is: controls to set, where to look, and a claim on live numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from shrinkage.explorer.controls import Controls
from shrinkage.explorer.looks import Standing
from shrinkage.explorer.worth import Worth
from shrinkage.lesson import Verdict

_MIN_STEPS = 30


@dataclass(frozen=True)
class Check:
    """A verdict on the live numbers, in words."""

    verdict: Verdict
    sentence: str

    @classmethod
    def waiting(cls, sentence: str) -> Self:
        """Nothing to judge yet, and what is still to be done."""
        return cls("not measured", sentence)


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
            return Check.waiting("This step needs its own columns: set the controls again.")
        steps = min(self.points[n][-1].step if self.points[n] else self.begun for n in names)
        if steps < self.begun + _MIN_STEPS:
            return Check.waiting(f"Let it train: {steps - self.begun} of {_MIN_STEPS} steps.")
        return [self.points[name][-1] for name in names]


@dataclass(frozen=True)
class Scope:
    """What a network and its data can show.

    ``columns``: those that apply to the network; ``penalises_all``: whether penalties can reach
    all of its parameters (not with normalisation layers, or frozen ones); ``n_train``,
    ``n_classes``: how many training examples and classes there are (0 classes in a regression).
    """

    columns: frozenset[str]
    penalises_all: bool
    n_train: int
    n_classes: int


@dataclass(frozen=True)
class TourStep:
    """One step of the tour.

    ``sets``: changes of the controls (see :meth:`Controls.changed`); ``look``: what to watch, in
    words; ``focus``: the part of the page; ``anew``: whether training begins anew for it;
    ``deep``: whether the check needs what weights are worth, which is costly; ``of_all``: whether
    it is about all parameters of the network.
    """

    title: str
    sets: Mapping[str, Any]
    look: str
    focus: str
    check: Callable[[View], Check]
    anew: bool = False
    deep: bool = False
    of_all: bool = False

    def fits(self, scope: Scope) -> bool:
        """Whether the network can show it."""
        has_columns = scope.columns.issuperset(self.sets["columns"])
        return has_columns and (scope.penalises_all or not self.of_all)

    def changes(self, scope: Scope) -> dict[str, Any]:
        """``sets`` for these data: all training examples, or the few it wants, of every class."""
        few = self.sets.get("train_size", scope.n_train)
        size = min(scope.n_train, max(few, scope.n_classes))
        return {**self.sets, "train_size": size}
