"""What was measured of a network, as a run folder holds it. None: it was no finite number."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan

from shrinkage.runs.schema import ABSENT, Record, check_same_length


@dataclass(frozen=True, kw_only=True)
class PartRecord(Record):
    """Loss and score on one part of the data."""

    loss: float | None
    score: float | None


@dataclass(frozen=True, kw_only=True)
class ValidationRecord(PartRecord):
    """The same on the validation part, and the mean losses of its chunks of examples."""

    chunks: Sequence[float | None]

    @property
    def chunk_losses(self) -> list[float]:
        """The losses of the chunks; NaN where there is none."""
        return [nan if loss is None else loss for loss in self.chunks]


@dataclass(frozen=True, kw_only=True)
class EvaluatedRecord(Record):
    """A network on the parts that are open while networks are fit."""

    train: PartRecord
    validation: ValidationRecord

    @property
    def is_usable(self) -> bool:
        """Has it a finite validation loss?"""
        return self.validation.loss is not None


@dataclass(frozen=True, kw_only=True)
class WeightsRecord(Record):
    """The weights of one penalised parameter, or of all: see ``measures.LayerWeights``."""

    name: str
    shape: tuple[int, ...]
    size: int
    zeros: int
    nonzeros: int
    l1: float | None
    l2: float | None
    max_abs: float | None
    top1: float | None
    top10: float | None
    gini: float | None
    units: int | None
    zero_units: int | None


@dataclass(frozen=True, kw_only=True)
class ReachRecord(Record):
    """How many inputs and units there are, and how many of them are on no path."""

    inputs: int
    inputs_unused: int
    units: int
    units_dead: int


@dataclass(frozen=True, kw_only=True)
class NetworkRecord(EvaluatedRecord):
    """A network at the end of its training; ``reach``: None where its wiring is not known."""

    score_name: str
    penalty: float | None
    penalty_share: float | None
    weights: WeightsRecord
    n_parameters: int
    nonzero_parameters: int
    layers: Sequence[WeightsRecord]
    reach: ReachRecord | None

    def check(self, name: str) -> None:
        """There are weights, since something was penalised."""
        if not self.weights.size:
            raise ValueError(f"{name} has no penalised weights")


@dataclass(frozen=True, kw_only=True)
class HistoryRecord(Record):
    """The way of a fit, one entry per look; parts that were not looked at are None."""

    epoch: Sequence[float]
    train_loss: Sequence[float | None]
    validation_loss: Sequence[float | None] | None = field(default=None, metadata=ABSENT)
    test_loss: Sequence[float | None] | None = field(default=None, metadata=ABSENT)
    train_score: Sequence[float | None] | None = field(default=None, metadata=ABSENT)
    validation_score: Sequence[float | None] | None = field(default=None, metadata=ABSENT)
    test_score: Sequence[float | None] | None = field(default=None, metadata=ABSENT)
    penalty: Sequence[float | None] | None = field(default=None, metadata=ABSENT)
    nonzeros: Sequence[int] | None = field(default=None, metadata=ABSENT)

    def check(self, name: str) -> None:
        """An entry per look."""
        check_same_length(name, **vars(self))
