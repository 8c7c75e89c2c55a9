"""The slope of the loss at zeros and at survivors of an L1 network, beside λ."""

from dataclasses import dataclass

import torch

from shrinkage.data import Examples
from shrinkage.explorer.lanes import Lane
from shrinkage.measures import Loss, default_loss
from shrinkage.measures.untouched import brought, home, untouched

_BATCH = 512


@dataclass(frozen=True)
class Slopes:
    """On ``n`` training examples: the share of zeros with |∂loss/∂w| ≤ λ (1 % more is let pass),
    and the median of what survivors are paid, −∂loss/∂w·sign(w)/λ; None where there are none.
    """

    n: int
    zeros_within: float | None
    at_survivors: float | None


def slopes(lane: Lane, train: Examples, loss: Loss | None) -> Slopes | None:
    """The slopes of a lane with single weights under a penalty; None for others and for λ = 0."""
    blocks = [(entry, p) for entry, _, p in lane.plan.blocks()]
    if not lane.strength or any(entry.grouping.group_size > 1 for entry, _ in blocks):
        return None
    criterion = loss or default_loss(train.y)
    weights = [p for _, p in blocks]
    totals = [torch.zeros_like(p) for p in weights]
    with untouched(lane.model), torch.enable_grad():
        at = home(lane.model)
        for x, y in train.batches(_BATCH):
            value = criterion(lane.model(brought(x, at)), brought(y, at))
            parts = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
            for total, part in zip(totals, parts, strict=True):
                total += part * (len(x) / len(train))
    w = torch.cat([p.detach().flatten() for p in weights])
    g = torch.cat([t.flatten() for t in totals])
    zero, alive = w == 0, w != 0
    within, paid = g[zero].abs() <= 1.01 * lane.strength, -(g * w.sign())[alive] / lane.strength
    return Slopes(
        len(train),
        float(within.float().mean()) if bool(zero.any()) else None,
        float(paid.median()) if bool(alive.any()) else None,
    )
