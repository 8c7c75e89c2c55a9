"""The lines of a path's run folder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from shrinkage.runs.measured import EvaluatedRecord, NetworkRecord
from shrinkage.runs.schema import ABSENT, LineRecord, Record, check_same_length


@dataclass(frozen=True, kw_only=True)
class ShrunkRecord(Record):
    """What of a network was trained: the share of its parameters, and the inputs left.

    Or why it was trained as a ``whole``.
    """

    parameters: float | None = field(default=None, metadata=ABSENT)
    inputs: int | None = field(default=None, metadata=ABSENT)
    whole: str | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True, kw_only=True)
class ScaleRecord(LineRecord):
    """A network at a scale, of one seed."""

    seed: int
    scale: float


@dataclass(frozen=True, kw_only=True)
class PointRecord(ScaleRecord):
    """A fit of a path, whatever became of it."""

    kind: ClassVar[str] = "fit"


@dataclass(frozen=True, kw_only=True)
class PathFitRecord(NetworkRecord, PointRecord):
    """A fit that succeeded, and its refit on the same support, if there is one.

    ``gap``: of a point that was solved; ``features``: the inputs that are used, None where the
    wiring is not known.
    """

    rounds: int
    settled: bool
    gap: float | None
    shrunk: ShrunkRecord | None = None
    features: Sequence[int] | None
    refit: EvaluatedRecord | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True, kw_only=True)
class FailedPointRecord(PointRecord):
    """A fit that failed, or its refit, and why: its chain ends there."""

    failed: str


@dataclass(frozen=True, kw_only=True)
class PrunedRecord(ScaleRecord):
    """How many weights a network was pruned to, and for how long it was trained."""

    kind: ClassVar[str] = "magnitude"
    nonzeros: int
    epochs: float
    shrunk: ShrunkRecord | None = None


@dataclass(frozen=True, kw_only=True)
class MagnitudeRecord(EvaluatedRecord, PrunedRecord):
    """Magnitude pruning to as many weights as the fit of this scale has."""


@dataclass(frozen=True, kw_only=True)
class FailedMagnitudeRecord(ScaleRecord):
    """Pruning that failed, and why."""

    kind: ClassVar[str] = "magnitude"
    failed: str


@dataclass(frozen=True, kw_only=True)
class StableRecord(NetworkRecord, ScaleRecord):
    """The network of the stable features."""

    kind: ClassVar[str] = "stable"
    features: Sequence[int] | None


@dataclass(frozen=True, kw_only=True)
class FailedStableRecord(ScaleRecord):
    """A network of the stable features that failed, and why."""

    kind: ClassVar[str] = "stable"
    failed: str


@dataclass(frozen=True, kw_only=True)
class HalfSampleRecord(LineRecord):
    """The chain of a half sample: the inputs that are used at each scale."""

    kind: ClassVar[str] = "subsample"
    scales: Sequence[float]
    inputs: Sequence[Sequence[int]]

    def check(self, name: str) -> None:
        """An entry per scale."""
        check_same_length(name, scales=self.scales, inputs=self.inputs)


@dataclass(frozen=True, kw_only=True)
class FailedHalfSampleRecord(LineRecord):
    """A half sample whose chain failed, and why."""

    kind: ClassVar[str] = "subsample"
    scales: Sequence[float]
    failed: str
