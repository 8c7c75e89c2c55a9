"""The options of the live page."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from shrinkage.arguments import Option, Typed, texts
from shrinkage.experiments.options import StepOptions
from shrinkage.experiments.options.shared import DATA, MODEL, VALIDATION, WEIGHTS

if TYPE_CHECKING:
    from shrinkage.data.models import Factory

FIRST = ("none", "l1_term", "l1", "l2")
"""The columns that the page begins with."""


@dataclass(frozen=True)
class ExploreOptions(StepOptions):
    """What :func:`shrinkage.explore` takes."""

    panel: ClassVar[str] = "The page"

    make_model: Annotated["str | Factory | None", MODEL] = None
    data: Annotated[Any, DATA] = "digits"
    _: KW_ONLY
    weights: Annotated[object, WEIGHTS] = None
    columns: Annotated[
        Sequence[str],
        Typed(
            "One to four of none, l1_term, l1, l2, elastic_net, group_l1, dropout, weight_decay, "
            "early_stopping, label_smoothing; "
            "the page can change them.",
            kind=str,
            read=texts.parts,
            default=",".join(FIRST),
        ),
    ] = FIRST
    optimizer: Annotated[str | None, Typed("sgd or adam.", absent="sgd")] = None
    train_size: Annotated[int | None, Typed("Train on this many examples only.")] = None
    seed: Annotated[int | None, Typed("Of weights, batches and label noise.")] = None
    biases: Annotated[
        bool | None,
        Typed(
            "Penalise biases too.",
            flag="--biases",
            kind=bool,
            default=False,
            read=lambda asked: asked or None,
        ),
    ] = None
    validation: Annotated[float, VALIDATION] = 0.2
    settings: Annotated[
        str | None, Typed("A link copied from the page: its settings come back.")
    ] = None
    port: Annotated[int, Typed("0 takes any that is free.")] = 0
    browser: Annotated[bool, Typed("Open the page; else only its address is printed.")] = True
    runs: Annotated[str | Path, Option("The folder below which saved contrasts go.")] = "runs"
    source: Annotated[
        str | None, Option("The data as they are typed in a command that the page shows.")
    ] = None
    say: Annotated[Callable[[str], None], Option("Takes lines for the terminal.")] = print
