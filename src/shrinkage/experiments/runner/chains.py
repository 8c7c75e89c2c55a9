"""Chains of jobs: each job begins where the one before it has ended, or needs nothing of it."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from shrinkage.runs import RunView
from shrinkage.runs.schema import LineRecord

J = TypeVar("J")
J_co = TypeVar("J_co", covariant=True)
R_co = TypeVar("R_co", bound=LineRecord, covariant=True)

Weights = Mapping[str, Tensor]
Outcome = tuple[R_co, Mapping[str, Weights]]
"""What a job gives: a record, and the weights to store, by name."""


class Chain(Protocol[J_co]):
    """Jobs whose records go into a run folder, one after the other."""

    @property
    def names(self) -> Sequence[str]:
        """The keys of its records."""

    def known(self, view: RunView) -> Container[str]:
        """The keys of such records that are in the folder."""

    def first(self, view: RunView, at_hand: Mapping[str, Weights]) -> J_co | None:
        """The first job that is not in the folder; None where all are, or the chain has ended.

        ``at_hand``: weights that need not be read, by name.
        """


@dataclass(frozen=True, eq=False)
class JobRow(Generic[J]):
    """Jobs in a row, of which none needs another: what they share is at hand.

    ``names`` of the records, which are of one of the ``kinds``; ``job`` makes one of a name.
    """

    names: Sequence[str]
    kinds: tuple[type[LineRecord], ...]
    job: Callable[[RunView, str], J]

    def known(self, view: RunView) -> Container[str]:
        """The keys of such records that are in the folder."""
        return {name for kind in self.kinds for name in view.records(kind)}

    def first(self, view: RunView, at_hand: Mapping[str, Weights]) -> J | None:  # noqa: ARG002
        """The first job that is not in the folder."""
        known = self.known(view)
        left = (name for name in self.names if name not in known)
        return next((self.job(view, name) for name in left), None)
