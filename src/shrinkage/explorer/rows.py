"""The training rows in use: nested subsets and label noise, the same for every network."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shrinkage.data import Examples


@dataclass(frozen=True, eq=False)
class Pool:
    """All training rows of a seed, in an order whose every beginning holds the classes evenly.

    A smaller training set is the beginning of a larger one, and stronger noise keeps the wrong
    labels of weaker noise: turning either changes as little as it can.
    """

    rows: Examples
    others: Tensor  # a wrong label for every row; for regression noise of the targets' own spread
    luck: Tensor  # rows whose luck lies below the noise get their wrong label

    @classmethod
    def of(cls, train: Examples, n_classes: int, seed: int) -> "Pool":
        """The pool of a seed; ``n_classes`` 0 for a regression."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(train), generator=generator)
        if n_classes:
            order = order[_by_turns(train.y[order])]
        rows = Examples(train.x[order], train.y[order])
        luck = torch.rand(len(rows), generator=generator)
        if n_classes:
            shift = torch.randint(1, max(2, n_classes), (len(rows),), generator=generator)
            return cls(rows, (rows.y + shift) % n_classes, luck)
        noise = torch.randn(rows.y.shape, generator=generator) * rows.y.std(correction=0)
        return cls(rows, noise, luck)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, size: int, noise: float) -> Examples:
        """The first ``size`` rows, their labels with noise."""
        size = min(size, len(self))
        x, y = self.rows.x[:size], self.rows.y[:size]
        if not noise:
            return Examples(x, y)
        others = self.others[:size]
        if y.is_floating_point():
            return Examples(x, y + noise * others)
        return Examples(x, torch.where(self.luck[:size] < noise, others, y))


class Batches:
    """Endless shuffled batches; size and rows may change between any two of them."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.long)
        self._n = 0
        self.epoch = 0
        """Complete passes so far."""

    def next(self, rows: Examples, size: int) -> tuple[Tensor, Tensor]:
        """The next batch; a single last row joins the batch before it (batch norms need two)."""
        if self._n != len(rows) or not len(self._order):
            self._order = torch.randperm(len(rows), generator=self._generator)
            self._n = len(rows)
        left = len(self._order) - size
        end = len(self._order) if left <= 1 < size else size
        batch, self._order = self._order[:end], self._order[end:]
        self.epoch += not len(self._order)
        return rows.x[batch], rows.y[batch]

    @property
    def begins(self) -> bool:
        """Whether the next batch is the first of an epoch."""
        return not len(self._order)


def _by_turns(labels: Tensor) -> Tensor:
    """Positions so that every class comes once before any comes a second time."""
    turn = torch.empty(len(labels), dtype=torch.long)
    for label in set(labels.tolist()):
        at = (labels == label).nonzero().flatten()
        turn[at] = torch.arange(len(at))
    return turn.argsort(stable=True)
