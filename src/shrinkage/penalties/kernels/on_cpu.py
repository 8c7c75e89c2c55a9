"""Loops compiled by Numba, which importing this module imports."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from numba import cfunc, types
from numba.extending import register_jitable
from torch import Tensor

from shrinkage.penalties.kernels.bundles import Ask

Loop = Callable[..., Any]

_OWNERS: list[Any] = []
"""Of the machine code, which lives as long as they do."""


@register_jitable  # type: ignore[untyped-decorator]
def clip(w: Any, residual: Any, size: int, threshold: float) -> None:
    """z = w + residual; residual ← z clipped to ±threshold, 0 for NaN; w ← z − residual."""
    for i in range(size):
        latent = w[i] + residual[i]
        kept = -threshold if latent < -threshold else latent
        kept = threshold if kept > threshold else kept
        w[i] = latent - kept
        residual[i] = kept if kept == kept else threshold - threshold


@register_jitable  # type: ignore[untyped-decorator]
def clip_each(
    w: Any, residual: Any, total: Any, step: Any, size: int, elapsed: float, strength: float
) -> None:
    """The same with the threshold strength·(total + elapsed·step) of each weight."""
    zero = strength - strength
    for i in range(size):
        threshold = (total[i] + step[i] * elapsed) * strength
        latent = w[i] + residual[i]
        kept = -threshold if latent < -threshold else latent
        kept = threshold if kept > threshold else kept
        w[i] = latent - kept
        residual[i] = kept if kept == kept else zero


def lift(w: Any, residual: Any, size: int, threshold: float, ratio: float) -> None:
    """residual ← residual·ratio where w ≠ 0, residual clipped to ±threshold where w = 0."""
    for i in range(size):
        kept = max(min(residual[i], threshold), -threshold)
        residual[i] = kept if w[i] == 0 else residual[i] * ratio


def lift_each(
    w: Any,
    residual: Any,
    total: Any,
    step: Any,
    size: int,
    elapsed: float,
    strength: float,
    ratio: float,
) -> None:
    """The same with the threshold strength·(total + elapsed·step) of each weight."""
    for i in range(size):
        threshold = (total[i] + step[i] * elapsed) * strength
        kept = max(min(residual[i], threshold), -threshold)
        residual[i] = kept if w[i] == 0 else residual[i] * ratio


def shrink_each(
    rows: Any,
    residual: Any,
    step: Any,
    held: Any,
    r: Any,
    n_rows: int,
    size: int,
    numbers: Any,
) -> None:
    """row ← row·r/(r + κ·since·step); where ``held`` is 0, residual ← residual + row before it.

    ``numbers``: since, κ, and the least that a row is divided by.
    """
    since, kappa, least = numbers[0], numbers[1], numbers[2]
    zero = kappa - kappa
    for g in range(n_rows):
        at, norm = g * size, r[g]
        if held[g] == 0:
            for i in range(at, at + size):
                moved = residual[i] + rows[i]
                residual[i] = moved if moved == moved else zero
        for i in range(at, at + size):
            rows[i] *= norm / max(step[i] * since * kappa + norm, least)


def clip_all(weights: Any, residuals: Any, sizes: Any, thresholds: Any, n: int) -> None:
    """:func:`clip` of n tensors."""
    for k in range(n):
        clip(weights[k], residuals[k], sizes[k], thresholds[k])


def clip_each_all(
    weights: Any, residuals: Any, totals: Any, steps: Any, sizes: Any, factors: Any, n: int
) -> None:
    """:func:`clip_each` of n tensors; factors: all elapsed, then all strengths."""
    for k in range(n):
        at = (weights[k], residuals[k], totals[k], steps[k])
        clip_each(*at, sizes[k], factors[k], factors[n + k])


def differs(weights: Any, kept: Any, places: Any, counts: Any, n: int, first: int) -> int:
    """The first of n tensors, from ``first`` on, with weights[places] ≠ kept; n where none is."""
    for k in range(first, n):
        w, old, at = weights[k], kept[k], places[k]
        for i in range(counts[k]):
            if not (w[at[i]] == old[i]):  # noqa: SIM201  (NaN differs)
                return k
    return n


def note(weights: Any, kept: Any, places: Any, counts: Any, n: int) -> None:
    """kept ← weights[places] of n tensors."""
    for k in range(n):
        w, old, at = weights[k], kept[k], places[k]
        for i in range(counts[k]):
            old[i] = w[at[i]]


class Loops(NamedTuple):
    """The loops for one dtype, called with addresses of contiguous memory."""

    clip: Loop
    clip_each: Loop
    lift: Loop
    lift_each: Loop
    shrink_each: Loop
    passes: "LoopPasses"

    def numbers(self, *values: float) -> object:
        """Several numbers where a loop takes the address of one."""
        return (self.passes.number * len(values))(*values)


@dataclass(frozen=True)
class LoopPasses:
    """:class:`shrinkage.penalties.kernels.bundles.LoopPasses` on a CPU."""

    number: Any
    clip_loop: Loop
    clip_each_loop: Loop
    differs_loop: Loop
    note_loop: Loop

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def differs(self, table: Tensor) -> Ask:
        """Calls of :func:`differs`, one more than tensors are found."""
        next_from, n = _bound(self.differs_loop, table), table.shape[1]

        def ask() -> Callable[[], list[int]]:
            found, at = [], next_from(0)
            while at < n:
                found.append(at)
                at = next_from(at + 1)
            return lambda: found

        return ask

    def note(self, table: Tensor) -> Callable[[], None]:
        """A call of :func:`note`."""
        return _bound(self.note_loop, table)

    def clip(self, table: Tensor) -> Callable[[Sequence[float]], None]:
        """A call of :func:`clip_all`."""
        return self._filled(self.clip_loop, table, table.shape[1])

    def clip_each(self, table: Tensor) -> Callable[[Sequence[float]], None]:
        """A call of :func:`clip_each_all`."""
        return self._filled(self.clip_each_loop, table, 2 * table.shape[1])

    def _filled(self, loop: Loop, table: Tensor, count: int) -> Callable[[Sequence[float]], None]:
        numbers = (self.number * count)()
        run = _bound(loop, table, ctypes.addressof(numbers))

        def call(values: Sequence[float]) -> None:
            numbers[:] = values
            run()

        return call


def _bound(loop: Loop, table: Tensor, *more: int) -> Callable[..., Any]:
    """``loop`` with addresses of the table's rows, more addresses, and the number of columns."""
    length = table.shape[1] * table.element_size()
    rows = [table.data_ptr() + k * length for k in range(len(table))]
    arguments = (*rows, *more, table.shape[1])
    return lambda *last: (loop(*arguments, *last), table)[0]  # which keeps the table alive


