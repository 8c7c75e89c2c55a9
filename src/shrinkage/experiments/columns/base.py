"""A column of a contrast: one way to treat a network, and everything that others ask of it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from shrinkage.analysis.measures.losses import Loss
from shrinkage.data import Examples
from shrinkage.data.models import Factory
from shrinkage.experiments.fit import PenaltyForm, Train
from shrinkage.penalties import L1, Penalty
from shrinkage.plans import Plan
from shrinkage.runs.knobs import RATE, knob


@dataclass(frozen=True)
class Column:
    """One way to treat a network; a subclass says what it does besides training under a penalty.

    Parameters
    ----------
    name, label : str
        The name in commands and records, and what tables say.
    knob : str
        What the tries vary: the strength λ where there is a penalty; where there is nothing of
        the column's own to vary, factors of the learning rate.
    penalty : function of λ, or None
        Makes the penalty at a strength.
    form : "exact" or "term"
        Whether the penalty acts exactly, or as the textbook's term in the loss.
    prunes_like : str or None
        Magnitude pruning to the nonzeros of the column it names, then fine-tuning.
    """

    name: str
    label: str
    knob: str = RATE
    penalty: Callable[[float], Penalty] | None = None
    form: PenaltyForm = "exact"
    prunes_like: str | None = None

    minimises: ClassVar[bool] = True
    """Whether training goes down loss + penalty, so that a residual has a meaning."""
    most: ClassVar[float | None] = None
    """The largest value of the knob on the live page; None: that of a strength."""
    first: ClassVar[float] = 0.5
    """The value that the live page begins with, where it is no strength."""

    @property
    def is_live(self) -> bool:
        """Whether the live page can show it; pruning is a schedule and not a dial."""
        return self.prunes_like is None

    @property
    def is_ordered(self) -> bool:
        """Whether the tries go from least to most regularized."""
        return knob(self.knob).ordered

    def is_other_form_of(self, column: "Column") -> bool:
        """Whether it is the same penalty, once as a term of the loss and once exact."""
        same = self.penalty is not None and self.penalty is column.penalty
        return same and self.form != column.form

    def knobs(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """One value of the knob per try, from least to most regularized where that has a meaning.

        Learning rates are factors 2, 1, ½, ¼ … of the training's own.
        """
        count = len(strengths)
        if self.knob != RATE:
            return tuple(strengths)
        return tuple(2.0 ** (1 - k) for k in range(count)) if count > 1 else (1.0,)

    def penalty_at(self, value: float) -> Penalty:
        """The penalty of a try; L1(0) where the column has none."""
        return L1(0.0) if self.penalty is None else self.penalty(value)

    def lr_factor(self, value: float) -> float:
        """What the training's learning rate is multiplied by."""
        return value if self.knob == RATE else 1.0

    def dropout(self, value: float) -> float | None:  # noqa: ARG002
        """The probability that a factory is asked for; None: its own."""
        return None

    def applies(self, model: nn.Module, factory: Factory) -> bool:  # noqa: ARG002
        """Whether a network can be trained as the column says."""
        return True

    def prepare(self, model: nn.Module, factory: Factory, value: float) -> None:
        """Set up a new network; :class:`NotApplicableError` for one that cannot show the column."""

    def loss(self, loss: Loss | None, y: Tensor, value: float) -> Loss | None:  # noqa: ARG002
        """The loss that a try is trained on; ``loss`` is what is measured, None the default.

        Raises :class:`NotApplicableError` where the column does not go with these targets.
        """
        return loss

    def patience(self, value: float) -> float | None:  # noqa: ARG002
        """Training ends after this share of the epochs without a lower validation loss; None: not.

        The network is then what it was at the lowest.
        """
        return None

    def training(
        self,
        train: Train,
        loss: Loss | None,  # noqa: ARG002
        validation: Examples,  # noqa: ARG002
        value: float,  # noqa: ARG002
    ) -> Train:
        """The training of a try; ``loss`` is that of the contrast, None the default.

        Raises :class:`NotApplicableError` where the column does not go with it.
        """
        return train

    def acting(self, plan: Plan, value: float) -> AbstractContextManager[object]:  # noqa: ARG002
        """What is done to the plan's parameters while they are trained."""
        return nullcontext()
