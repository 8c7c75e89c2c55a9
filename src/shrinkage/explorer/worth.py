"""Are an L1 network's zeros and large weights where their price puts them?"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from shrinkage.analysis.measures import Loss
from shrinkage.data import Examples
from shrinkage.explorer.lanes import Lane
from shrinkage.explorer.stories import Target, gradients, removal
from shrinkage.lesson import Removal, Slopes, Survival
from shrinkage.plans import Entry

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
    blocks = [(entry, p.detach()) for entry, _, p in lane.plan.blocks()]
    if not lane.strength or any(entry.grouping.group_size > 1 for entry, _ in blocks):
        return None
    found = gradients(lane, [p for _, _, p in lane.plan.blocks()], train, loss)
    pulls, sizes = (torch.cat([t.flatten().abs() for t in part])
                    for part in (found, [p for _, p in blocks]))  # fmt: skip
    price = torch.full_like(sizes, lane.strength)
    slopes = Slopes.of(torch.stack((sizes, pulls, price), dim=1).cpu().numpy())
    removals = [
        Removal(float(sizes[at]), *removal(lane, entry, lane.penalty, target, train, loss))
        for at, entry, target in _largest(blocks, sizes)
    ]
    return Worth(len(train), Survival.of(removals, slopes))


def _largest(
    blocks: Sequence[tuple[Entry, Tensor]], sizes: Tensor
) -> Iterator[tuple[int, Entry, Target]]:
    """Place among all sizes, parameter and target of each of the largest weights."""
    starts = [0, *accumulate(p.numel() for _, p in blocks)]
    for at in sizes.argsort(descending=True)[:_LARGEST].tolist():
        if sizes[at]:
            block = bisect_right(starts, at) - 1
            entry = blocks[block][0]
            yield at, entry, Target(entry.path, entry.name, at - starts[block])