@cache
def loops(bits: int) -> Loops:
    """The loops for float32 or float64, compiled at the first call and kept on disk.

    Addresses instead of arrays: a view of a tensor as an array takes longer than 10,000 weights.
    """
    real, number = {32: (types.float32, ctypes.c_float), 64: (types.float64, ctypes.c_double)}[bits]
    floats, sizes = types.CPointer(real), types.CPointer(types.int64)
    many, places = types.CPointer(floats), types.CPointer(sizes)
    kinds: dict[Any, Any] = {real: number, types.intp: ctypes.c_ssize_t}

    def compiled(loop: Loop, *arguments: Any, gives: Any = types.void) -> Loop:
        made = cfunc(gives(*arguments), cache=True, error_model="numpy")(loop)
        _OWNERS.append(made)
        returned = None if gives is types.void else kinds[gives]
        taken = [kinds.get(argument, ctypes.c_void_p) for argument in arguments]
        return ctypes.CFUNCTYPE(returned, *taken)(made.address)

    one = compiled(clip, *[floats] * 2, types.intp, real)
    each = compiled(clip_each, *[floats] * 4, types.intp, real, real)
    return Loops(
        clip=one,
        clip_each=each,
        lift=compiled(lift, *[floats] * 2, types.intp, *[real] * 2),
        lift_each=compiled(lift_each, *[floats] * 4, types.intp, *[real] * 3),
        shrink_each=compiled(shrink_each, *[floats] * 5, *[types.intp] * 2, floats),
        passes=LoopPasses(
            number,
            compiled(clip_all, many, many, sizes, floats, types.intp),
            compiled(clip_each_all, *[many] * 4, sizes, floats, types.intp),
            compiled(differs, many, many, places, sizes, *[types.intp] * 2, gives=types.intp),
            compiled(note, many, many, places, sizes, types.intp),
        ),
    )
