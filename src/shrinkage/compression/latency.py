"""How large and how fast: multiply–accumulates, and latency by interleaved runs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from statistics import median
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from torch.utils.module_tracker import ModuleTracker

from shrinkage.compression.copies import copied
from shrinkage.graph import Inputs
from shrinkage.graph.call import replaced, tensors
from shrinkage.graph.wrappers import running_eagerly

Sizes = tuple[int, ...]
_SECONDS = 0.4
_ROUNDS = range(5, 200)
_DISTURBED = 3.0


@dataclass(frozen=True)
class Latency:
    """Medians in milliseconds of interleaved runs of both networks at one batch size.

    ``disturbed``: a median is several times the shortest run, so that something else was at work.
    """

    device: str
    batch: int
    before: float
    after: float
    disturbed: bool = False

    @property
    def speedup(self) -> float:
        """How many times faster the compact network is."""
        return self.before / self.after if self.after else 1.0


def macs(model: nn.Module, inputs: Inputs) -> int:
    """Multiply–accumulates of one example: convolutions, matrix products, attention, recurrence.

    Attention is counted whole, with what a causal mask leaves out.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_LACKING)
    counter.mod_tracker = _Whole()
    with torch.enable_grad(), _step_by_step(), counter:
        model(*inputs)
    return int(counter.get_total_flops()) // (2 * rows(inputs))


class _Whole(ModuleTracker):
    """Counts of the whole network alone: hooks on its modules fail where it takes gradients."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _attention_flops(query: Sizes, key: Sizes, value: Sizes, *_: object, **__: object) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _vector_flops(matrix: Sizes, *_: object, **__: object) -> int:
    return 2 * prod(matrix)


def _added_vector_flops(_: Sizes, matrix: Sizes, *__: object, **___: object) -> int:
    return 2 * prod(matrix)


def _bilinear_flops(left: Sizes, weight: Sizes, *_: object, **__: object) -> int:
    outputs, inner, outer = weight  # the left with the weight, and what comes of it with the right
    return 2 * left[0] * outputs * outer * (inner + 1)


_LACKING = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten.mv: _vector_flops,
    torch.ops.aten.dot: _vector_flops,
    torch.ops.aten.addmv: _added_vector_flops,
    torch.ops.aten._trilinear: _bilinear_flops,
}
"""What the counter does not know: attention on a CPU, products with a vector, bilinear layers."""


@contextmanager
def _step_by_step() -> Iterator[None]:
    """Without the calls that do a whole layer at once, whose products nobody counts."""
    onednn: Any = torch.backends.mkldnn  # LSTMs; its own flags() sets precisions too, and warns
    attention = torch.backends.mha
    before = onednn.enabled, attention.get_fastpath_enabled()
    onednn.enabled = False
    attention.set_fastpath_enabled(False)
    try:
        with running_eagerly():
            yield
    finally:
        onednn.enabled = before[0]
        attention.set_fastpath_enabled(before[1])


def rows(inputs: Inputs) -> int:
    """The number of examples in a batch."""
    return next((len(t) for t in tensors(inputs) if t.ndim), 1)


def batch_of(inputs: Inputs, size: int) -> Inputs:
    """The examples again and again, ``size`` of them."""

    def repeated(t: Tensor) -> Tensor:
        return t.repeat(-(-size // len(t)), *[1] * (t.ndim - 1))[:size] if t.ndim else t

    return tuple(replaced(value, repeated) for value in inputs)


def latencies(
    before: nn.Module, after: nn.Module, first: Inputs, second: Inputs, sizes: Sequence[int]
) -> tuple[Latency, ...]:
    """Both networks on the CPU, and on the GPU where there is one, at each batch size."""
    found = []
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        pair = [copied(model).to(device).eval() for model in (before, after)]
        for size in sizes:
            batches = [
                tuple(replaced(v, lambda t: t.to(device)) for v in batch_of(inputs, size))  # noqa: B023
                for inputs in (first, second)
            ]
            calls = [partial(model, *batch) for model, batch in zip(pair, batches, strict=True)]
            taken = runs(calls)
            disturbed = any(median(times) > _DISTURBED * min(times) for times in taken)
            one, other = map(median, taken)
            found.append(Latency(device, size, one, other, disturbed))
    return tuple(found)


def interleaved(
    calls: Sequence[Callable[[], object]],
    seconds: float = _SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """The median milliseconds of each call: see :func:`runs`."""
    return [median(times) for times in runs(calls, seconds, clock)]


def runs(
    calls: Sequence[Callable[[], object]],
    seconds: float = _SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """The milliseconds of each call, one after the other in every round.

    ``clock``: ``time.thread_time`` sees other processes less, where one thread does all.
    """
    taken: list[list[float]] = [[] for _ in calls]
    with torch.no_grad():
        for call in calls:  # a first run allocates
            call()
        end = time.perf_counter() + seconds * len(calls)
        for k in range(_ROUNDS.stop):
            for call, into in zip(calls, taken, strict=True):
                _settle()
                start = clock()
                call()
                _settle()
                into.append(1e3 * (clock() - start))
            if k + 1 >= _ROUNDS.start and time.perf_counter() > end:
                break
    return taken


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
