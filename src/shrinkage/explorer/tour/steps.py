"""The tour: the lesson's claims in its order."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from shrinkage.explorer.options import FIRST
from shrinkage.explorer.tour.checks import (
    activity,
    compromise,
    concentration,
    constant,
    cost,
    coverage,
    differ,
    dropout,
    extremes,
    overfitting,
    proportional,
    share,
    smaller,
    survival,
    zeros,
)
from shrinkage.explorer.tour.view import Scope, TourStep

_HARD = {"train_size": 200, "label_noise": 0.25}
"""Digits enough to learn by heart, and a reason why that is no good."""


def _sets(strength: float, **others: Any) -> Mapping[str, Any]:
    plain = {"columns": list(FIRST), "strength": strength, "label_noise": 0.0, "biases": False,
             "optimizer": "sgd"}  # fmt: skip
    return MappingProxyType({**plain, **others})


TOUR: tuple[TourStep, ...] = (
    TourStep(
        "L1 adds λ·Σ|w| to the loss, L2 adds λ·Σw².",
        _sets(1e-3),
        "The bar on top of each column: grey is the loss, orange is λ · penalty.",
        "cost",
        cost,
    ),
    TourStep(
        "Both constrain all parameters: weights and biases of convolutional and dense layers.",
        _sets(1e-3, biases=True),
        "Biases are penalised too now: the number of weights under the histogram.",
        "weights",
        coverage,
        of_all=True,
    ),
    TourStep(
        "Both push weights toward smaller values.",
        _sets(1e-3),
        "The histograms: without a penalty they stay wide, the others draw together.",
        "weights",
        smaller,
    ),
    TourStep(
        "That reduces overfitting.",
        _sets(1e-3, **_HARD),
        "Training begins anew with few examples, one label in four wrong. The curves: as these are "
        "learnt by heart, a gap opens between training (thin) and held-out loss (thick), widest "
        "without a penalty.",
        "curves",
        overfitting,
        anew=True,
    ),
    TourStep(
        "Smaller weights reduce the effect on the activations: no filter overpowers the others.",
        _sets(3e-3),
        "The activation shares: a bar per filter, as much as it carries of its layer's activity.",
        "active",
        activity,
    ),
    TourStep(
        "λ controls the effect; a large λ makes the penalty term large.",
        _sets(1e-2),
        "The cost bars: orange takes over. Turn the dial back and it shrinks at once.",
        "cost",
        share,
    ),
    TourStep(
        "L1 shrinks every weight by a constant amount toward zero.",
        _sets(1e-3),
        "What one step takes, against the weight's size: a flat line on either side of zero.",
        "step",
        constant,
    ),
    TourStep(
        "L2 shrinks in proportion to the weight: large ones hard, small ones hardly at all.",
        _sets(1e-3),
        "The same picture for L2: a line through zero.",
        "step",
        proportional,
    ),
    TourStep(
        "L1 takes unimportant weights all the way to zero: a sparse model.",
        _sets(1e-3),
        "The red bar, counted apart: exactly zero. It grows under exact L1 alone; L1 as a term "
        "in the loss hops over zero and never lands.",
        "weights",
        zeros,
    ),
    TourStep(
        "L1 concentrates the network into few, highly important connections.",
        _sets(1e-3),
        "The connections: lines vanish, few strong ones stay.",
        "links",
        concentration,
    ),
    TourStep(
        "A large weight survives only if it improves the loss enough.",
        _sets(1e-3),
        "Click a filter or a line: it tells why it is zero, or what it is worth.",
        "links",
        survival,
        deep=True,
    ),
    TourStep(
        "It is a compromise between small weights and low loss; λ sets the exchange rate.",
        _sets(3e-4),
        "Training begins anew. Loss against Σ|w|: let it settle, then turn λ to ten times as "
        "much: the network walks along the curve, to smaller weights and a higher loss.",
        "plane",
        compromise,
        anew=True,
    ),
    TourStep(
        "A small λ prefers the original loss, a large λ prefers small weights.",
        _sets(1e-4),
        "Training begins anew at λ = 0.0001. Let it settle, then go to 0.01, a hundred times as "
        "much.",
        "plane",
        extremes,
        anew=True,
    ),
    TourStep(
        "L1 and L2 work in different ways.",
        _sets(1e-3),
        "L1 beside L2, from the same start on the same batches: few large weights and exact "
        "zeros here, many small ones and no zero there.",
        "weights",
        differ,
    ),
    TourStep(
        "Dropout is the next tool of the same family.",
        _sets(1e-3, columns=["none", "l1", "l2", "dropout"], **_HARD),
        "Few examples and wrong labels again. Dropout in the last column: no price on weights, "
        "another way to the same end.",
        "curves",
        dropout,
        anew=True,
    ),
)


def tour_of(scope: Scope) -> tuple[TourStep, ...]:
    """The steps that a network can show: no step leads to columns that it does not have."""
    return tuple(step for step in TOUR if step.fits(scope))
