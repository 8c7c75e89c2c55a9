"""The options of a path."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from shrinkage.arguments import Options, Typed
from shrinkage.experiments.options.shared import (
    ReachOptions,
    RunOptions,
    SubjectOptions,
    TrainingOptions,
    WorkerOptions,
)

if TYPE_CHECKING:
    from shrinkage.analysis.features import Stability
    from shrinkage.penalties import Penalty
    from shrinkage.plans import Rules
    from shrinkage.plans.rules import Key


@dataclass(frozen=True)
class PathOptions(SubjectOptions, TrainingOptions, ReachOptions, WorkerOptions, RunOptions):
    """What :func:`shrinkage.path` takes."""

    panel: ClassVar[str] = "The path"

    penalty: Annotated[
        "str | Penalty | Mapping[Key, Penalty | None] | Rules",
        Typed(
            "l1, features (whole inputs), group, coupled_group, sparse_group, elastic_net, "
            "log_sum, mcp or l2.",
            python="Or an instance such as L1(1.0), whose strength the scale multiplies, or rules.",
            kind=str,
            default="l1",
        ),
    ]
    _: KW_ONLY
    points: Annotated[int, Typed("Points of the path.")] = 25
    weakest: Annotated[
        float | None, Typed("The weakest λ.", absent="found on the data", flag="--from")
    ] = None
    strongest: Annotated[
        float | None, Typed("The strongest λ.", absent="found on the data", flag="--to")
    ] = None
    refine: Annotated[
        int,
        Typed(
            "Points added where the validation score falls most steeply between two "
            "neighbours, so that the choice is not between leaps. 0 for the even grid."
        ),
    ] = 4
    choose: Annotated[
        str | None,
        Typed(
            "1se: strongest λ whose validation loss is at most the lowest plus its standard "
            "error; best: the lowest; paired: within one standard error of the paired difference "
            "to the best; or the stable features.",
            absent="1se, with half samples stable",
            metavar="1se|best|paired|stable",
        ),
    ] = None
    within: Annotated[
        float | None,
        Typed("Instead: fewest weights whose score is within this of the best."),
    ] = None
    stability: Annotated[
        "int | Stability | None",
        Typed(
            "Half samples, an even number such as 50, that tell which features are stable.",
            python="They are of the first seed's training rows and walk the same scales. A network "
            "of the stable features alone is fit and chosen, unless choose says otherwise, or none "
            "is stable: then one standard error chooses.",
            kind=int | None,
        ),
    ] = None
    refit: Annotated[
        float | None,
        Typed(
            "Fit each support once more without the penalty.",
            python="Under this factor of the penalty (0: none, the relaxed lasso); None: not at "
            "all.",
            kind=bool,
            default=True,
            read=lambda asked: 0.0 if asked else None,
        ),
    ] = 0.0
    magnitude: Annotated[
        bool,
        Typed(
            "Magnitude pruning to the same numbers of weights beside it.",
            python="Gradual, in the same epochs; beside a path that is trained.",
        ),
    ] = True
    shrink: Annotated[
        bool,
        Typed(
            "Train only what is still read; the same results, sooner.",
            python="Units and inputs that nobody reads any more are cut out meanwhile; results are "
            "those of the whole network whose lost weights are held at zero, and are stored in its "
            "coordinates.",
        ),
    ] = True
    seeds: Annotated[int | None, Typed("Chains, each with a seed of its own.", absent="3")] = None
    folds: Annotated[int | None, Typed("Folds of a cross-validation instead.")] = None
    epochs: Annotated[
        int | None, Typed("Epochs of the dense network.", absent="by the size of the data")
    ] = None
    point_epochs: Annotated[
        float | None,
        Typed(
            "Epochs of each point; may be a part of one.", absent="a 25th of the dense network's"
        ),
    ] = None
    rounds: Annotated[
        int,
        Typed("Trainings of a point, at most, until objective and support have settled."),
    ] = 2


@dataclass(frozen=True, kw_only=True)
class StabilityOptions(Options):
    """When a feature is called stable, as :class:`shrinkage.Stability` takes it."""

    panel: ClassVar[str] = PathOptions.panel

    threshold: Annotated[
        float | None,
        Typed(
            "With --stability: the share of half samples, above 0.5, that must use a feature "
            "to call it stable. Higher: fewer features, surer ones; the bound on false ones that "
            "is printed falls with it.",
            absent="0.9",
        ),
    ] = None
    errors: Annotated[
        float | None,
        Typed(
            "With --stability: how many false features may be expected, at most, where the "
            "stable ones are looked for.",
            absent="1",
        ),
    ] = None
