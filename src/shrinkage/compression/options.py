"""The options of compacting a run."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from shrinkage.arguments import Option, Options, Typed

if TYPE_CHECKING:
    from shrinkage.compression.chosen import Point


@dataclass(frozen=True)
class CompactOptions(Options):
    """What :func:`shrinkage.compression.compact_run` takes."""

    folder: Annotated[
        str | Path, Typed("The run folder of a path or a contrast.", kind=Path, argument=True)
    ]
    _: KW_ONLY
    column: Annotated[str | None, Typed("Column of a contrast.", absent="group_l1, else l1")] = None
    seed: Annotated[int, Typed("Which of the run's seeds.")] = 0
    model: Annotated[str | None, Typed("Name or FILE.py:FACTORY.", absent="the run's own")] = None
    data: Annotated[str | None, Typed("Data.", absent="the run's own")] = None
    target: Annotated[str | None, Typed("Target column.", absent="the run's")] = None
    drop_inputs: Annotated[
        bool,
        Typed(
            "Leave out inputs that nobody reads; lists the others.",
            python="compact.json has the places of those that are left, and their columns where "
            "they have names.",
            flag="--drop-inputs",
        ),
    ] = False
    batch: Annotated[int, Typed("Batch size that latency is measured for, beside 1.")] = 128
    point: Annotated["Point | None", Option("Of a path: this point instead of its choice.")] = None
    out: Annotated[
        str | Path | None,
        Typed("Folder for the files.", absent="RUN/compact-COLUMN-SEED", kind=Path | None),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PointOptions(Options):
    """Which point of a path is meant, as :meth:`RegularizationPath.choose` takes it."""

    panel: ClassVar[str] = "Another point of a path"

    scale: Annotated[float | None, Typed("The point at this λ × instead of the path's choice.")] = (
        None
    )
    nonzeros: Annotated[
        int | None,
        Typed("The best point with at most so many weights, mean over seeds."),
    ] = None
    features: Annotated[
        int | None,
        Typed("The best with at most so many features, mean over seeds."),
    ] = None
    within: Annotated[
        float | None,
        Typed("The fewest weights whose score is within this of the best."),
    ] = None
