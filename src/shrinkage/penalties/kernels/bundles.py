"""Tensors of many parameters in one table of addresses, so that one call passes over all of them.

What is in a table must not move while the table is used; whoever made it keeps it from being freed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Clip = Callable[[Sequence[float]], None]
Ask = Callable[[], Callable[[], list[int]]]
"""Looks now, and gives a function that says what was seen: on a device, once it has come to it."""


class Passes(Protocol):
    """Prepares calls for all tensors of a table, whose columns they are.

    Addresses in it are of memory of one dtype, on the device where the table lies too.
    """

    @property
    def device(self) -> torch.device:
        """Where."""

    def differs(self, table: Tensor) -> Ask:
        """Rows: weights, kept, places, counts. The columns where weights[places] ≠ kept, or NaN."""

    def note(self, table: Tensor) -> Callable[[], None]:
        """The same rows: kept ← weights[places]."""

    def clip(self, table: Tensor) -> Clip:
        """Rows: weights, residuals, sizes; called with each tensor's threshold.

        z = w + residual; residual ← z clipped to ±threshold, 0 where that is NaN; w ← z − residual.
        """

    def clip_each(self, table: Tensor) -> Clip:
        """Rows: weights, residuals, totals, steps, sizes; called with all elapsed, all strengths.

        The same with the threshold strength·(total + step·elapsed) of each weight.
        """


@dataclass(frozen=True, eq=False)
class Samples:
    """Of each parameter some evenly spaced weights in logical order, to be compared and noted."""

    ask: Ask
    """Which of the parameters somebody has written since."""
    note: Callable[[], None]
    """Take what the parameters hold now."""
    alive: object

    @classmethod
    def of(cls, passes: Passes, weights: Sequence[Tensor], kept: Sequence[Tensor]) -> "Samples":
        """``kept``: as many of the weights as are to be looked at, one-dimensional."""
        pairs = zip(weights, kept, strict=True)
        places = [_places(w, len(k)).to(passes.device) for w, k in pairs]
        table = _table(passes.device, weights, kept, places, [len(k) for k in kept])
        return cls(passes.differs(table), passes.note(table), (weights, kept, places))


@dataclass(frozen=True, eq=False)
class Clips:
    """Single weights and their residuals, in the same layout, which are clipped together."""

    run: Clip
    """With thresholds; of weights with a step each with what has elapsed, then the strengths."""
    alive: object

    @classmethod
    def of(cls, passes: Passes, *rows: Sequence[Tensor]) -> "Clips":
        """Rows: weights and residuals; where every weight has a step, also totals and steps."""
        table = _table(passes.device, *rows, [w.numel() for w in rows[0]])
        return cls(passes.clip(table) if len(rows) == 2 else passes.clip_each(table), rows)


def _table(device: torch.device, *rows: Sequence[Tensor] | Sequence[int]) -> Tensor:
    """(rows, n) int64: addresses of tensors, and numbers."""
    numbers = [[v.data_ptr() if isinstance(v, Tensor) else v for v in row] for row in rows]
    return torch.tensor(numbers, dtype=torch.int64, device="cpu").to(device)


def _places(w: Tensor, count: int) -> Tensor:
    """Offsets in memory of every k-th weight in logical order, k = ⌈size / count⌉."""
    at = torch.arange(count, device="cpu") * -(-w.numel() // max(count, 1))
    where = torch.zeros_like(at)
    for size, stride in zip(reversed(w.shape), reversed(w.stride()), strict=True):
        where += at % size * stride
        at = at // size
    return where
