"""Has somebody else written a parameter since we did?"""

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

_SOME = 1024


class Witness:
    """Some of the weights last written: 1024 at most, evenly spaced."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights
        self._seen: tuple[Tensor, object] | None = None  # a view, which is costly to make; of what

    @classmethod
    def of(cls, parameter: Tensor) -> "Witness":
        """One that has just seen ``parameter`` written."""
        return cls(_some(parameter).clone())

    def agrees(self, parameter: Tensor) -> bool:
        """Whether ``parameter`` is what was written last, on the same device in the same dtype."""
        seen, kept = self._view(parameter), self.weights
        return (seen.dtype, seen.device) == (kept.dtype, kept.device) and torch.equal(seen, kept)

    @property
    def is_finite(self) -> bool:
        """Whether what was written last were numbers."""
        return bool(self.weights.isfinite().all())

    def has_lost_zeros(self, parameter: Tensor) -> bool:
        """Whether a weight was written as zero last and no longer is one."""
        return bool(((self.weights == 0) & (self._view(parameter) != 0)).any())

    def note(self, parameter: Tensor) -> None:
        """Take ``parameter`` as written now."""
        self.weights.copy_(self._view(parameter))

    def _view(self, parameter: Tensor) -> Tensor:
        memory = (parameter.data_ptr(), parameter.dtype, parameter.shape, parameter.stride())
        if self._seen is not None and self._seen[1] == memory:
            return self._seen[0]
        found = _some(parameter)
        lasting = type(parameter) is nn.Parameter and found.data_ptr() == memory[0] != 0
        self._seen = (found, memory) if lasting else None
        return found


def _some(parameter: Tensor) -> Tensor:
    """A view where the parameter is contiguous."""
    return parameter.detach().reshape(-1)[:: -(-parameter.numel() // _SOME) or 1]


class Watch:
    """Are gradients taken where ``parameter`` was left, or has a wrapper put others in its place?

    Some put back before their next step what was left, so that nobody sees it then. Looks ten
    times; ``swapped`` is called where gradients were taken elsewhere three times.
    """

    def __init__(self, parameter: nn.Parameter, swapped: Callable[[], None]) -> None:
        self._witness, self._swapped = Witness.of(parameter), swapped
        self._parameter, self._looks, self._elsewhere = parameter, 0, 0
        register: Any = parameter.register_post_accumulate_grad_hook
        self._hook: RemovableHandle = register(self._look)

    def note(self) -> bool:
        """Take the parameter as it is left now; whether to go on."""
        self._witness = Witness.of(self._parameter)
        return self._looks < 10

    def _look(self, parameter: Tensor) -> None:
        self._looks += 1
        self._elsewhere += not self._witness.agrees(parameter)
        if self._elsewhere == 3:
            self._looks = 10
            self._swapped()
        if self._looks >= 10:
            self.end()

    def end(self) -> None:
        """Look no longer."""
        self._hook.remove()


class ForeignWrites:
    """In which steps somebody else was found to have written the weights."""

    def __init__(self) -> None:
        self.step = 0
        self._seen: deque[int] = deque(maxlen=3)
        self._told = False

    @property
    def happened(self) -> bool:
        """Whether in this step."""
        return bool(self._seen) and self._seen[-1] == self.step

    def note(self) -> None:
        """In this step."""
        if not self.happened:
            self._seen.append(self.step)

    def worth_telling(self) -> int:
        """Within how many steps it happened three times, if in 1,000 or fewer; not 0 only once."""
        if self._told or len(self._seen) < 3 or self._seen[-1] - self._seen[0] >= 1000:
            return 0
        self._told = True
        return 1 + self._seen[-1] - self._seen[0]
