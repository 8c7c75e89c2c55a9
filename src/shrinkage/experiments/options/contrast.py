"""The options of a contrast, and those of the demo, which is one."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from shrinkage.arguments import Options, Typed, texts
from shrinkage.experiments.options.shared import (
    ReachOptions,
    RunOptions,
    SubjectOptions,
    TrainingOptions,
    WorkerOptions,
)

if TYPE_CHECKING:
    from shrinkage.experiments.columns import Column
    from shrinkage.experiments.paths.choice import ChoiceRule

BudgetName = Literal["quick", "normal", "thorough"]


@dataclass(frozen=True, kw_only=True)
class SizeOptions(Options):
    """How much a contrast tries."""

    panel: ClassVar[str] = "What is compared"

    tries: Annotated[
        int | None,
        Typed(
            "Strengths (or learning rates, or dropout p) tried per column.", absent="by the budget"
        ),
    ] = None
    seeds: Annotated[
        int | None, Typed("Seeds; every column gets the same.", absent="by the budget")
    ] = None


@dataclass(frozen=True)
class ContrastOptions(
    SubjectOptions, SizeOptions, TrainingOptions, ReachOptions, WorkerOptions, RunOptions
):
    """What :func:`shrinkage.contrast` takes."""

    panel: ClassVar[str] = SizeOptions.panel

    _: KW_ONLY
    columns: Annotated[
        "Sequence[str | Column] | None",
        Typed(
            "Some of none, l1_term, l1, l2, elastic_net, group_l1, dropout, magnitude, "
            "weight_decay (decoupled), early_stopping, label_smoothing.",
            absent="the first eight",
            python="Or columns of your own.",
            kind=str | None,
            read=texts.parts,
        ),
    ] = None
    grid: Annotated[
        Sequence[float] | None,
        Typed(
            "The λ to try, e.g. 1e-4,1e-3,1e-2.",
            absent="by the number of tries",
            flag="--strengths",
            kind=str | None,
            read=texts.strengths,
        ),
    ] = None
    budget: Annotated[
        BudgetName,
        Typed("quick (3 tries, 1 seed), normal (5, 3) or thorough (9, 5).", kind=str),
    ] = "normal"
    choose: Annotated[
        "ChoiceRule",
        Typed(
            "1se: most regularized whose validation loss is at most the lowest plus its "
            "standard error; best: the lowest; paired: within one standard error of the paired "
            "difference to the best.",
            kind=str,
            metavar="1se|best|paired",
        ),
    ] = "1se"
    point_epochs: Annotated[
        int | None,
        Typed(
            "A column's tries go on from one another, weak to strong: the first has all "
            "epochs, each later one so many. Sooner.",
            absent="every try from the beginning",
            python="Learning rates have no such order: each of their tries has as many epochs as "
            "such a row in all.",
        ),
    ] = None
    polish: Annotated[
        int,
        Typed(
            "Rounds of polish, at most, after training under an exact penalty: nearer to "
            "stationary, and several times the time. 100 go far."
        ),
    ] = 0
