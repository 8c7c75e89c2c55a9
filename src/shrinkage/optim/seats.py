"""Averaged parameters that nothing unusual has happened to, and where they lie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shrinkage.optim.memory import Memory
from shrinkage.optim.methods import Averaged, Method, Prox
from shrinkage.optim.metrics import Reading
from shrinkage.penalties.kernels import Passes, Samples
from shrinkage.plans.coupled import Term

_FORMATS = {torch.contiguous_format: 0, torch.channels_last: 4, torch.channels_last_3d: 5}
"""Memory formats and the number of dimensions that they need (0: any)."""

Read = Callable[[nn.Parameter], Reading | None]
"""What the optimizer did to a parameter; None where it is no longer the optimizer's."""


@dataclass(frozen=True, eq=False)
class Seat:
    """A parameter, and where it was when tables of addresses were made of it."""

    name: str
    methods: Sequence[Method]
    averaged: Averaged
    memory: Memory
    parameter: nn.Parameter
    place: Tensor
    address: int

    @property
    def unmoved(self) -> bool:
        """Whether parameter and memory are the same in the same place."""
        w, same = self.parameter, self.averaged.memory is self.memory
        return same and w.data_ptr() == self.address and w.is_set_to(self.place)

    @property
    def steps(self) -> tuple[Tensor, ...]:
        """Sum of the steps and last step, as far as they are tensors."""
        parts = (self.memory.total, self.memory.step)
        return tuple(part for part in parts if isinstance(part, Tensor))

    @property
    def is_clip(self) -> bool:
        """Whether its step is one clip of single weights, and all that it takes lies as they do."""
        w = self.place
        if len(self.methods) > 1 or self.averaged.penalty.clips is None:
            return False
        formats = [f for f, ndim in _FORMATS.items() if ndim in (0, w.ndim)]
        dense = any(w.is_contiguous(memory_format=f) for f in formats)
        alike = all(_kind(part) == _kind(w) for part in (self.memory.residual, *self.steps))
        single = self.averaged.entry.grouping.group_size == 1
        return single and dense and alike and len(self.steps) != 1

    @property
    def is_hold(self) -> bool:
        """Whether its groups shrink by held ratios, between two turns, in the weights' dtype."""
        alone = len(self.methods) == 1 and self.averaged.penalty.holds is not None
        parts = (self.memory.residual, *self.steps)
        return alone and all(part.dtype == self.place.dtype for part in parts)


def seat_of(term: Term, methods: Sequence[Method]) -> Seat | None:
    """None for coupled groups, other methods, parameters without a gradient or without memory."""
    first, *rest = methods or (None,)
    if not isinstance(first, Averaged) or not all(isinstance(method, Prox) for method in rest):
        return None
    parameter = term.parameters[0]
    usual = term.group is None and type(parameter) is nn.Parameter and parameter.data_ptr() != 0
    if first.memory is None or not usual or parameter.grad is None:
        return None
    place = parameter.detach()
    return Seat(term.entry.name, methods, first, first.memory, parameter, place, place.data_ptr())


def _kind(tensor: Tensor) -> tuple[object, ...]:
    return tensor.dtype, tensor.device, tensor.shape, tensor.stride()


def readings_of(seats: Sequence[Seat], read: Read) -> list[Reading] | None:
    """One of each; None where a parameter has no gradient, is frozen or not the optimizer's."""
    found = []
    for seat in seats:
        reading, parameter = read(seat.parameter), seat.parameter
        if reading is None or parameter.grad is None or not parameter.requires_grad:
            return None
        found.append(reading)
    return found


def samples_of(seats: Sequence[Seat], passes: Passes) -> Samples:
    """Some of their weights, as their memories have them."""
    kept = [seat.memory.written.weights for seat in seats]
    return Samples.of(passes, [seat.place for seat in seats], kept)
