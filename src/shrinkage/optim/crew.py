"""Averaged parameters that nothing unusual has happened to, looked after in few calls.

On a small network more time goes into Python between two steps than into the weights, and on a GPU
every parameter costs launches and every question a wait. A crew does what :class:`Averaged` does,
for many at once, and leaves to it whatever is out of the ordinary. Nothing of it is recorded by
autograd: whoever calls sees to that.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor

from shrinkage.optim.clips import Clipping
from shrinkage.optim.held import Holding
from shrinkage.optim.methods import Method
from shrinkage.optim.seats import Read, Seat, samples_of, seat_of
from shrinkage.penalties.kernels import Passes, Samples, passes_for
from shrinkage.plans.coupled import Term


class Crew:
    """All parameters of a handle that can be looked after together."""

    def __init__(self, terms: Iterable[Term], methods: Mapping[str, Sequence[Method]]) -> None:
        alike: dict[object, list[Seat]] = defaultdict(list)
        for term in terms:
            seat = seat_of(term, methods[term.entry.name])
            if seat is not None:
                alike[seat.place.device, seat.place.dtype].append(seat)
        self._seats: list[Seat] = []
        self._looks: list[tuple[list[Seat], Samples]] = []
        self._answers: list[Callable[[], list[int]]] = []
        self._bundles: list[Clipping | Holding] = []
        for seats in alike.values():
            passes = passes_for([seat.place for seat in seats])
            if passes is not None:
                self._seats += seats
                self._looks.append((seats, samples_of(seats, passes)))
                self._bundles += _bundles(seats, passes)
        self.names = frozenset(seat.name for seat in self._seats)
        self.together = True
        """Whether in the last step all that are clipped were clipped in one call."""

    def look(self, scale: float) -> bool:
        """:meth:`Averaged.before` of all; False where a parameter has moved, or the scale is 0.

        Whether someone else has written one is asked here, before the optimizer writes it, and
        answered in :meth:`heed`: a GPU has got the optimizer's work in the meantime.
        """
        if not scale or not all(seat.unmoved for seat in self._seats):
            return False
        self._answers = [samples.ask() for _, samples in self._looks]
        for seat in self._seats:
            if seat.memory.scale != scale:
                seat.averaged.rescale(seat.memory, seat.place, scale)
        return True

    def heed(self) -> bool:
        """Start those anew that someone else has written; whether there were none.

        False, too, where the optimizer has moved a parameter elsewhere instead of writing it.
        """
        calm = True
        for (seats, _), answer in zip(self._looks, self._answers, strict=True):
            for k in answer():
                seat = seats[k]
                trained = seat.parameter.requires_grad  # what is frozen, momentum may still move
                start = seat.averaged.overwritten if trained else seat.averaged.restart
                start(seat.parameter, seat.memory.scale)
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


def _bundles(seats: Sequence[Seat], passes: Passes) -> list[Clipping | Holding]:
    clipped, held = defaultdict(list), defaultdict(list)
    for seat in seats:
        if seat.is_clip:
            clipped[len(seat.steps)].append(seat)
        elif seat.is_hold:
            held[isinstance(seat.memory.step, Tensor)].append(seat)
    return [
        *(Clipping(alike, passes) for alike in clipped.values()),
        *(Holding(alike, passes) for alike in held.values()),
    ]
