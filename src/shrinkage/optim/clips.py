"""Single weights of many parameters, clipped in one call."""

from collections.abc import Sequence
from math import inf

from torch import Tensor

from shrinkage.optim.metrics import Reading
from shrinkage.optim.seats import Read, Seat, readings_of, samples_of
from shrinkage.penalties.base import checked_step
from shrinkage.penalties.kernels import Clips, Passes


class Clipping:
    """Seats that are clipped in one call: all with a step per weight, or all without."""

    def __init__(self, seats: Sequence[Seat], passes: Passes) -> None:
        self.names = frozenset(seat.name for seat in seats)
        self._seats, self._samples = seats, samples_of(seats, passes)
        self._steps = [seat.steps for seat in seats]
        self._strengths = [seat.averaged.penalty.clips or 0.0 for seat in seats]
        rows = ([seat.place for seat in seats], [seat.memory.residual for seat in seats])
        self._clips = Clips.of(passes, *rows, *zip(*self._steps, strict=True))
        self.together = True

    def step(self, read: Read) -> bool:
        """One step of each, unless one has no gradient or is no longer the optimizer's."""
        self.together = turn = False
        readings = readings_of(self._seats, read)
        if readings is None:
            return False
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
        pairs = list(zip((s.memory for s in self._seats), self._strengths, strict=True))
        strengths = [strength * memory.level for memory, strength in pairs]
        if self._steps[0]:
            return [*(memory.elapsed for memory, _ in pairs), *strengths]
        found = []
        for seat, strength in zip(self._seats, strengths, strict=True):
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
