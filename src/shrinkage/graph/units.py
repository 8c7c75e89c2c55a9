"""Units (filters, neurons) as numbers, and what ties them: joins, keeping, equal blocks."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

NONE = 0
"""The label of an element that is no unit's: it always stays."""
_BASE = 2**26


@dataclass(frozen=True, eq=False)
class Balance:
    """Blocks of units of which equally many must stay: ``blocks`` (n_blocks, size) of labels.

    ``whole``: a block may also vanish as a whole, with its partners at the same place in other
    balances of the same ``key`` (the groups of a convolution: inputs and outputs).
    """

    blocks: Tensor
    key: str
    whole: bool = False


@dataclass
class Units:
    """Labels 1, 2, 3 … in float64 tensors, so that every torch function can move them.

    ``kept`` has, for labels that must stay, the reason.
    """

    count: int = 0
    kept: dict[int, str] = field(default_factory=dict)
    balances: list[Balance] = field(default_factory=list)
    _parents: dict[int, int] = field(default_factory=dict)

    def fresh(self, n: int) -> Tensor:
        """``n`` new labels."""
        self.count += n
        return torch.arange(self.count - n + 1, self.count + 1, dtype=torch.float64)

    def keep(self, labels: Tensor, reason: str) -> None:
        """These units stay; the first reason is kept."""
        for label in distinct(labels):
            self.kept.setdefault(label, reason)

    def join(self, a: Tensor, b: Tensor) -> None:
        """Units at the same places of ``a`` and ``b`` stay or vanish together."""
        shape = torch.broadcast_shapes(a.shape, b.shape)  # type: ignore[no-untyped-call]
        a, b = core(a.expand(shape), b.expand(shape))
        both = (a != NONE) & (b != NONE) & (a != b)
        if bool(both.any()):
            for pair in distinct(a[both] * _BASE + b[both]):
                self._union(pair // _BASE, pair % _BASE)

    def classes(self) -> Tensor:
        """For every label the smallest label it is joined with; index 0 is 0."""
        return torch.tensor([self._find(k) for k in range(self.count + 1)])

    def reasons(self) -> dict[int, str]:
        """Why a class stays, by its smallest label."""
        found: dict[int, str] = {}
        for label, reason in self.kept.items():
            found.setdefault(self._find(label), reason)
        return found

    def _find(self, label: int) -> int:
        root = label
        while self._parents.get(root, root) != root:
            root = self._parents[root]
        while self._parents.get(label, label) != root:
            self._parents[label], label = root, self._parents[label]
        return root

    def _union(self, a: int, b: int) -> None:
        a, b = self._find(a), self._find(b)
        self._parents[max(a, b)] = min(a, b)


def distinct(labels: Tensor) -> list[int]:
    """The labels that occur, without NONE."""
    (labels,) = core(labels)
    found = torch.unique(labels)
    return [int(label) for label in found.tolist() if label != NONE]


def core(*tensors: Tensor, but: int | None = None) -> list[Tensor]:
    """Tensors of one shape without the copies that ``expand`` pretends there are."""
    found = list(tensors)
    for dim in range(found[0].ndim):
        if dim != but and all(t.stride(dim) == 0 for t in found):
            found = [t.narrow(dim, 0, min(1, t.shape[dim])) for t in found]
    return found


def along(labels: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """One label per index of ``axis``, and where an index has several (its label is then NONE)."""
    axis %= labels.ndim
    (labels,) = core(labels, but=axis)
    rest = [dim for dim in range(labels.ndim) if dim != axis]
    low, high = (labels.amin(rest), labels.amax(rest)) if rest else (labels, labels)
    mixed = low != high
    return torch.where(mixed, NONE, low), mixed
