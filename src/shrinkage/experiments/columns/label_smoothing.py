"""Label smoothing: targets that are not quite certain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

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
    live: ClassVar[bool] = False  # lanes share one loss

    def knobs(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """Evenly from 0 to 0.4, both left out."""
        count = len(strengths)
        return tuple(round(0.4 * (k + 1) / (count + 1), 3) for k in range(count))

    def training(
        self, train: Train, loss: Loss | None, validation: Examples, value: float
    ) -> Train:
        """Our own training under ``nn.CrossEntropyLoss(label_smoothing=ε)``."""
        own = train.loss if loss is None and isinstance(train, Training) else loss
        module = nn.CrossEntropyLoss() if own is None else as_module(own)
        is_labels = not validation.y.is_floating_point()
        if not (isinstance(train, Training) and type(module) is nn.CrossEntropyLoss and is_labels):
            raise NotApplicableError(
                "label smoothing is not applicable",
                got="quantities, a loss or a training of your own",
                expected="class labels, cross-entropy and our own training",
                remedy="Leave the column out, or smooth the labels in your own loss.",
            )
        smoothed = nn.CrossEntropyLoss(
            module.weight, ignore_index=module.ignore_index, label_smoothing=value
        )
        return replace(train, loss=smoothed)
