"""Averaged parameters that nothing unusual has happened to, looked after in few calls.

On a small network more time goes into Python between two steps than into the weights, and on a GPU
every parameter costs launches and every question a wait. A crew does what :class:`Averaged` does,
for many at once, and leaves to it whatever is out of the ordinary.
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
from shrinkage.proximal.metrics import Group, Reading, rate_of

_FORMATS = {torch.contiguous_format: 0, torch.channels_last: 4, torch.channels_last_3d: 5}
"""Memory formats and the number of dimensions that they need (0: any)."""

Groups = Mapping[int, Group]
"""The optimizer's group of each parameter, by its id."""


@dataclass(frozen=True, eq=False)
class Seat:
    """A parameter, and what a table of addresses takes for granted about it."""

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
    def is_clip(self) -> bool:
        """Whether its step is one clip of single weights, whose residuals lie as they do."""
        w, residual = self.place, self.memory.residual
        if len(self.methods) > 1 or self.averaged.penalty.clips is None:
            return False
        single = self.averaged.entry.grouping.group_size == 1 and residual.shape == w.shape
        alike = (residual.dtype, residual.stride()) == (w.dtype, w.stride())
        formats = [f for f, ndim in _FORMATS.items() if ndim in (0, w.ndim)]
        return single and alike and any(w.is_contiguous(memory_format=f) for f in formats)


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
        self._clipped = frozenset().union(*(bundle.names for bundle in self._bundles))
        self.stale = False
        """Whether tensors have been replaced by others since the tables were made."""

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
        """Start those anew that someone else has written; whether there were none."""
        for (seats, _), answer in zip(self._looks, self._answers, strict=True):
            for k in answer():
                seats[k].averaged.restart(seats[k].parameter, seats[k].memory.scale)
                self.stale = True
        return not self.stale

    def step(self, groups: Groups, read: Callable[[nn.Parameter], Reading]) -> frozenset[str]:
        """:meth:`Averaged.after` of those that are clipped together; the names of those done."""
        done: frozenset[str] = frozenset()
        for bundle in self._bundles:
            if bundle.step(groups, read):
                done |= bundle.names
            self.stale |= bundle.stale
        self.stale |= done != self._clipped  # by themselves they may replace what is in the tables
        return done


class _Bundle:
    """Seats that are clipped in one call: all with a step per weight, or all without."""

    def __init__(self, seats: Sequence[Seat], passes: Passes) -> None:
        self.names = frozenset(seat.name for seat in seats)
        self._seats, self._samples = seats, _samples(seats, passes)
        self._steps = [(seat.memory.total, seat.memory.step) for seat in seats]
        self._strengths = [seat.averaged.penalty.clips or 0.0 for seat in seats]
        self._each = isinstance(self._steps[0][0], Tensor)
        tensors = zip(*self._steps, strict=True) if self._each else ()
        rows = ([seat.place for seat in seats], [seat.memory.residual for seat in seats])
        self._clips = Clips.of(passes, *rows, *tensors)
        self.stale = False

    def step(self, groups: Groups, read: Callable[[nn.Parameter], Reading]) -> bool:
        """One step of each, unless one has no gradient or is no longer the optimizer's."""
        for seat in self._seats:
            if seat.parameter.grad is None or id(seat.parameter) not in groups:
                return False
        turn = False
        for seat in self._seats:
            memory = seat.memory
            if memory.is_turn():
                _advance(seat, read)
                turn = True
            else:
                memory.go_on(rate_of(groups[id(seat.parameter)]))
        self.stale = turn and self._replaced()
        if self.stale:
            self._one_by_one()
        else:
            self._clips.run(self._numbers())
            self._samples.note()
        return True

    @torch.no_grad()
    def _one_by_one(self) -> None:
        for seat in self._seats:
            seat.averaged.clip(seat.memory, seat.parameter)

    def _replaced(self) -> bool:
        """Whether steps are other tensors than those in the table, or no numbers any more."""
        now = [(seat.memory.total, seat.memory.step) for seat in self._seats]
        if not self._each:
            return any(isinstance(part, Tensor) for pair in now for part in pair)
        pairs = zip(now, self._steps, strict=True)
        return not all(a is b and c is d for (a, c), (b, d) in pairs)

    def _numbers(self) -> list[float]:
        if self._each:
            return [*(seat.memory.elapsed for seat in self._seats), *self._strengths]
        found = []
        for seat, strength in zip(self._seats, self._strengths, strict=True):
            memory = seat.memory
            total: float = memory.total + memory.elapsed * memory.step  # type: ignore[assignment]
            if not 0 <= total < inf:
                checked_step(seat.place, total)
            found.append(total * strength)
        return found


@torch.no_grad()
def _advance(seat: Seat, read: Callable[[nn.Parameter], Reading]) -> None:
    seat.averaged.advance(seat.memory, read(seat.parameter))


def _bundles(seats: Sequence[Seat], passes: Passes) -> list[_Bundle]:
    kinds = defaultdict(list)
    for seat in seats:
        if seat.is_clip:
            kinds[isinstance(seat.memory.total, Tensor)].append(seat)
    return [_Bundle(alike, passes) for alike in kinds.values()]


def _seat(term: Term, methods: Sequence[Method]) -> Seat | None:
    """None for coupled groups, other methods, parameters without a place in memory."""
    first, *rest = methods or (None,)
    if not isinstance(first, Averaged) or not all(isinstance(method, Prox) for method in rest):
        return None
    parameter = term.parameters[0]
    usual = term.group is None and type(parameter) is nn.Parameter and parameter.data_ptr() != 0
    if first.memory is None or not usual:
        return None
    place = parameter.detach()
    return Seat(term.entry.name, methods, first, first.memory, parameter, place, place.data_ptr())


def _samples(seats: Sequence[Seat], passes: Passes) -> Samples:
    kept = [seat.memory.written.weights for seat in seats]
    return Samples.of(passes, [seat.place for seat in seats], kept)
