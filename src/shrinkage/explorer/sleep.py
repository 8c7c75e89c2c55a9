"""A network that predicts the same for every input: on, or near, the saddle at zero weights."""

import torch

from shrinkage.data import Examples
from shrinkage.explorer.lanes import Lane
from shrinkage.measures.untouched import brought, home, untouched

_ALIKE = 1e-3  # of a logit, or of the targets' standard deviation
_ROWS = 64


def asleep(lane: Lane, rows: Examples) -> str:
    """Why a network's predictions are all alike, and the remedy; empty where they are not.

    Each weight's gradient is a product with the weights of the other layers. Where a whole layer is
    zero the others get none, and where two are, nothing moves either: a point without gradient
    which is no minimum of the loss, a saddle. Close to it everything is slow.
    """
    if lane.note or not lane.steps or not _alike(lane, rows):
        return ""
    layers = [entry.name.removesuffix(".weight") for entry, _, p in lane.plan.blocks()
              if len(entry.shape) > 1 and not bool(p.any())]  # fmt: skip
    if layers:
        return (
            f"Asleep: it predicts the same for every input, because all weights of "
            f"{', '.join(layers)} are zero. With whole layers at zero hardly any gradient flows (a "
            f"saddle), so a smaller λ alone brings weights back late or never. {_remedy(lane)}"
        )
    return (
        "Asleep: it predicts the same for every input. Its weights are so small that hardly any "
        f"gradient flows: near the saddle at zero, which it leaves late or never. {_remedy(lane)}"
    )


def _remedy(lane: Lane) -> str:
    first = "Turn λ down, then wake" if lane.strength else "Wake"
    return f"{first} it: it starts again from its initial weights."


@torch.no_grad()
def _alike(lane: Lane, rows: Examples) -> bool:
    x, y = rows.x[:_ROWS], rows.y[:_ROWS]
    scale = float(y.std()) if y.is_floating_point() else 1.0
    with untouched(lane.model):
        predicted = lane.model(brought(x, home(lane.model))).flatten(1)
    spread = float((predicted.amax(dim=0) - predicted.amin(dim=0)).max())
    return spread <= _ALIKE * scale
