"""The lines of a contrast's run folder, and of what the live page has saved."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from shrinkage.runs.measured import HistoryRecord, NetworkRecord
from shrinkage.runs.schema import ABSENT, LineRecord, Record, check_same_length


@dataclass(frozen=True, kw_only=True)
class TrialRecord(LineRecord):
    """A fit, whatever became of it: a column, a try, a seed.

    ``keep``: weights left by pruning. ``after``: the try it went on from, which had ``begun``
    epochs; runs of before there were chains have none.
    """

    kind: ClassVar[str] = "fit"
    column: str
    index: int
    knob: float
    seed: int
    keep: int | None
    after: int | None = None
    begun: int = 0


@dataclass(frozen=True, kw_only=True)
class FitRecord(NetworkRecord, TrialRecord):
    """A fit that succeeded. ``steps``: of the optimizer, on the live page."""

    history: HistoryRecord
    steps: int | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True, kw_only=True)
class FailedFitRecord(TrialRecord):
    """A fit that failed, and why; ``applies``: whether its column means anything here."""

    failed: str
    applies: bool = True


@dataclass(frozen=True, kw_only=True)
class TestRecord(LineRecord):
    """Loss and score of the network ``key`` on the ``n`` examples of the test part."""

    __test__: ClassVar[bool] = False
    kind: ClassVar[str] = "test"
    loss: float | None
    score: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class GapRecord(Record):
    """One parameter's share of a certificate: see ``certificates.ParameterGap``."""

    gap: float | None
    residual: float | None
    nonzeros: int
    size: int


@dataclass(frozen=True, kw_only=True)
class CertificateRecord(LineRecord):
    """How far the fit ``key`` is from stationary: see ``certificates.Certificate``."""

    kind: ClassVar[str] = "certificate"
    objective: float | None
    null_objective: float | None
    gap: float | None
    kink_gap: float | None
    samples: int
    radius: float | None
    residual: float | None
    per_parameter: dict[str, GapRecord]
    examples: int
    kinks_up_to: int
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class FailedCertificateRecord(LineRecord):
    """Why the fit ``key`` has no certificate."""

    kind: ClassVar[str] = "certificate"
    failed: str


@dataclass(frozen=True, kw_only=True)
class ActivityRecord(Record):
    """How strongly a layer answers: see ``measures.LayerActivity``."""

    name: str
    mean_abs: float | None
    strongest_share: float | None


@dataclass(frozen=True, kw_only=True)
class RemovalRecord(Record):
    """A weight set to zero: the rise in loss, and the penalty saved."""

    w: float | None
    rise: float | None
    saved: float | None


@dataclass(frozen=True, kw_only=True)
class CountsRecord(Record):
    """How many weights are zero, and how many are not."""

    zeros: int
    survivors: int


@dataclass(frozen=True, kw_only=True)
class WorthRecord(Record):
    """Some weights: their size, the gradient of the loss, the slope of the penalty (None: groups).

    ``of``: how many there are in all; ``survivors``: some that were set to zero, on
    ``removed_on`` examples. Earlier runs have neither slopes nor counts.
    """

    w: Sequence[float | None]
    grad: Sequence[float | None]
    slope: Sequence[float | None] | None = None
    of: CountsRecord | None = None
    survivors: Sequence[RemovalRecord]
    removed_on: int | None = None

    def check(self, name: str) -> None:
        """An entry per weight."""
        check_same_length(name, w=self.w, grad=self.grad, slope=self.slope)


@dataclass(frozen=True, kw_only=True)
class TraceRecord(LineRecord):
    """A closer look at a chosen network; ``without_top``: scores by the share of weights cut."""

    kind: ClassVar[str] = "trace"
    history: HistoryRecord
    activity: Sequence[ActivityRecord]
    without_top: dict[str, float | None]
    worth: WorthRecord | None
    inputs_used: Sequence[bool] | None


@dataclass(frozen=True, kw_only=True)
class StepsRecord(LineRecord):
    """A measured step: weights before and after it, and what the penalty added per unit of lr."""

    kind: ClassVar[str] = "steps"
    lr: float
    w: Sequence[float | None]
    after: Sequence[float | None]
    delta: Sequence[float | None]

    def check(self, name: str) -> None:
        """An entry per weight."""
        check_same_length(name, w=self.w, after=self.after, delta=self.delta)
