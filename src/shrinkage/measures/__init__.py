"""Reads a network and changes nothing: weights, loss and score, activity, what is used."""

from shrinkage.measures.activations import LayerActivity, activity, channels
from shrinkage.measures.criterion import (
    Criterion,
    is_probability,
    loss_for,
    of_logits,
    of_numbers,
    settled,
)
from shrinkage.measures.evaluation import CHUNKS, Evaluation, evaluate
from shrinkage.measures.losses import Loss, checked_loss, default_loss
from shrinkage.measures.reachability import Reach, reach
from shrinkage.measures.removal import without_largest
from shrinkage.measures.report_card import Measures, measure, penalty_share
from shrinkage.measures.weights import LayerWeights, Weights, gini, weigh

__all__ = [
    "CHUNKS",
    "Criterion",
    "Evaluation",
    "LayerActivity",
    "LayerWeights",
    "Loss",
    "Measures",
    "Reach",
    "Weights",
    "activity",
    "channels",
    "checked_loss",
    "default_loss",
    "evaluate",
    "gini",
    "is_probability",
    "loss_for",
    "measure",
    "of_logits",
    "of_numbers",
    "penalty_share",
    "reach",
    "settled",
    "weigh",
    "without_largest",
]
