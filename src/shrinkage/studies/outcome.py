"""What one fit came to, as plain numbers for the run folder."""

from dataclasses import asdict
from typing import Any

from torch import nn

from shrinkage.data import Spec
from shrinkage.fitting import Epoch
from shrinkage.measures import Reach, penalty_share, reach, weigh
from shrinkage.plans import Plan

Point = dict[str, Any]


def history(epochs: list[Epoch]) -> Point:
    """The way of a fit as lists, one entry per look."""
    parts = epochs[-1].parts
    return {
        "epoch": [e.epoch for e in epochs],
        **{f"{name}_loss": [e.parts[name].loss for e in epochs] for name in parts},
        **{f"{name}_score": [e.parts[name].score for e in epochs] for name in parts},
        "penalty": [e.penalty for e in epochs],
        "nonzeros": [e.nonzeros for e in epochs],
    }


def outcome(model: nn.Module, plan: Plan, last: Epoch, spec: Spec) -> Point:
    """Losses, scores, penalty, weights and reach of a network at its last epoch."""
    train, validation = last.parts["train"], last.parts["validation"]
    weights = weigh(plan)
    return {
        "train": {"loss": train.loss, "score": train.score},
        "validation": {
            "loss": validation.loss,
            "score": validation.score,
            "chunks": validation.chunks,
        },
        "score_name": train.score_name,
        "penalty": last.penalty,
        "penalty_share": penalty_share(last.penalty, train.loss),
        "weights": asdict(weights.total),
        "n_parameters": weights.n_parameters,
        "nonzero_parameters": weights.nonzero_parameters,
        "layers": [asdict(layer) for layer in weights.layers],
        "reach": _plain(reach(model, spec.input_shape), spec),
    }


def _plain(paths: Reach | None, spec: Spec) -> Point | None:
    if paths is None:
        return None
    return {
        "inputs": spec.n_inputs,
        "inputs_unused": paths.n_inputs_unused,
        "units": sum(alive.numel() for alive in paths.units.values()),
        "units_dead": paths.n_dead_units,
    }
