"""Early stopping: training ends where the validation loss no longer falls."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import isgenerator
from math import inf
from typing import ClassVar

from torch import Tensor, nn

from shrinkage.analysis.measures import evaluate
from shrinkage.analysis.measures.losses import Loss
from shrinkage.data import Examples
from shrinkage.experiments.columns.base import Column
from shrinkage.experiments.fit import Budget, NotApplicableError, Train
from shrinkage.plans import Plan


class BestEpoch:
    """The network as it was at its lowest validation loss, and for how many epochs it has been."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.lowest, self.waited = model, inf, 0
        self._kept: Mapping[str, Tensor] = {}

    def look(self, loss: float) -> None:
        """After an epoch."""
        self.waited = 0 if loss < self.lowest else self.waited + 1
        if not self.waited:
            self.lowest = loss
            state = self.model.state_dict()
            self._kept = {name: tensor.clone() for name, tensor in state.items()}

    def put_back(self) -> None:
        """Make the network that of its best epoch; as it is where there was none."""
        if self._kept:
            self.model.load_state_dict(dict(self._kept))


@dataclass(frozen=True)
class EarlyStopping(Column):
    """Stops after ``patience`` epochs without a lower validation loss; keeps the best epoch.

    Patience is a share of all epochs. The epoch is chosen on the validation data that choose the
    strengths of the other columns: what it takes from them shows in the test score only. It
    minimises nothing that a certificate could measure. Source: Prechelt, Early Stopping — But
    When? (1998).
    """

    knob: str = "early stopping"

    minimises: ClassVar[bool] = False
    most: ClassVar[float | None] = 1.0
    first: ClassVar[float] = 0.25

    def knobs(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """Halves from ½ of the epochs on: the most patient first."""
        return tuple(0.5 ** (k + 1) for k in range(len(strengths)))

    def patience(self, value: float) -> float:
        """The knob itself."""
        return value

    def training(
        self, train: Train, loss: Loss | None, validation: Examples, value: float
    ) -> Train:
        """``train``, which must yield after every epoch, looked at and ended early."""

        def stopped(model: nn.Module, plan: Plan, budget: Budget) -> Iterator[None]:
            running = train(model, plan, budget)
            if not isgenerator(running):
                raise NotApplicableError(
                    "early stopping is not applicable",
                    got="a training function that does not yield",
                    expected="a yield after every epoch, where it may be stopped",
                    remedy="Add a yield to see this column.",
                )
            best = BestEpoch(model)
            for _ in running:
                best.look(evaluate(model, validation, loss).loss)
                if best.waited >= max(1, round(value * budget.epochs)):
                    break
                yield
            running.close()
            best.put_back()

        return stopped
