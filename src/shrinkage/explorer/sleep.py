"""A network that predicts the same for every input: on, or near, the saddle at zero weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

from shrinkage.data import Examples
from shrinkage.explorer.lanes import Lane
from shrinkage.graph.untouched import brought, home, untouched

_ALIKE = 1e-3  # of a logit, or of the targets' standard deviation
_ROWS = 64


def asleep(lane: Lane, rows: Examples) -> str:
    """Why a network's predictions are all alike, and the remedy; empty where they are not.

    Each weight's gradient is a product with the weights of the other layers. Where a whole layer is
    zero the others get none, and where two are, nothing moves either: a point without gradient
    which is no minimum of the loss, a saddle. Close to it everything is slow. A single layer has no
    saddle: there zeros are what λ asks for, and they come back with a smaller one.
    """
    layers = [(e.name.removesuffix(".weight"), p) for e, _, p in lane.plan.blocks()
              if len(e.shape) > 1]  # fmt: skip
    if lane.note or not lane.steps or len(layers) < 2 or not _alike(lane, rows):
        return ""
    remedy = "Turn λ down, then wake it." if lane.strength else "Wake it."
    return (
        f"Asleep: the same prediction for every input. {_why(layers)}: a smaller λ alone brings it "
        f"back late or never. {remedy}"
    )


def _why(layers: Sequence[tuple[str, Tensor]]) -> str:
    zero = ", ".join(name for name, p in layers if not bool(p.any()))
    if zero:
        return f"All weights of {zero} are zero, so hardly any gradient flows (a saddle)"
    return "Its weights are so small that hardly any gradient flows (near the saddle at zero)"


@torch.no_grad()
def _alike(lane: Lane, rows: Examples) -> bool:
    x, y = rows.x[:_ROWS], rows.y[:_ROWS]
    scale = float(y.std()) if y.is_floating_point() else 1.0
    with untouched(lane.model):
        predicted = lane.model(brought(x, home(lane.model))).flatten(1)
    spread = float((predicted.amax(dim=0) - predicted.amin(dim=0)).max())
    return spread <= _ALIKE * scale
