"""Has somebody else written a parameter since we did? It is told where it goes on."""

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from shrinkage.errors import warn
from shrinkage.optim.rounding import Rounding
from shrinkage.optim.wrappers import Wrappers

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

    def lost_zeros(self, parameter: Tensor) -> Tensor:
        """Whether a weight was written as zero last and no longer is one; not waited for."""
        return (self._view(parameter).logical_and(self.weights == 0)).any()

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
    """In which steps somebody else was found to have written the weights; says so once."""

    def __init__(self, wrappers: Wrappers, method: str) -> None:
        self.step, self.rounding = 0, Rounding()
        self._wrappers, self._method = wrappers, method
        self._seen: deque[int] = deque(maxlen=3)
        self._told = False
        self._suspects: list[Tensor] = []  # whether they are true is asked once a step
        self._watch: Watch | None = None  # where a wrapper steps that cannot be followed

    @property
    def happened(self) -> bool:
        """Whether in this step."""
        return bool(self._seen) and self._seen[-1] == self.step

    def is_turn(self, ahead: int = 0) -> bool:
        """Whether to compare what is costly to compare: in the first steps, then now and then."""
        step = self.step + ahead
        return step <= 20 or step % 11 == 0  # out of step with others' 5 and 10

    def suspect(self, is_foreign: Tensor) -> None:
        """In this step, if that proves true."""
        self._suspects.append(is_foreign)

    def note(self) -> None:
        """In this step."""
        if not self.happened:
            self._seen.append(self.step)

    def look_around(self, kinked: Callable[[], nn.Parameter | None]) -> None:
        """At the end of a step, for an optimizer around ours; say so where it goes on and on.

        ``kinked``: a trained parameter whose zeros are made.
        """
        if self._watch is not None and not self._watch.note():
            self._watch = None
        if self._suspects:
            self._heed()
        if self.step != 1 and not self.happened:
            return
        self._wrappers.seek()
        first = kinked() if self.step == 1 and self._wrappers.unfollowed else None
        if first is not None:
            self._watch = Watch(first, self._tell_of_swaps)
        if steps := self._worth_telling():
            self._tell(steps)

    def _heed(self) -> None:
        """One question to the device for all parameters."""
        device = self._suspects[0].device
        found = torch.stack([one.to(device, non_blocking=True) for one in self._suspects])
        self._suspects = []
        if bool(found.any()):
            self.note()

    def end(self) -> None:
        """Look no longer."""
        if self._watch is not None:
            self._watch.end()

    def _worth_telling(self) -> int:
        """Within how many steps it happened three times, if in 1,000 or fewer; not 0 only once."""
        if self._told or len(self._seen) < 3 or self._seen[-1] - self._seen[0] >= 1000:
            return 0
        self._told = True
        return 1 + self._seen[-1] - self._seen[0]

    def _tell(self, steps: int) -> None:
        lost, remedy = (
            ("zeros that were made are gone", "")
            if self._method == "prox"
            else (
                "averaging starts anew each time, and zeros that were made may be gone",
                ", or use method='prox', which sums up nothing between steps",
            )
        )
        warn(
            f"the weights were written from outside in three of {steps} steps"
            f"{self._wrappers.named}: {lost}. Let optimizer.step() be the last to write "
            f"them{remedy}"
        )

    def _tell_of_swaps(self) -> None:
        warn(
            "the network is trained with other weights than the optimizer's"
            f"{self._wrappers.named}: zeros are in those that optimizer.step() leaves, and an "
            "average of weights keeps what they once were. Train without the wrapper, or "
            "polish() the network afterwards"
        )
