"""What is known of a tensor, element by element, while a network runs; and of a call on such."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shrinkage.graph.call import Call, UnknownFunctionError, replaced, tensors


@dataclass(frozen=True, eq=False)
class UnitLabels:
    """``labels``: the unit each element comes from; ``varies``: 1.0 where the input can change it.

    An input's size may change it too, see :mod:`constants`. Both have the tensor's shape and are
    never written into.
    """

    labels: Tensor
    varies: Tensor

    @classmethod
    def of_nobody(cls, shape: torch.Size) -> "UnitLabels":
        """Of elements that are no unit's and may hold anything."""
        labels = torch.zeros((), dtype=torch.float64).expand(shape)
        return cls(labels, torch.ones(()).expand(shape))


@dataclass(frozen=True, eq=False)
class LabelledCall(Call):
    """A call that read labelled tensors, and what it returned."""

    result: Any
    units: dict[int, UnitLabels]

    def of(self, value: object) -> UnitLabels | None:
        """What is known of an argument; None for a constant."""
        return self.units.get(id(value)) if isinstance(value, Tensor) else None

    @property
    def known(self) -> list[UnitLabels]:
        """What is known of all arguments."""
        found = (self.of(tensor) for tensor in tensors(self.args, self.kwargs))
        return [units for units in found if units is not None]

    @property
    def only(self) -> UnitLabels:
        """Those of the first argument, which must be the only one with labels."""
        units = self.of(self.args[0] if self.args else self.get("input"))
        if units is None or len(self.known) > 1:
            raise UnknownFunctionError(self.name)
        return units

    def on(self, pick: Callable[[UnitLabels], Tensor]) -> Any:
        """The function itself on labels, or on what varies; float constants are 0."""

        def picked(tensor: Tensor) -> Tensor:
            units = self.of(tensor)
            if units is not None:
                return pick(units).clone() if self.in_place else pick(units)
            if tensor.is_floating_point():
                return torch.zeros(tensor.shape, dtype=torch.float64, device=tensor.device)
            return tensor

        return self.func(*replaced(self.args, picked), **replaced(self.kwargs, picked))
