"""Where gradients around a point are affordable: kinks of ReLU and max-pooling count there."""

from torch import nn

from shrinkage.data import Examples

SAMPLES = 20
KINKS_UP_TO = 20_000_000
"""Parameters × training examples up to which so many gradients are taken around a point."""


def kink_samples(model: nn.Module, examples: Examples) -> int:
    """How many gradients to take around a point of ``model``; 0 where they cost too much."""
    size = sum(p.numel() for p in model.parameters()) * len(examples)
    return SAMPLES if size <= KINKS_UP_TO else 0
