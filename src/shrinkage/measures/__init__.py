"""Reads a network and changes nothing: weights, loss and score, activity, what is used."""

from shrinkage.measures.activations import LayerActivity, activity, channels
from shrinkage.measures.evaluation import CHUNKS, Evaluation, evaluate
from shrinkage.measures.losses import Loss, checked_loss, default_loss, loss_for, weight_of
from shrinkage.measures.reachability import Reach, reach
from shrinkage.measures.removal import without_largest
from shrinkage.measures.report_card import Measures, measure
from shrinkage.measures.weights import LayerWeights, Weights, gini, weigh

__all__ = [
    "CHUNKS",
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
    "loss_for",
    "measure",
    "reach",
    "weigh",
    "weight_of",
    "without_largest",
]
