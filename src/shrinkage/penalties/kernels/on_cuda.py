"""Triton's kernels, which importing this module imports: each launched once for all parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from shrinkage.penalties.kernels.bundles import Ask, Clips, Samples

_BLOCK, _SAMPLES = 2048, 1024
_PROGRAMS = 4096
"""About so many in all fill a device; each takes every so-manieth block of its tensor."""
_EXACT = {"enable_fp_fusion": False}
"""A product and a sum round twice, as PyTorch's two operations do."""


@triton.jit  # type: ignore[untyped-decorator]
def _at(table, row, n, k, kind: tl.constexpr, aligned: tl.constexpr):  # type: ignore[no-untyped-def]
    """The address in a row of the table, of tensor k; whether to take it for a multiple of 16."""
    address = tl.load(table + row * n + k).to(tl.pointer_type(kind), bitcast=True)
    if aligned:
        address = tl.multiple_of(address, [16])
    return address


@triton.jit
def _clip_at(w, residual, at, inside, threshold):  # type: ignore[no-untyped-def]
    latent = tl.load(w + at, mask=inside) + tl.load(residual + at, mask=inside)
    kept = tl.where(latent < -threshold, -threshold, latent)
    kept = tl.where(kept > threshold, threshold, kept)
    tl.store(w + at, latent - kept, mask=inside)
    tl.store(residual + at, tl.where(kept == kept, kept, 0.0), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _clip(  # type: ignore[no-untyped-def]
    table, numbers, n, kind: tl.constexpr, aligned: tl.constexpr, block: tl.constexpr
):
    k = tl.program_id(0)
    w, residual = _at(table, 0, n, k, kind, aligned), _at(table, 1, n, k, kind, aligned)
    size, threshold = tl.load(table + 2 * n + k), tl.load(numbers + k)
    for start in range(tl.program_id(1) * block, size, tl.num_programs(1) * block):
        at = start + tl.arange(0, block)
        if start + block <= size:  # without a mask, loads are as wide as they can be
            _clip_at(w, residual, at, None, threshold)
        else:
            _clip_at(w, residual, at, at < size, threshold)


@triton.jit
def _threshold_at(total, step, at, inside, elapsed, strength):  # type: ignore[no-untyped-def]
    moved = tl.load(step + at, mask=inside) * elapsed
    return (tl.load(total + at, mask=inside) + moved) * strength


@triton.jit  # type: ignore[untyped-decorator]
def _clip_each(  # type: ignore[no-untyped-def]
    table, numbers, n, kind: tl.constexpr, aligned: tl.constexpr, block: tl.constexpr
):
    k = tl.program_id(0)
    w, residual = _at(table, 0, n, k, kind, aligned), _at(table, 1, n, k, kind, aligned)
    total, step = _at(table, 2, n, k, kind, aligned), _at(table, 3, n, k, kind, aligned)
    size = tl.load(table + 4 * n + k)
    elapsed, strength = tl.load(numbers + k), tl.load(numbers + n + k)
    for start in range(tl.program_id(1) * block, size, tl.num_programs(1) * block):
        at = start + tl.arange(0, block)
        if start + block <= size:
            threshold = _threshold_at(total, step, at, None, elapsed, strength)
            _clip_at(w, residual, at, None, threshold)
        else:
            threshold = _threshold_at(total, step, at, at < size, elapsed, strength)
            _clip_at(w, residual, at, at < size, threshold)


@triton.jit  # type: ignore[untyped-decorator]
def _differs(table, found, n, kind: tl.constexpr, block: tl.constexpr):  # type: ignore[no-untyped-def]
    k = tl.program_id(0)
    w, kept = _at(table, 0, n, k, kind, False), _at(table, 1, n, k, kind, False)
    places, count = _at(table, 2, n, k, tl.int64, False), tl.load(table + 3 * n + k)
    for start in range(0, count, block):
        at = start + tl.arange(0, block)
        inside = at < count
        now = tl.load(w + tl.load(places + at, mask=inside, other=0), mask=inside, other=0.0)
        unlike = (now == tl.load(kept + at, mask=inside, other=0.0)) == 0  # NaN is unlike all
        if tl.max(unlike.to(tl.int32), axis=0) > 0:
            tl.store(found + k, 1)


@triton.jit  # type: ignore[untyped-decorator]
def _note(table, n, kind: tl.constexpr, block: tl.constexpr):  # type: ignore[no-untyped-def]
    k = tl.program_id(0)
    w, kept = _at(table, 0, n, k, kind, False), _at(table, 1, n, k, kind, False)
    places, count = _at(table, 2, n, k, tl.int64, False), tl.load(table + 3 * n + k)
    for start in range(0, count, block):
        at = start + tl.arange(0, block)
        inside = at < count
        now = tl.load(w + tl.load(places + at, mask=inside, other=0), mask=inside)
        tl.store(kept + at, now, mask=inside)


@dataclass(frozen=True, eq=False)
class Launches:
    """:class:`shrinkage.penalties.kernels.bundles.Passes` on a CUDA device."""

    device: torch.device
    dtype: torch.dtype

    def differs(self, table: Tensor) -> Ask:
        """The answer waits for the device."""
        found = torch.zeros(table.shape[1], dtype=torch.int32, device=self.device)
        launch = self._launch(_differs, (table.shape[1],), (_SAMPLES,), table, found)

        def ask() -> Callable[[], list[int]]:
            found.zero_()
            launch()
            return lambda: [k for k, differs in enumerate(found.tolist()) if differs]

        return ask

    def note(self, table: Tensor) -> Callable[[], None]:
        """One program per tensor."""
        return self._launch(_note, (table.shape[1],), (_SAMPLES,), table)

    def clip(self, table: Tensor) -> Callable[[Sequence[float]], None]:
        """To be called when the last call's work is done, as it is after an answer."""
        return self._filled(_clip, table, table.shape[1])

    def clip_each(self, table: Tensor) -> Callable[[Sequence[float]], None]:
        """To be called when the last call's work is done, as it is after an answer."""
        return self._filled(_clip_each, table, 2 * table.shape[1])

    def _filled(self, kernel: Any, table: Tensor, count: int) -> Callable[[Sequence[float]], None]:
        on_cuda = self.device.type == "cuda"
        pinned = torch.empty(count, dtype=self.dtype, device="cpu", pin_memory=on_cuda)
        numbers, writable = torch.empty_like(pinned, device=self.device), pinned.numpy()
        grid = (table.shape[1], max(64, _PROGRAMS // table.shape[1]))
        aligned = bool((table[:-1] % 16 == 0).all())
        launch = self._launch(kernel, grid, (aligned, _BLOCK), table, numbers)

        def call(values: Sequence[float]) -> None:
            writable[:] = values
            numbers.copy_(pinned, non_blocking=True)
            launch()

        return call

    def _launch(
        self,
        kernel: Any,
        grid: tuple[int, ...],
        constants: tuple[int, ...],
        table: Tensor,
        *more: Tensor,
    ) -> Callable[[], None]:
        kind = tl.float32 if self.dtype == torch.float32 else tl.float64
        arguments = (table, *more, table.shape[1], kind, *constants)

        def launch() -> None:
            with torch.cuda.device(self.device):
                kernel[grid](*arguments, **_EXACT)

        return launch


def passes(device: torch.device, dtype: torch.dtype) -> Launches:
    """The kernels for one device and dtype (float32 or float64), tried on one weight."""
    found = Launches(device, dtype)
    one = [torch.zeros(1, dtype=dtype, device=device) for _ in range(4)]
    samples = Samples.of(found, one[:1], one[1:2])
    samples.note()
    samples.ask()()
    Clips.of(found, one[:1], one[1:2]).run([0.0])
    Clips.of(found, *([tensor] for tensor in one)).run([0.0, 0.0])
    return found
