"""What one fit came to, as plain numbers for the run folder."""

from torch import nn

from shrinkage.analysis.measures import Reach, penalty_share, reach, weigh
from shrinkage.data import Spec
from shrinkage.experiments.fit import Epoch
from shrinkage.plans import Plan
from shrinkage.runs import (
    EvaluatedRecord,
    HistoryRecord,
    NetworkRecord,
    PartRecord,
    ReachRecord,
    ValidationRecord,
    WeightsRecord,
)


def history(epochs: list[Epoch]) -> HistoryRecord:
    """The way of a fit as lists, one entry per look."""
    parts = epochs[-1].parts
    losses = {f"{name}_loss": [e.parts[name].loss for e in epochs] for name in parts}
    scores = {f"{name}_score": [e.parts[name].score for e in epochs] for name in parts}
    return HistoryRecord(
        epoch=[e.epoch for e in epochs],
        **losses,
        **scores,
        penalty=[e.penalty for e in epochs],
        nonzeros=[e.nonzeros for e in epochs],
    )


def evaluated(last: Epoch) -> EvaluatedRecord:
    """Losses and scores on the training and the validation part."""
    train, validation = last.parts["train"], last.parts["validation"]
    return EvaluatedRecord(
        train=PartRecord(loss=train.loss, score=train.score),
        validation=ValidationRecord(
            loss=validation.loss, score=validation.score, chunks=list(validation.chunks)
        ),
    )


def outcome(model: nn.Module, plan: Plan, last: Epoch, spec: Spec) -> NetworkRecord:
    """Losses, scores, penalty, weights and reach of a network at its last epoch."""
    train, parts = last.parts["train"], evaluated(last)
    weights = weigh(plan)
    return NetworkRecord(
        train=parts.train,
        validation=parts.validation,
        score_name=train.score_name,
        penalty=last.penalty,
        penalty_share=penalty_share(last.penalty, train.loss),
        weights=WeightsRecord(**vars(weights.total)),
        n_parameters=weights.n_parameters,
        nonzero_parameters=weights.nonzero_parameters,
        layers=[WeightsRecord(**vars(layer)) for layer in weights.layers],
        reach=_counts(reach(model, spec.input_shape), spec),
    )


def _counts(paths: Reach | None, spec: Spec) -> ReachRecord | None:
    if paths is None:
        return None
    return ReachRecord(
        inputs=spec.n_inputs,
        inputs_unused=paths.n_inputs_unused,
        units=sum(alive.numel() for alive in paths.units.values()),
        units_dead=paths.n_dead_units,
    )
