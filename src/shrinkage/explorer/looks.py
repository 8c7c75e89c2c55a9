"""Pure functions from a network to the numbers on screen; nothing here changes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from shrinkage.analysis.measures import Loss, channels, evaluate, gini, penalty_share
from shrinkage.data import Examples
from shrinkage.explorer.lanes import Lane, Probe
from shrinkage.explorer.scene import BINS, DrawnLayer, Scene
from shrinkage.explorer.sleep import asleep
from shrinkage.lesson import Moves, StepFit
from shrinkage.lesson.estimates import mean
from shrinkage.plans import Plan, Role
from shrinkage.reports.figures.style import lean
from shrinkage.reports.first_layer import Picture, packed
from shrinkage.runs.records import Json

_DOTS = 150
_ACTIVE_ON = 200
_WIDEST = 1e6
_FLOAT64 = 2.3e-16  # one unit in the last place of a float64 near 1
_ARRIVED = 1e-4  # of the largest weight: below, a step rounds more than it moves


@dataclass(frozen=True)
class Standing:
    """How one network stands: what curves and tour read. Sizes are those of penalised weights.

    ``held``: the part kept aside (validation; the test set stays closed). ``penalty``: λ·P.
    ``activity``: mean |activation| over all layers' channels, ``loudest``: that of each layer's
    strongest channel, ``strongest``: the share of the layer's activity that it carries.
    ``layers``: mean |activation| and that share, layer by layer. ``constant``, ``proportional``:
    how a step that the penalty takes alone fits L1's and L2's; None without a penalty at work.
    """

    name: str
    step: int
    knob: float
    train: float
    train_score: float
    held: float
    held_score: float
    score_name: str
    penalty: float
    zeros: int
    size: int
    n_parameters: int
    left_out: int
    l1: float
    l2: float
    max_abs: float
    top10: float
    gini: float
    activity: float
    loudest: float
    strongest: float
    layers: tuple[tuple[float, float], ...]
    constant: StepFit | None
    proportional: StepFit | None

    @property
    def gap(self) -> float:
        """Held-out loss − training loss."""
        return self.held - self.train

    @property
    def share(self) -> float:
        """The penalty's part of the cost; 0 where there are no parts."""
        return penalty_share(self.penalty, self.train) or 0.0


def glance(lane: Lane, scene: Scene, first: Picture | None, scale: float, edge: float) -> Json:
    """What changes with every step and costs little: sizes, histogram, first layer, connections.

    ``scale``: the largest |value| of the first layer's pictures, ``edge``: where the histogram
    ends (weights beyond it are counted in its outermost bins); shared by all networks.
    """
    blocks = {entry.path: p.detach() for entry, _, p in lane.plan.blocks()}
    flat = torch.cat([p.reshape(-1) for p in blocks.values()]).float()
    alive = flat[flat != 0]
    return {
        "name": lane.name,
        "note": lane.note,
        "failed": bool(lane.failed),
        "knob": lane.knob,
        "penalty": penalty_of(lane),
        "zeros": flat.numel() - alive.numel(),
        "size": flat.numel(),
        "bins": _bins(alive, edge),
        "first": None if first is None else packed(np.nan_to_num(first.values), scale),
        "pixels": _pixels(lane, scene),
        "layers": [_connections(layer, blocks[layer.path]) for layer in scene.layers],
    }


