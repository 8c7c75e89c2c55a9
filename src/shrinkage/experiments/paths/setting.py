"""What all fits of a path have in common, and what one fit is."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from shrinkage.analysis.features import Stability
from shrinkage.arguments import BELOW_ONE, as_flag, as_int, as_number, settle
from shrinkage.experiments.paths.strengths import Grid
from shrinkage.experiments.runner import Weights
from shrinkage.experiments.studies import Study, quiet_plan
from shrinkage.plans import Plan, Rules
from shrinkage.runs.chains import key, refit_key

__all__ = ["PathSetting", "PointJob", "Solver", "key", "refit_key"]

Solver = Literal["train", "polish"]


@dataclass(frozen=True, eq=False, kw_only=True)
class PathSetting(Study):
    """A study whose rules are scaled along a path.

    ``grid``: the scales; at most ``refine`` more are put where the score falls most steeply.
    ``point_epochs`` of training bring a warm network to the next scale, and are repeated up to
    ``most_rounds`` times until it has settled. ``refit``: the factor of the penalty under which
    the found support is fit once more; None: not at all. ``magnitude``: magnitude pruning to the
    same numbers of weights beside it. ``solver``: ``"polish"`` solves every
    point by proximal Newton, from the sparse end on; ``"train"`` trains from the dense end on.
    ``shrink``: points train only what others still read (:mod:`~.shrunk`).
    ``stability``: half samples with chains of their own, whose features are counted.
    """

    rules: Rules
    grid: Grid
    refine: int
    point_epochs: float
    most_rounds: int
    refit: float | None
    solver: Solver
    magnitude: bool
    shrink: bool = True
    stability: Stability | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        part = "a number of epochs > 0, or a part of one"
        factor, off = "a factor of the penalty, 0 ≤ r < 1", "refit=None leaves the refits out."
        settle(
            self,
            refine=as_int("refine", self.refine),
            point_epochs=as_number("point_epochs", self.point_epochs, above=0, expected=part),
            most_rounds=as_int("rounds", self.most_rounds, least=1),
            refit=None
            if self.refit is None
            else as_number(
                "refit", self.refit, least=0, most=BELOW_ONE, expected=factor, remedy=off
            ),
            magnitude=as_flag("magnitude", self.magnitude),
            shrink=as_flag("shrink", self.shrink),
        )

    @property
    def ascending(self) -> bool:
        """Whether a chain goes from small scales to large ones."""
        return self.solver == "train"

    @property
    def chains(self) -> int:
        """The most chains that can be worked on at once."""
        return max(self.seeds, 0 if self.stability is None else self.stability.subsamples)

    def network(self, seed: int, scale: float) -> tuple[nn.Module, Plan]:
        """A new network of this seed with the rules at ``scale``."""
        model = self.build(seed)
        return model, self.plan(model, seed, scale)

    def plan(self, model: nn.Module, seed: int, scale: float) -> Plan:
        """The rules at ``scale`` for a network of this seed, which learns from its targets."""
        rules = self.rules.for_targets(lambda: self.split(seed).train.y)
        return quiet_plan(model, rules.scaled(scale), self.example)


@dataclass(frozen=True, eq=False)
class PointJob:
    """One fit of a chain: a seed, a scale, the weights to start from (None: random ones).

    ``loss``: their loss on the training part, where it has been measured already.
    """

    seed: int
    scale: float
    start: Weights | None = None
    loss: float | None = None

    @property
    def key(self) -> str:
        """The name of the fit in the run folder."""
        return key(self.seed, self.scale)
