"""Early stopping: training ends where the validation loss no longer falls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import isgenerator
from math import inf
from typing import ClassVar

from torch import nn

from shrinkage.analysis.measures import evaluate
from shrinkage.analysis.measures.losses import Loss
from shrinkage.data import Examples
from shrinkage.experiments.columns.base import Column
from shrinkage.experiments.fit import Budget, NotApplicableError, Train
from shrinkage.plans import Plan


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
    live: ClassVar[bool] = False  # the page has a pause button

    def knobs(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """Halves from ½ of the epochs on: the most patient first."""
        return tuple(0.5 ** (k + 1) for k in range(len(strengths)))

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
            patience, best, waited = max(1, round(value * budget.epochs)), inf, 0
            kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            for _ in running:
                now = evaluate(model, validation, loss).loss
                waited = 0 if now < best else waited + 1
                if not waited:
                    best = now
                    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
                if waited >= patience:
                    break
                yield
            running.close()
            if best < inf:
                model.load_state_dict(kept)

        return stopped
