"""Dropout: outputs of layers are left out at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from shrinkage.data.models import Factory, has_dropout, set_dropout, takes_dropout
from shrinkage.experiments.columns.base import Column
from shrinkage.experiments.fit import NotApplicableError
from shrinkage.runs.knobs import DROPOUT


@dataclass(frozen=True)
class Dropout(Column):
    """The network's dropout layers at probability p. Source: Srivastava et al. (2014)."""

    knob: str = DROPOUT

    minimises: ClassVar[bool] = False
    most: ClassVar[float | None] = 0.95

    def knobs(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """Evenly from 0 to 0.8, both left out."""
        count = len(strengths)
        return tuple(round(0.8 * (k + 1) / (count + 1), 3) for k in range(count))

    def dropout(self, value: float) -> float:
        """p."""
        return value

    def applies(self, model: nn.Module, factory: Factory) -> bool:
        """Whether there are dropout layers, or the factory makes them."""
        return has_dropout(model) or takes_dropout(factory)

    def prepare(self, model: nn.Module, factory: Factory, value: float) -> None:
        """Set p of every dropout layer."""
        if not self.applies(model, factory):
            raise NotApplicableError(
                "dropout is not applicable",
                got="a network without dropout layers",
                expected="nn.Dropout layers, or a factory that takes dropout=",
                remedy="Add dropout layers with p=0 to see this column.",
            )
        set_dropout(model, value)
