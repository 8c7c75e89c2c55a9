"""Are an L1 network's zeros and large weights where their price puts them?"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import torch

from shrinkage.data import Examples
from shrinkage.explorer.lanes import Lane
from shrinkage.explorer.stories import Target, gradients, removal
from shrinkage.measures import Loss

_LARGE = 10


@dataclass(frozen=True)
class Worth:
    """On ``n`` training examples: what the zeros and the largest weights are worth.

    ``zeros_within``: the share of zeros with |∂loss/∂w| ≤ λ, None where there are none;
    ``paying``: how many of the ``large`` largest weights raise the loss by at least the penalty
    saved when they are set to zero, one at a time.
    """

    n: int
    zeros_within: float | None
    paying: int
    large: int


def worth(lane: Lane, train: Examples, loss: Loss | None) -> Worth | None:
    """The worth of a lane's single weights under a penalty; None for groups and for λ = 0."""
    blocks = [(entry, p) for entry, _, p in lane.plan.blocks()]
    if not lane.strength or any(entry.grouping.group_size > 1 for entry, _ in blocks):
        return None
    found = gradients(lane, [p for _, p in blocks], train, loss)
    zeros = torch.cat([g.flatten()[p.detach().flatten() == 0].abs()
                       for g, (_, p) in zip(found, blocks, strict=True)])  # fmt: skip
    sizes = torch.cat([p.detach().flatten().abs() for _, p in blocks])
    starts = [0, *accumulate(p.numel() for _, p in blocks)]
    paying = large = 0
    for at in sizes.argsort(descending=True)[:_LARGE].tolist():
        if not sizes[at]:
            break
        block = bisect_right(starts, at) - 1
        entry = blocks[block][0]
        target = Target(entry.path, entry.name, at - starts[block])
        rise, saved = removal(lane, entry, lane.penalty, target, train, loss)
        paying, large = paying + (rise >= saved), large + 1
    within = float((zeros <= lane.strength).float().mean()) if zeros.numel() else None
    return Worth(len(train), within, paying, large)
