"""One row per penalty: how to draw it, what it promises, and a readable twin to compare with.

A twin is the formula once more, on one block of mpmath numbers, 50 digits, no tensors, no tricks.
A new penalty needs one more row in ``CATALOGUE``; the laws, at both precisions and with both kinds
of step, then apply to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from mpmath import mp, mpf, sign, sqrt, workdps
from torch import Tensor

from shrinkage import penalties as sh
from shrinkage.penalties import L1, L2, ElasticNet, GroupL1, Penalty

DIGITS = 50
Block = list[mpf]


@dataclass(frozen=True)
class Twin:
    """A penalty written from its formula, on one block; steps may be 0."""

    value: Callable[[Any, Block], mpf]
    prox: Callable[[Any, Block, Block], Block]
    distance: Callable[[Any, Block, Block], mpf]


@dataclass(frozen=True)
class Case:
    """A row of the catalogue."""

    kind: type[Penalty]
    penalties: SearchStrategy[Penalty]
    twin: Twin
    separable: bool  # a block is a weight; else it is a row, along the last dimension
    convex: bool

    @property
    def name(self) -> str:
        return self.kind.__name__

    def blocks(self, x: Tensor) -> Tensor:
        """x as (number of blocks, size of a block)."""
        if self.separable or x.ndim == 0:
            return x.reshape(x.numel(), 1)
        return x.reshape(prod(x.shape[:-1]), x.shape[-1])

    def value(self, penalty: Penalty, w: Tensor) -> float:
        with workdps(DIGITS):
            return float(sum((self.twin.value(penalty, b) for b in self._exact(w)), mpf(0)))

    def prox(self, penalty: Penalty, w: Tensor, step: Tensor) -> Tensor:
        """Blocks in double precision."""
        with workdps(DIGITS):
            pairs = zip(self._exact(w), self._exact(step), strict=True)
            exact = [self.twin.prox(penalty, b, t) for b, t in pairs]
            return torch.tensor([[float(z) for z in b] for b in exact], dtype=torch.float64)

    def distance(self, penalty: Penalty, w: Tensor, grad: Tensor) -> Tensor:
        """One figure per block, in double precision."""
        with workdps(DIGITS):
            pairs = zip(self._exact(w), self._exact(grad), strict=True)
            exact = [float(self.twin.distance(penalty, b, g)) for b, g in pairs]
            return torch.tensor(exact, dtype=torch.float64)

    def _exact(self, x: Tensor) -> list[Block]:
        return [[mpf(v) for v in row] for row in self.blocks(x).tolist()]


def norm(block: Block) -> mpf:
    return sqrt(sum(v * v for v in block))


# ---- the twins


def l1_value(p: L1, w: Block) -> mpf:
    return p.strength * abs(w[0])


def l1_prox(p: L1, w: Block, step: Block) -> Block:
    return [sign(w[0]) * max(abs(w[0]) - step[0] * p.strength, mpf(0))]


def l1_distance(p: L1, w: Block, grad: Block) -> mpf:
    if w[0] == 0:
        return max(abs(grad[0]) - p.strength, mpf(0))
    return abs(grad[0] + p.strength * sign(w[0]))


def l2_value(p: L2, w: Block) -> mpf:
    return p.strength * w[0] ** 2


def l2_prox(p: L2, w: Block, step: Block) -> Block:
    return [w[0] / (1 + 2 * step[0] * mpf(p.strength))]


def l2_distance(p: L2, w: Block, grad: Block) -> mpf:
    return abs(grad[0] + 2 * p.strength * w[0])


def elastic_net_value(p: ElasticNet, w: Block) -> mpf:
    return p.l1 * abs(w[0]) + p.l2 * w[0] ** 2


def elastic_net_prox(p: ElasticNet, w: Block, step: Block) -> Block:
    # 0 = (z − w)/step + l1·sign(z) + 2·l2·z has a solution z of w's sign, or z is 0.
    z = (abs(w[0]) - step[0] * p.l1) / (1 + 2 * step[0] * p.l2)
    return [sign(w[0]) * z if z > 0 else mpf(0)]


def elastic_net_distance(p: ElasticNet, w: Block, grad: Block) -> mpf:
    if w[0] == 0:
        return max(abs(grad[0]) - p.l1, mpf(0))
    return abs(grad[0] + p.l1 * sign(w[0]) + 2 * p.l2 * w[0])


def group_l1_value(p: GroupL1, w: Block) -> mpf:
    return p.strength * sqrt(len(w)) * norm(w)


def group_l1_prox(p: GroupL1, w: Block, step: Block) -> Block:
    # 0 = (zᵢ − wᵢ)/stepᵢ + κ·zᵢ/r with r = ‖z‖ says zᵢ = r·wᵢ/(r + κ·stepᵢ): find r by halving.
    pairs = [(v, p.strength * sqrt(len(w)) * t) for v, t in zip(w, step, strict=True)]
    nonzero = [(v, t) for v, t in pairs if v != 0]

    def too_small(r: mpf) -> bool:
        return sum((v / (r + t)) ** 2 for v, t in nonzero) > 1

    if all(t > 0 for _, t in nonzero) and not too_small(mpf(0)):
        return [mpf(0) for _ in w]
    low, high = mpf(0), norm(w)
    for _ in range(110):
        middle = (low + high) / 2
        low, high = (middle, high) if too_small(middle) else (low, middle)
    return [v * high / (high + t) for v, t in pairs]


def group_l1_distance(p: GroupL1, w: Block, grad: Block) -> mpf:
    kappa = p.strength * sqrt(len(w))
    if norm(w) == 0:
        return max(norm(grad) - kappa, mpf(0))
    return norm([g + kappa * v / norm(w) for g, v in zip(grad, w, strict=True)])


# ---- the rows

strengths = st.integers(-60, 300).map(lambda k: max(k, 0) / 100)  # one in six is 0

CATALOGUE = (
    Case(
        kind=L1,
        penalties=st.builds(L1, strengths),
        twin=Twin(l1_value, l1_prox, l1_distance),
        separable=True,
        convex=True,
    ),
    Case(
        kind=L2,
        penalties=st.builds(L2, strengths),
        twin=Twin(l2_value, l2_prox, l2_distance),
        separable=True,
        convex=True,
    ),
    Case(
        kind=ElasticNet,
        penalties=st.builds(ElasticNet, l1=strengths, l2=strengths),
        twin=Twin(elastic_net_value, elastic_net_prox, elastic_net_distance),
        separable=True,
        convex=True,
    ),
    Case(
        kind=GroupL1,
        penalties=st.builds(GroupL1, strengths, st.sampled_from(["filter", "input", "kernel"])),
        twin=Twin(group_l1_value, group_l1_prox, group_l1_distance),
        separable=False,
        convex=True,
    ),
)


@dataclass(frozen=True)
class Reduction:
    """Two penalties that are one and the same; ``view`` lays out the weights for the first."""

    name: str
    pairs: SearchStrategy[tuple[Penalty, Penalty]]
    view: Callable[[Tensor], Tensor] = lambda x: x


REDUCTIONS = (
    Reduction(
        "ElasticNet without l2 is L1",
        strengths.map(lambda s: (ElasticNet(l1=s, l2=0.0), L1(s))),
    ),
    Reduction(
        "ElasticNet without l1 is L2",
        strengths.map(lambda s: (ElasticNet(l1=0.0, l2=s), L2(s))),
    ),
    Reduction(
        "GroupL1 of groups of one is L1",
        strengths.map(lambda s: (GroupL1(s), L1(s))),
        view=lambda x: x.unsqueeze(-1),
    ),
)

EXPORTED = [
    kind
    for kind in (getattr(sh, name) for name in sh.__all__)
    if isinstance(kind, type) and issubclass(kind, Penalty) and kind is not Penalty
]

assert mp.dps < DIGITS  # workdps is what makes the twins exact; nobody raised it globally
