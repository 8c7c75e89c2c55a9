"""On which rows curves and stories are measured: as many as are affordable while it trains."""

from time import perf_counter

import torch
from torch import nn

from shrinkage.analysis.measures import Loss, evaluate
from shrinkage.data import Examples

_LEAST, _MOST = 100, 500
_EVALUATION = 0.012
"""Seconds that one evaluation may take."""


def affordable(model: nn.Module, rows: Examples, loss: Loss | None) -> int:
    """How many rows one evaluation may have."""
    few = first(rows, _LEAST)
    took = []
    for _ in range(4):  # the quickest: other programs only ever add to it
        start = perf_counter()
        evaluate(model, few, loss)
        took.append(perf_counter() - start)
    return max(_LEAST, min(_MOST, int(_EVALUATION * len(few) / min(took))))


def first(rows: Examples, most: int) -> Examples:
    """The beginning: of a pool, whose every beginning holds the classes evenly."""
    return Examples(rows.x[:most], rows.y[:most])


def spread(rows: Examples, most: int) -> Examples:
    """Rows at even distances."""
    n = min(most, len(rows))
    at = torch.arange(n) * len(rows) // n
    return Examples(rows.x[at], rows.y[at])
