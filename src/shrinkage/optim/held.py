"""Groups of many parameters that shrink by held ratios, between two turns, in few calls."""

from collections.abc import Sequence
from math import sqrt
from operator import is_

from torch import Tensor

from shrinkage.optim.methods import tiles, write_rows
from shrinkage.optim.seats import Read, Seat, readings_of, samples_of
from shrinkage.penalties.holds import Holds
from shrinkage.penalties.kernels import Passes


class Holding:
    """Seats whose groups shrink together: all with a step per weight, or all without.

    At a turn, where ratios are computed anew, each goes by itself.
    """

    def __init__(self, seats: Sequence[Seat], passes: Passes) -> None:
        self.names = frozenset(seat.name for seat in seats)
        self._seats, self._samples = seats, samples_of(seats, passes)
        self._each = isinstance(seats[0].memory.step, Tensor)
        self._views = [_view(seat) for seat in seats]
        self._kappas = [_kappa(seat) for seat in seats]
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
        holds = self._prepared()
        rows, parts, lengths = [], [], []
        for seat, view, growth in zip(self._seats, self._views, growths, strict=True):
            rows.append(seat.averaged.rows(seat.place) if view is None else view)
            since, step = seat.memory.scale * growth, seat.memory.step
            cut = _cut(rows[-1])
            parts += cut
            lengths += [since if isinstance(step, Tensor) else step * since] * len(cut)
        holds.run(parts, lengths)
        for seat, whole in zip(self._seats, rows, strict=True):
            write_rows(whole, seat.place, seat.averaged.entry)
        self._samples.note()

    def _prepared(self) -> Holds:
        """Anew after each turn."""
        memories = [seat.memory for seat in self._seats]
        held = [memory.held for memory in memories if memory.held is not None]
        steps = [memory.step for memory in memories if isinstance(memory.step, Tensor)]
        now = [*held, *steps]
        same = len(now) == len(self._known) and all(map(is_, now, self._known))
        if self._holds is None or not same:
            self._holds, self._known = self._cut_up(held, steps), now
        return self._holds

    def _cut_up(self, held: Sequence[Tensor], steps: Sequence[Tensor]) -> Holds:
        residuals: list[Tensor] = []
        ratios: list[Tensor] = []
        kappas: list[float] = []
        for seat, ratio, kappa in zip(self._seats, held, self._kappas, strict=True):
            parts = _cut(seat.memory.residual)
            residuals += parts
            ratios += ratio.chunk(len(parts))
            kappas += [kappa] * len(parts)
        return Holds(residuals, ratios, kappas, [part for step in steps for part in _cut(step)])


def _cut(rows: Tensor) -> list[Tensor]:
    """The tiles that a parameter is worked through in by itself: other sums round otherwise."""
    return [part for (part,) in tiles(rows, single=False)]


def _kappa(seat: Seat) -> float:
    strength, size = seat.averaged.penalty.holds, seat.averaged.entry.grouping.group_size
    return (strength or 0.0) * sqrt(size)


def _view(seat: Seat) -> Tensor | None:
    """The groups, where they lie in the parameter as they are: a view takes three calls."""
    rows = seat.averaged.rows(seat.place)
    return rows if rows.data_ptr() == seat.address else None
