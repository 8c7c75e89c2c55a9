"""Has somebody else written a parameter since we did?"""

import torch
from torch import Tensor, nn

_SOME = 1024


class Witness:
    """Some of the weights last written: 1024 at most, evenly spaced."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights
        self._seen: Tensor | None = None  # a view of a parameter, which is costly to make

    @classmethod
    def of(cls, parameter: Tensor) -> "Witness":
        """One that has just seen ``parameter`` written."""
        return cls(_some(parameter).clone())

    def agrees(self, parameter: Tensor) -> bool:
        """Whether ``parameter`` is what was written last, on the same device in the same dtype."""
        seen, kept = self._view(parameter), self.weights
        return (seen.dtype, seen.device) == (kept.dtype, kept.device) and torch.equal(seen, kept)

    def note(self, parameter: Tensor) -> None:
        """Take ``parameter`` as written now."""
        self.weights.copy_(self._view(parameter))

    def _view(self, parameter: Tensor) -> Tensor:
        seen, address = self._seen, parameter.data_ptr()
        if seen is not None and seen.data_ptr() == address and seen.dtype == parameter.dtype:
            return seen
        found = _some(parameter)
        lasting = isinstance(parameter, nn.Parameter) and found.data_ptr() == address
        self._seen = found if lasting else None
        return found


def _some(parameter: Tensor) -> Tensor:
    """A view where the parameter is contiguous."""
    return parameter.detach().reshape(-1)[:: -(-parameter.numel() // _SOME) or 1]
