"""What all fits of a contrast have in common, and what one fit is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from shrinkage.arguments import as_flag, as_int, settle
from shrinkage.experiments.columns import Column
from shrinkage.experiments.fit import Treatment
from shrinkage.experiments.studies import Study, quiet_plan
from shrinkage.plans import Plan, Rules


@dataclass(frozen=True, eq=False, kw_only=True)
class ContrastSetting(Study):
    """A study with columns, each with its tries.

    ``point_epochs``: how long a try trains that goes on from the one before it; None: every try
    begins anew.
    """

    columns: tuple[Column, ...]
    strengths: tuple[float, ...]
    biases: bool = False
    norms: bool = False
    rescale: bool = False
    polish: int = 0
    point_epochs: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        n, remedy = self.point_epochs, "Leave it out, and every try is trained from the beginning."
        settle(
            self,
            biases=as_flag("biases", self.biases),
            norms=as_flag("norms", self.norms),
            rescale=as_flag("rescale", self.rescale),
            polish=as_int(
                "polish",
                self.polish,
                expected="a number of rounds, 0 for none",
                remedy="100 rounds go far; each costs about as much as an epoch or two.",
            ),
            point_epochs=None if n is None else as_int("point_epochs", n, least=1, remedy=remedy),
        )

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    def network(self, column: Column, knob: float, seed: int) -> tuple[nn.Module, Plan]:
        """A new network of this seed with the plan of this try.

        Raises :class:`NotApplicableError` where the column needs what the network has not.
        """
        model = self.build(seed, dropout=column.dropout(knob))
        column.prepare(model, self.factory, knob)
        acting = {"biases": self.biases, "norms": self.norms, "rescale": self.rescale}
        rules = Rules(column.penalty_at(knob), **acting)
        rules = rules.for_targets(lambda: self.split(seed).train.y)
        return model, quiet_plan(model, rules, self.example)

    def trained(self, job: "TrialJob") -> tuple[nn.Module, Plan]:
        """The network of a job with the weights that it comes with, and its plan."""
        model, plan = self.network(self.by_name[job.column], job.knob, job.seed)
        if job.start is not None:
            model.load_state_dict(dict(job.start))
        return model, plan


@dataclass(frozen=True, eq=False)
class TrialJob:
    """One fit: a column, a try, a seed; ``keep``: weights left by pruning.

    ``after``: the try it goes on from, whose weights are ``start`` and which had ``begun`` epochs;
    None: it is trained from the beginning.
    """

    column: str
    index: int
    knob: float
    seed: int
    keep: int | None = None
    after: int | None = None
    begun: int = 0
    start: Mapping[str, Tensor] | None = None

    @property
    def key(self) -> str:
        """The name of the fit in the run folder."""
        return key(self.column, self.index, self.seed)

    @property
    def about(self) -> dict[str, Any]:
        """What a record of the fit says of it."""
        names = ("key", "column", "index", "knob", "seed", "keep", "after", "begun")
        return {name: getattr(self, name) for name in names}

    def treatment(self, column: Column) -> Treatment:
        """What this job does besides training under its plan."""
        factor = column.lr_factor(self.knob)
        return Treatment(column.form, factor, self.keep, warm=self.start is not None)


def key(column: str, index: int, seed: int) -> str:
    """The name of a fit in the run folder."""
    return f"{column}/{index}/{seed}"
