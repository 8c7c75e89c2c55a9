"""The steps that dual averaging has taken: a sum, and the last of them."""

from typing import NamedTuple

from torch import Tensor

Step = float | Tensor


class Steps(NamedTuple):
    """Their sum is ``total`` + ``elapsed``·``step``, the last of them ``since``·``step``.

    ``total`` and ``step`` are numbers, or tensors of the weights' shape: then neither the sum nor
    the last step is computed unless a penalty asks for it.
    """

    total: Step
    step: Step
    elapsed: float = 0.0
    since: float = 1.0

    @property
    def sum(self) -> Step:
        """All steps so far."""
        return self.total + self.step * self.elapsed if self.elapsed else self.total

    @property
    def last(self) -> Step:
        """The last of them."""
        return self.step * self.since
