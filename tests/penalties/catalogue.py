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
from mpmath import log, mp, mpf, sign, sqrt, workdps
from torch import Tensor

from shrinkage import penalties as sh
from shrinkage.penalties import L1, L2, MCP, ElasticNet, GroupL1, LogSum, Penalty, SparseGroupL1

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
    averages_all: bool = True  # dual averaging sums up the whole penalty, and no part of it only

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


def sparse_group_value(p: SparseGroupL1, w: Block) -> mpf:
    return p.l1 * sum(abs(v) for v in w) + p.group * sqrt(len(w)) * norm(w)


def sparse_group_prox(p: SparseGroupL1, w: Block, step: Block) -> Block:
    # 0 = (zᵢ − wᵢ)/stepᵢ + l1·sign(wᵢ) + κ·zᵢ/r or zᵢ = 0: zᵢ = r·vᵢ/(r + κ·stepᵢ), v = soft(w).
    soft = [l1_prox(L1(p.l1), [v], [t])[0] for v, t in zip(w, step, strict=True)]
    return group_l1_prox(GroupL1(p.group), soft, step)


def sparse_group_distance(p: SparseGroupL1, w: Block, grad: Block) -> mpf:
    kappa, r = p.group * sqrt(len(w)), norm(w)
    single = [l1_distance(L1(p.l1), [v], [g]) for v, g in zip(w, grad, strict=True)]
    if r == 0:
        return max(norm(single) - kappa, mpf(0))
    away = [
        d if v == 0 else g + p.l1 * sign(v) + kappa * v / r
        for v, g, d in zip(w, grad, single, strict=True)
    ]
    return norm(away)


def cheapest(value: Callable[[Block], mpf], w: mpf, step: mpf, candidates: Block) -> Block:
    """The one of 0 and the candidates of w's sign that minimises (z − w)²/(2·step) + P(z)."""
    if step == 0:
        return [w]
    possible = [mpf(0), *(z for z in candidates if z > 0)]
    best = min(possible, key=lambda z: (z - abs(w)) ** 2 / (2 * step) + value([z]))
    return [sign(w) * best]


def log_sum_value(p: LogSum, w: Block) -> mpf:
    return p.strength * p.epsilon * log(1 + abs(w[0]) / mpf(p.epsilon))


def log_sum_prox(p: LogSum, w: Block, step: Block) -> Block:
    # 0 = (z − |w|)/step + s·ε/(ε + z): two roots of a quadratic.
    size, epsilon = abs(w[0]), mpf(p.epsilon)
    square = (size + epsilon) ** 2 - 4 * step[0] * p.strength * epsilon
    roots = [(size - epsilon + k * sqrt(square)) / 2 for k in (1, -1)] if square >= 0 else []
    return cheapest(lambda z: log_sum_value(p, z), w[0], step[0], roots)


def log_sum_distance(p: LogSum, w: Block, grad: Block) -> mpf:
    if w[0] == 0:
        return l1_distance(L1(p.strength), w, grad)
    return abs(grad[0] + sign(w[0]) * p.strength / (1 + abs(w[0]) / mpf(p.epsilon)))


def mcp_value(p: MCP, w: Block) -> mpf:
    v = min(abs(w[0]), mpf(p.knee))
    return p.strength * v - v**2 * p.strength / (2 * mpf(p.knee))


def mcp_prox(p: MCP, w: Block, step: Block) -> Block:
    # Beyond the knee |w| itself; before it 0 = (z − |w|)/step + s − s·z/knee; or the knee.
    size, knee = abs(w[0]), mpf(p.knee)
    bend = 1 - step[0] * p.strength / knee
    inside = [] if bend == 0 else [(size - step[0] * p.strength) / bend]
    candidates = [knee, *(z for z in inside if z < knee), *([size] if size >= knee else [])]
    return cheapest(lambda z: mcp_value(p, z), w[0], step[0], candidates)


def mcp_distance(p: MCP, w: Block, grad: Block) -> mpf:
    if w[0] == 0:
        return l1_distance(L1(p.strength), w, grad)
    return abs(grad[0] + sign(w[0]) * p.strength * max(1 - abs(w[0]) / mpf(p.knee), mpf(0)))


# ---- the rows

strengths = st.integers(-60, 300).map(lambda k: max(k, 0) / 100)  # one in six is 0
sizes = st.sampled_from([0.01, 0.3, 1.0, 4.0, 100.0])
groupings = st.sampled_from(["filter", "input", "kernel"])

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
        penalties=st.builds(GroupL1, strengths, groupings),
        twin=Twin(group_l1_value, group_l1_prox, group_l1_distance),
        separable=False,
        convex=True,
    ),
    Case(
        kind=SparseGroupL1,
        penalties=st.builds(SparseGroupL1, l1=strengths, group=strengths, by=groupings),
        twin=Twin(sparse_group_value, sparse_group_prox, sparse_group_distance),
        separable=False,
        convex=True,
        averages_all=False,
    ),
    Case(
        kind=LogSum,
        penalties=st.builds(LogSum, strengths, sizes),
        twin=Twin(log_sum_value, log_sum_prox, log_sum_distance),
        separable=True,
        convex=False,
        averages_all=False,
    ),
    Case(
        kind=MCP,
        penalties=st.builds(MCP, strengths, sizes),
        twin=Twin(mcp_value, mcp_prox, mcp_distance),
        separable=True,
        convex=False,
        averages_all=False,
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
    Reduction(
        "SparseGroupL1 without l1 is GroupL1",
        strengths.map(lambda s: (SparseGroupL1(l1=0.0, group=s), GroupL1(s))),
    ),
    Reduction(
        "SparseGroupL1 of groups of one is L1",
        st.tuples(strengths, strengths).map(lambda s: (SparseGroupL1(*s), L1(sum(s)))),
        view=lambda x: x.unsqueeze(-1),
    ),
)

EXPORTED = [
    kind
    for kind in (getattr(sh, name) for name in sh.__all__)
    if isinstance(kind, type) and issubclass(kind, Penalty) and kind is not Penalty
]

assert mp.dps < DIGITS  # workdps is what makes the twins exact; nobody raised it globally
