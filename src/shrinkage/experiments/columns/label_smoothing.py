"""Label smoothing: targets that are not quite certain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from shrinkage.analysis.measures.losses import Loss, as_module
from shrinkage.data import Examples
from shrinkage.experiments.columns.base import Column
from shrinkage.experiments.fit import NotApplicableError, Train, Training


@dataclass(frozen=True)
class LabelSmoothing(Column):
    """Trained on (1 − ε)·(the label) + ε·(all classes alike); measured on the labels themselves.

    It minimises another loss than the one that is measured, and has no certificate.
    Source: Szegedy et al., Rethinking the Inception Architecture (2016), §7.
    """

    knob: str = "label smoothing"

    minimises: ClassVar[bool] = False
    most: ClassVar[float | None] = 0.5
    first: ClassVar[float] = 0.1

    def knobs(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """Evenly from 0 to 0.4, both left out."""
        count = len(strengths)
        return tuple(round(0.4 * (k + 1) / (count + 1), 3) for k in range(count))

    def loss(self, loss: Loss | None, y: Tensor, value: float) -> Loss:
        """``nn.CrossEntropyLoss(label_smoothing=ε)``."""
        module = nn.CrossEntropyLoss() if loss is None else as_module(loss)
        if type(module) is not nn.CrossEntropyLoss or y.is_floating_point():
            raise _not_applicable()
        return nn.CrossEntropyLoss(
            module.weight, ignore_index=module.ignore_index, label_smoothing=value
        )

    def training(
        self, train: Train, loss: Loss | None, validation: Examples, value: float
    ) -> Train:
        """Our own training under that loss."""
        if not isinstance(train, Training):
            raise _not_applicable()
        own = train.loss if loss is None else loss
        return replace(train, loss=self.loss(own, validation.y, value))


def _not_applicable() -> NotApplicableError:
    return NotApplicableError(
        "label smoothing is not applicable",
        got="quantities, a loss or a training of your own",
        expected="class labels, cross-entropy and our own training",
        remedy="Leave the column out, or smooth the labels in your own loss.",
    )