def widened(lanes: Sequence[Lane], edge: float) -> float:
    """The next edge (1, 2, 5 times a power of ten) beyond which at most 1 in 1000 weights lie.

    Never below ``edge``, so that the axis does not jump to and fro.
    """
    flats = [torch.cat([p.detach().flatten() for _, _, p in lane.plan.blocks()]) for lane in lanes]
    for flat in flats:
        most = max(1, flat.numel() // 1000)
        while edge < _WIDEST and int((flat.abs() > edge).sum()) > most:
            edge = float(f"{edge * (2.5 if f'{edge:e}'[0] == '2' else 2):.1g}")
    return edge


def picture(lane: Lane, scene: Scene) -> Picture | None:
    """The first layer as a picture, where it can be one."""
    if scene.first is None:
        return None
    weight = lane.model.get_parameter(scene.first.path).detach().float().cpu().numpy()
    return scene.first.picture({scene.first.path: weight})


def penalty_of(lane: Lane) -> float:
    """λ·P of a network as it stands."""
    return lane.strength * lane.plan.value() if lane.strength else 0.0


def stand(
    lane: Lane, probe: Probe | None, lr: float, parts: tuple[Examples, Examples], loss: Loss | None
) -> tuple[Standing, Json]:
    """How a network stands, and what is drawn of it beyond :func:`glance`."""
    train, held = (evaluate(lane.model, part, loss) for part in parts)
    sizes = torch.cat([p.detach().flatten() for _, _, p in lane.plan.blocks()]).double().abs()
    l1 = float(sizes.sum())
    some = Examples(parts[1].x[:_ACTIVE_ON], parts[1].y[:_ACTIVE_ON])
    active = channels(lane.model, some, lane.plan)
    w, delta = _steps(lane, probe, lr)
    standing = Standing(
        name=lane.name,
        step=lane.steps,
        knob=lane.knob,
        train=train.loss,
        train_score=train.score,
        held=held.loss,
        held_score=held.score,
        score_name=train.score_name,
        penalty=penalty_of(lane),
        zeros=int((sizes == 0).sum()),
        size=sizes.numel(),
        n_parameters=sum(p.numel() for p in lane.model.parameters()),
        left_out=_left_out(lane.plan),
        l1=l1,
        l2=float(torch.linalg.vector_norm(sizes)),
        max_abs=float(sizes.max()),
        top10=float(sizes.topk(max(1, sizes.numel() // 10)).values.sum()) / l1 if l1 else 0.0,
        gini=gini(sizes),
        **_loudness(list(active.values())),
        **_fits(lane, w, delta, lr),
    )
    dots = _spread(w)
    drawn: Json = {
        "asleep": asleep(lane, parts[0]),
        "active": {name: lean(_shares(a).tolist()) for name, a in active.items()},
        "dots": [lean(w[dots].tolist()), lean(delta[dots].tolist())],
    }
    return standing, drawn


def _shares(means: Tensor) -> Tensor:
    """Each channel's part of its layer's activity; all 0 in a silent layer."""
    return means / means.sum().clamp(min=torch.finfo(means.dtype).tiny)


def _loudness(layers: Sequence[Tensor]) -> Json:
    """What a standing has of the activity of the layers, from the means of their channels."""
    levels = [(float(means.mean()), float(_shares(means).max())) for means in layers]
    return {
        "activity": mean(level for level, _ in levels) or 0.0,
        "loudest": mean(float(means.max()) for means in layers) or 0.0,
        "strongest": mean(share for _, share in levels) or 0.0,
        "layers": tuple(levels),
    }


def _fits(lane: Lane, w: Tensor, delta: Tensor, lr: float) -> Json:
    """What a standing has of a step that the penalty takes alone."""
    if not w.numel():
        return {"constant": None, "proportional": None}
    moves = Moves.of(w.cpu().numpy(), delta.cpu().numpy(), lr, _FLOAT64)
    return {
        "constant": StepFit.constant(moves, lane.strength),
        "proportional": StepFit.proportional(moves, lane.strength),
    }


def _steps(lane: Lane, probe: Probe | None, lr: float) -> tuple[Tensor, Tensor]:
    if probe is None or not lane.strength:
        return torch.zeros(0), torch.zeros(0)
    w, delta = probe.take(lane, lr)
    clear = w.abs() > _ARRIVED * float(w.abs().max()) if w.numel() else w.bool()
    return w[clear], delta[clear]


def _bins(alive: Tensor, edge: float) -> list[int]:
    finite = alive[alive.isfinite()].clamp(-edge, edge)
    return [int(n) for n in torch.histc(finite, BINS, -edge, edge)]


def _pixels(lane: Lane, scene: Scene) -> str | None:
    """Σ|w| of every input pixel or column of a dense first layer; exactly 0 is not used."""
    if scene.first is None or scene.first.kind == "kernels":
        return None
    weight = lane.model.get_parameter(scene.first.path).detach()
    total = np.nan_to_num(weight.abs().sum(dim=0).float().cpu().numpy())
    return packed(total, float(total.max(initial=0)))


def _connections(layer: DrawnLayer, weight: Tensor) -> Json:
    groups = weight.reshape(-1)[layer.pairs]
    strongest = groups.gather(1, groups.abs().argmax(dim=1, keepdim=True)).flatten()
    cells = strongest.float().nan_to_num(nan=0.0).cpu().numpy()
    units = (layer.units.view(weight) != 0).any(dim=1)
    return {
        "alive": int((layer.kernels.view(weight) != 0).any(dim=-1).sum())
        if layer.kernels.group_size > 1
        else int(weight.count_nonzero()),
        "cells": packed(cells, float(np.abs(cells).max(initial=0))),
        "units": "".join("1" if alive else "0" for alive in units.tolist()),
    }


def _spread(w: Tensor) -> Tensor:
    """Positions of values at even ranks by size, the extremes among them."""
    order = w.argsort()
    if len(order) <= _DOTS:
        return order
    return order[torch.linspace(0, len(order) - 1, _DOTS).round().long()]


def largest(pictures: Sequence[Picture | None]) -> float:
    """The scale that pictures share."""
    known = [float(np.nanmax(np.abs(p.values), initial=0)) for p in pictures if p is not None]
    return max((k for k in known if np.isfinite(k)), default=0.0) or 1.0


def _left_out(plan: Plan) -> int:
    """How many weights and biases have no penalty."""
    meant = (Role.WEIGHT, Role.BIAS)
    return sum(prod(e.shape) for e in plan.entries if e.role in meant and e.penalty is None)
