"""Reads a network and changes nothing: weights, loss and score, activity, what is used."""

from shrinkage.analysis.measures.activations import LayerActivity, activity, channels
from shrinkage.analysis.measures.criterion import (
    Criterion,
    is_probability,
    loss_for,
    of_logits,
    of_numbers,
    settled,
)
from shrinkage.analysis.measures.evaluation import CHUNKS, Evaluation, evaluate
from shrinkage.analysis.measures.losses import Loss, checked_loss, default_loss
from shrinkage.analysis.measures.reachability import Reach, reach
from shrinkage.analysis.measures.removal import without_largest
from shrinkage.analysis.measures.report_card import Measures, measure, penalty_share
from shrinkage.analysis.measures.weights import LayerWeights, WeightCounts, gini, weigh

__all__ = [
    "CHUNKS",
    "Criterion",
    "Evaluation",
    "LayerActivity",
    "LayerWeights",
    "Loss",
    "Measures",
    "Reach",
    "WeightCounts",
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
