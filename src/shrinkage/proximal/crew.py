"""Averaged parameters that nothing unusual has happened to, looked after in few calls.

On a small network more time goes into Python between two steps than into the weights, and on a GPU
every parameter costs launches and every question a wait. A crew does what :class:`Averaged` does,
for many at once, and leaves to it whatever is out of the ordinary. Nothing of it is recorded by
autograd: whoever calls sees to that.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

from shrinkage.kernels import Clips, Passes, Samples, passes_for
from shrinkage.penalties.base import checked_step
from shrinkage.plans.coupled import Term
from shrinkage.proximal.memory import Memory
from shrinkage.proximal.methods import Averaged, Method, Prox
from shrinkage.proximal.metrics import Reading

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

    def unmoved(self, scale: float) -> bool:
        """Whether parameter and memory are the same in the same place, under the same scale."""
        w, memory = self.parameter, self.memory
        same = self.averaged.memory is memory and memory.scale == scale
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


class Crew:
    """All parameters of a handle that can be looked after together."""

    def __init__(self, terms: Iterable[Term], methods: Mapping[str, Sequence[Method]]) -> None:
        alike: dict[object, list[Seat]] = defaultdict(list)
        for term in terms:
            seat = _seat(term, methods[term.entry.name])
            if seat is not None:
                alike[seat.place.device, seat.place.dtype].append(seat)
        self._seats: list[Seat] = []
        self._looks: list[tuple[list[Seat], Samples]] = []
        self._answers: list[Callable[[], list[int]]] = []
        self._bundles: list[_Bundle] = []
        for seats in alike.values():
            passes = passes_for([seat.place for seat in seats])
            if passes is not None:
                self._seats += seats
                self._looks.append((seats, _samples(seats, passes)))
                self._bundles += _bundles(seats, passes)
        self.names = frozenset(seat.name for seat in self._seats)
        self.together = True
        """Whether in the last step all that are clipped were clipped in one call."""

    def look(self, scale: float) -> bool:
        """:meth:`Averaged.before` of all; False where a parameter has moved, or the scale has.

        Whether someone else has written one is asked here, before the optimizer writes it, and
        answered in :meth:`heed`: a GPU has got the optimizer's work in the meantime.
        """
        for seat in self._seats:
            if not seat.unmoved(scale):
                return False
        self._answers = [samples.ask() for _, samples in self._looks]
        return True

    def heed(self) -> bool:
        """Start those anew that someone else has written; whether there were none.

        False, too, where the optimizer has moved a parameter elsewhere instead of writing it.
        """
        calm = True
        for (seats, _), answer in zip(self._looks, self._answers, strict=True):
            for k in answer():
                seats[k].averaged.restart(seats[k].parameter, seats[k].memory.scale)
                calm = False
        return calm and all(seat.parameter.data_ptr() == seat.address for seat in self._seats)

    def step(self, read: Read) -> frozenset[str]:
        """:meth:`Averaged.after` of those that are clipped together; the names of those done."""
        done: frozenset[str] = frozenset()
        self.together = True
        for bundle in self._bundles:
            if bundle.step(read):
                done |= bundle.names
            self.together &= bundle.together
        return done

    def replaced(self) -> bool:
        """Whether there are other tensors now than those in the tables."""
        return any(bundle.replaced() for bundle in self._bundles)


class _Bundle:
    """Seats that are clipped in one call: all with a step per weight, or all without."""

    def __init__(self, seats: Sequence[Seat], passes: Passes) -> None:
        self.names = frozenset(seat.name for seat in seats)
        self._seats, self._samples = seats, _samples(seats, passes)
        self._steps = [seat.steps for seat in seats]
        self._strengths = [seat.averaged.penalty.clips or 0.0 for seat in seats]
        rows = ([seat.place for seat in seats], [seat.memory.residual for seat in seats])
        self._clips = Clips.of(passes, *rows, *zip(*self._steps, strict=True))
        self.together = True

    def step(self, read: Read) -> bool:
        """One step of each, unless one has no gradient or is no longer the optimizer's."""
        readings, self.together = [], False
        for seat in self._seats:
            reading = read(seat.parameter)
            if reading is None or seat.parameter.grad is None:
                return False
            readings.append(reading)
        turn = False
        for seat, reading in zip(self._seats, readings, strict=True):
            turn |= _advance(seat, reading)
        if turn and self.replaced():
            _one_by_one(self._seats)
        else:
            self._clips.run(self._numbers())
            self._samples.note()
            self.together = True
        return True

    def replaced(self) -> bool:
        """Whether steps are other tensors than those in the table, or no numbers any more."""
        for seat, before in zip(self._seats, self._steps, strict=True):
            now = seat.steps
            if len(now) != len(before) or any(a is not b for a, b in zip(now, before, strict=True)):
                return True
        return False

    def _numbers(self) -> list[float]:
        if self._steps[0]:
            return [*(seat.memory.elapsed for seat in self._seats), *self._strengths]
        found = []
        for seat, strength in zip(self._seats, self._strengths, strict=True):
            memory = seat.memory
            total: float = memory.total + memory.elapsed * memory.step  # type: ignore[assignment]
            if not 0 <= total < inf:
                checked_step(seat.place, total)
            found.append(total * strength)
        return found


def _advance(seat: Seat, reading: Reading) -> bool:
    """One step more; whether a step may have been read anew that is a tensor."""
    memory = seat.memory
    if isinstance(memory.step, Tensor) and not memory.is_turn():
        memory.go_on(reading.rate)
        return False
    seat.averaged.advance(memory, reading, turn=memory.is_turn())
    return isinstance(memory.step, Tensor) or isinstance(memory.total, Tensor)


def _one_by_one(seats: Sequence[Seat]) -> None:
    for seat in seats:
        seat.averaged.clip(seat.memory, seat.parameter)


def _bundles(seats: Sequence[Seat], passes: Passes) -> list[_Bundle]:
    kinds = defaultdict(list)
    for seat in seats:
        if seat.is_clip:
            kinds[len(seat.steps)].append(seat)
    return [_Bundle(alike, passes) for alike in kinds.values()]


def _seat(term: Term, methods: Sequence[Method]) -> Seat | None:
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


def _samples(seats: Sequence[Seat], passes: Passes) -> Samples:
    kept = [seat.memory.written.weights for seat in seats]
    return Samples.of(passes, [seat.place for seat in seats], kept)
