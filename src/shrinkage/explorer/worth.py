"""Are an L1 network's zeros and large weights where their price puts them?"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import torch

from shrinkage.data import Examples
from shrinkage.explorer.lanes import Lane
from shrinkage.explorer.stories import Target, gradients, removal
from shrinkage.lesson import Removal, Slopes, Survival
from shrinkage.measures import Loss

_LARGEST = 10


@dataclass(frozen=True)
class Worth:
    """On ``n`` training examples: what zeros and the largest weights are worth.

    The largest weights are set to zero one at a time.
    """

    n: int
    survival: Survival


def worth(lane: Lane, train: Examples, loss: Loss | None) -> Worth | None:
    """The worth of a lane's single weights under a penalty; None for groups and for λ = 0."""
    blocks = [(entry, p) for entry, _, p in lane.plan.blocks()]
    if not lane.strength or any(entry.grouping.group_size > 1 for entry, _ in blocks):
        return None
    found = gradients(lane, [p for _, p in blocks], train, loss)
    pulls = torch.cat([g.flatten().abs() for g in found])
    sizes = torch.cat([p.detach().flatten().abs() for _, p in blocks])
    price = torch.full_like(sizes, lane.strength)
    slopes = Slopes.of(*(t.double().cpu().numpy() for t in (sizes, pulls, price)))
    starts = [0, *accumulate(p.numel() for _, p in blocks)]
    removals = []
    for at in sizes.argsort(descending=True)[:_LARGEST].tolist():
        if not sizes[at]:
            break
        block = bisect_right(starts, at) - 1
        entry = blocks[block][0]
        target = Target(entry.path, entry.name, at - starts[block])
        rise, saved = removal(lane, entry, lane.penalty, target, train, loss)
        removals.append(Removal(float(sizes[at]), rise, saved))
    return Worth(len(train), Survival.of(removals, slopes))
