"""What all fits of a contrast have in common, and what one fit is."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from shrinkage.contrasts.columns import Column
from shrinkage.data import Data, Split, split
from shrinkage.errors import FitError, ShrinkageWarning
from shrinkage.fitting import Loss, NotApplicableError, Train, Treatment
from shrinkage.models import Factory, build, check_output, set_dropout, takes_dropout
from shrinkage.plans import Plan, Rules


@dataclass(frozen=True)
class Cut:
    """How the data are cut: see :func:`shrinkage.data.split`."""

    train_size: int | None = None
    validation: float = 0.2
    test: float | None = None


@dataclass(frozen=True, eq=False)
class Setting:
    """Data, factory, training and selection: the same for every fit."""

    data: Data
    factory: Factory
    train: Train
    columns: tuple[Column, ...]
    strengths: tuple[float, ...]
    seeds: int
    epochs: int
    cut: Cut = Cut()
    loss: Loss | None = None
    biases: bool = False
    norms: bool = False
    polish: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.polish, int) or self.polish < 0:
            raise FitError(
                "polish is out of range",
                got=self.polish,
                expected="a number of rounds, 0 for none",
                remedy="100 rounds go far; each costs about as much as an epoch or two.",
            )
        for name, value in (("seeds", self.seeds), ("epochs", self.epochs)):
            if not isinstance(value, int) or value < 1:
                raise FitError(
                    f"{name} is out of range",
                    got=value,
                    expected="a whole number ≥ 1",
                    remedy="Leave it out for the default.",
                )

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    def split(self, seed: int) -> Split:
        """Training and validation parts of a seed; the test part is the same for all."""
        return split(
            self.data,
            seed,
            train_size=self.cut.train_size,
            validation=self.cut.validation,
            test=self.cut.test,
        )

    def network(self, column: Column, knob: float, seed: int) -> tuple[nn.Module, Plan]:
        """A new network of this seed with the plan of this try.

        Raises :class:`NotApplicableError` where the column needs dropout and the network has none.
        """
        torch.manual_seed(seed)
        if column.knob == "dropout":
            model = build(self.factory, self.data.spec, dropout=knob)
            if not set_dropout(model, knob) and not takes_dropout(self.factory):
                raise NotApplicableError(
                    "dropout is not applicable",
                    got="a network without dropout layers",
                    expected="nn.Dropout layers, or a factory that takes dropout=",
                    remedy="Add dropout layers with p=0 to see this column.",
                )
        else:
            model = build(self.factory, self.data.spec)
        check_output(model, self.data.spec, self.data.task)
        rules = Rules(column.penalty_at(knob), biases=self.biases, norms=self.norms)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ShrinkageWarning)  # the rehearsal has shown them once
            return model, Plan(model, rules)


@dataclass(frozen=True)
class Job:
    """One fit: a column, a try, a seed; ``keep``: weights left by pruning."""

    column: str
    index: int
    knob: float
    seed: int
    keep: int | None = None

    @property
    def key(self) -> str:
        """The name of the fit in the run folder."""
        return f"{self.column}/{self.index}/{self.seed}"

    def treatment(self, column: Column) -> Treatment:
        """What this job does besides training under its plan."""
        factor = self.knob if column.knob == "learning rate" else 1.0
        return Treatment(form=column.form, lr_factor=factor, keep=self.keep)
