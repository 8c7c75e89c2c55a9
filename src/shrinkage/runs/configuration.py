"""What a run was asked to do, as ``run.json`` holds it. What earlier runs did not tell is None."""

from collections.abc import Sequence
from dataclasses import dataclass

from shrinkage.runs.schema import Record


@dataclass(frozen=True, kw_only=True)
class DataConfig(Record):
    """The data, by name and by a checksum of their content."""

    name: str
    fingerprint: str | None = None
    task: str
    examples: int
    classes: Sequence[str]
    columns: Sequence[str]
    features: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class SpecConfig(Record):
    """The shapes of inputs and outputs: see ``data.Spec``."""

    n_inputs: int
    input_shape: tuple[int, ...]
    n_outputs: int


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Record):
    """The network's factory."""

    name: str
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Record):
    """How networks are trained; a function of the user's own has a ``name`` and no optimizer."""

    name: str | None = None
    optimizer: str | None = None
    batch_size: int | None = None
    lr: float | None = None


@dataclass(frozen=True, kw_only=True)
class CutConfig(Record):
    """How the data are cut: see ``data.split``."""

    train_size: int | None = None
    validation: float
    test: float | None = None
    folds: int | None = None


@dataclass(frozen=True, kw_only=True)
class ParameterConfig(Record):
    """A parameter in the plan's table."""

    name: str
    path: str
    shape: tuple[int, ...]
    role: str
    penalised: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class StudyConfig(Record):
    """What all runs are asked; ``loss``: a checksum of the user's own; ``middle``: see ``Study``.

    ``targets``: ``"as given"`` where a regression's are not standardised.
    """

    command: str
    data: DataConfig
    spec: SpecConfig
    targets: str | None = None
    middle: float = 0.0
    model: ModelConfig
    weights: str | None = None
    training: TrainingConfig
    loss: str | None = None
    seeds: int
    epochs: int
    cut: CutConfig
    plan: Sequence[ParameterConfig] = ()


@dataclass(frozen=True, kw_only=True)
class ColumnConfig(Record):
    """A column of a contrast: see ``contrasts.Column``; ``penalty``: the name of its class."""

    name: str
    label: str
    knob: str
    knobs: Sequence[float]
    penalty: str | None
    form: str

    def check(self, name: str) -> None:
        """A value of the knob per try."""
        if not self.knobs:
            raise ValueError(f"{name} has no knobs")


@dataclass(frozen=True, kw_only=True)
class ContrastConfig(StudyConfig):
    """What a contrast is asked."""

    columns: Sequence[ColumnConfig]
    choose: str
    polish: int = 0
    point_epochs: int = 0


@dataclass(frozen=True, kw_only=True)
class RuleConfig(Record):
    """A rule of a path: which parameters, and their penalty."""

    key: str
    penalty: str | None


@dataclass(frozen=True, kw_only=True)
class GridConfig(Record):
    """The grid of a path: see ``paths.strengths.Grid``."""

    points: int
    weakest: float | None = None
    strongest: float | None = None


@dataclass(frozen=True, kw_only=True)
class StabilityConfig(Record):
    """Stability selection: see ``features.Stability``."""

    subsamples: int
    threshold: float


@dataclass(frozen=True, kw_only=True)
class WantedConfig(Record):
    """How a point of a path was to be chosen: see ``paths.selection.Wanted``."""

    rule: str | None = None
    within: float | None = None


@dataclass(frozen=True, kw_only=True)
class PathConfig(StudyConfig):
    """What a path is asked."""

    rules: Sequence[RuleConfig]
    grid: GridConfig
    point_epochs: float
    most_rounds: int
    refit: float | None
    solver: str
    stability: StabilityConfig | None = None
    choose: WantedConfig
