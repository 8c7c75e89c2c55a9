"""Groups of many parameters that shrink by held ratios, between two turns, in few calls."""

from collections.abc import Sequence
from math import sqrt
from operator import is_

from torch import Tensor

from shrinkage.kernels import Passes
from shrinkage.penalties.holds import Holds
from shrinkage.proximal.methods import write_rows
from shrinkage.proximal.seats import Read, Seat, readings_of, samples_of


class Holding:
    """Seats whose groups shrink together: all with a step per weight, or all without.

    At a turn, where ratios are computed anew, each goes by itself.
    """

    def __init__(self, seats: Sequence[Seat], passes: Passes) -> None:
        self.names = frozenset(seat.name for seat in seats)
        self._seats, self._samples = seats, samples_of(seats, passes)
        self._each = isinstance(seats[0].memory.step, Tensor)
        self._views = [_view(seat) for seat in seats]
        self._kappas = []
        for seat in seats:
            strength, size = seat.averaged.penalty.holds, seat.averaged.entry.grouping.group_size
            self._kappas.append((strength or 0.0) * sqrt(size))
        self._holds: Holds | None = None
        self._known: list[Tensor] = []
        self.together = True

    def step(self, read: Read) -> bool:
        """One step of each; False where it is one's turn, or one was not trained."""
        if any(seat.memory.is_turn() or seat.memory.held is None for seat in self._seats):
            return False
        readings = readings_of(self._seats, read)
        if readings is None:
            return False
        pairs = zip(self._seats, readings, strict=True)
        growths = [s.averaged.advance(s.memory, reading, turn=False) for s, reading in pairs]
        self.together = not self.replaced()
        if self.together:
            self._run(growths)
        else:
            for seat, growth in zip(self._seats, growths, strict=True):
                seat.averaged.hold(seat.memory, seat.parameter, growth)
        return True

    def replaced(self) -> bool:
        """Whether some have a step per weight now, or no longer."""
        return any(isinstance(seat.memory.step, Tensor) != self._each for seat in self._seats)

    def _run(self, growths: Sequence[float]) -> None:
        rows = [
            seat.averaged.rows(seat.place) if view is None else view
            for seat, view in zip(self._seats, self._views, strict=True)
        ]
        lengths = []
        for seat, growth in zip(self._seats, growths, strict=True):
            since, step = seat.memory.scale * growth, seat.memory.step
            lengths.append(since if isinstance(step, Tensor) else step * since)
        self._prepared().run(rows, lengths)
        for seat, part in zip(self._seats, rows, strict=True):
            write_rows(part, seat.place, seat.averaged.entry)
        self._samples.note()

    def _prepared(self) -> Holds:
        """Anew after each turn."""
        held = [seat.memory.held for seat in self._seats if seat.memory.held is not None]
        steps = [seat.memory.step for seat in self._seats if isinstance(seat.memory.step, Tensor)]
        now = [*held, *steps]
        same = len(now) == len(self._known) and all(map(is_, now, self._known))
        if self._holds is None or not same:
            residuals = [seat.memory.residual for seat in self._seats]
            self._holds, self._known = Holds(residuals, held, self._kappas, steps), now
        return self._holds


def _view(seat: Seat) -> Tensor | None:
    """The groups, where they lie in the parameter as they are: a view takes three calls."""
    rows = seat.averaged.rows(seat.place)
    return rows if rows.data_ptr() == seat.address else None
