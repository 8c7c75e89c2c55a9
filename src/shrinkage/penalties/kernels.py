"""The loops of :mod:`.fused`, compiled by Numba, which importing this module imports."""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from numba import cfunc, types

Loop = Callable[..., None]

_OWNERS: list[Any] = []
"""Of the machine code, which lives as long as they do."""


def clip(w: Any, residual: Any, size: int, threshold: float) -> None:
    """z = w + residual; residual ← z clipped to ±threshold, 0 for NaN; w ← z − residual."""
    for i in range(size):
        latent = w[i] + residual[i]
        kept = -threshold if latent < -threshold else latent
        kept = threshold if kept > threshold else kept
        w[i] = latent - kept
        residual[i] = kept if kept == kept else threshold - threshold


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


def shrink_each(
    rows: Any,
    residual: Any,
    step: Any,
    held: Any,
    r: Any,
    n_rows: int,
    size: int,
    since: float,
    kappa: float,
    least: float,
) -> None:
    """row ← row·r/(r + κ·since·step); where ``held`` is 0, residual ← residual + row before it."""
    zero = kappa - kappa
    for g in range(n_rows):
        at, norm = g * size, r[g]
        if held[g] == 0:
            for i in range(at, at + size):
                moved = residual[i] + rows[i]
                residual[i] = moved if moved == moved else zero
        for i in range(at, at + size):
            rows[i] *= norm / max(step[i] * since * kappa + norm, least)


class Loops(NamedTuple):
    """The loops for one dtype, called with addresses of contiguous memory."""

    clip: Loop
    clip_each: Loop
    shrink_each: Loop


@cache
def loops(bits: int) -> Loops:
    """The loops for float32 or float64, compiled at the first call and kept on disk.

    Addresses instead of arrays: a view of a tensor as an array takes longer than 10,000 weights.
    """
    real, number = {32: (types.float32, ctypes.c_float), 64: (types.float64, ctypes.c_double)}[bits]

    def compiled(loop: Loop, addresses: int, sizes: int, numbers: int) -> Loop:
        arguments = [types.CPointer(real)] * addresses + [types.intp] * sizes + [real] * numbers
        made = cfunc(types.void(*arguments), cache=True, error_model="numpy")(loop)
        _OWNERS.append(made)
        kinds = [ctypes.c_void_p] * addresses + [ctypes.c_ssize_t] * sizes + [number] * numbers
        return ctypes.CFUNCTYPE(None, *kinds)(made.address)

    return Loops(
        clip=compiled(clip, 2, 1, 1),
        clip_each=compiled(clip_each, 4, 1, 2),
        shrink_each=compiled(shrink_each, 5, 2, 3),
    )
