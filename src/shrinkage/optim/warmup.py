"""A strength that rises over the first steps, so that a network learns before it is thinned out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shrinkage.arguments import as_int
from shrinkage.errors import AttachError

_STAIRS = 100
"""λ rises in hundredths: what is held from step to step is computed anew where it moves."""


@dataclass
class Warmup:
    """The factor of λ at a step: min(1, ⌈100·k/N⌉/100) at step k = 1, 2, … of N.

    Parameters
    ----------
    steps : int
        N, over which λ rises; 0: λ is whole from the first step on.
    taken : int
        Steps that the optimizer has taken so far.
    """

    steps: int = 0
    taken: int = 0

    @property
    def factor(self) -> float:
        """Of λ at the step that comes next, from 0.01 to 1."""
        if self.taken >= self.steps:
            return 1.0
        stair = -(-_STAIRS * (self.taken + 1) // self.steps)
        return min(stair, _STAIRS) / _STAIRS


def saved_warmup(state: Mapping[str, Any], steps: int) -> Warmup:
    """What a handle's state says of it; one of before there was any had λ whole.

    Raises :class:`AttachError` for what is no number of steps.
    """
    remedy = "Pass what handle.state_dict() gave."
    counts = (state.get(name, steps) for name in ("warmup", "steps"))
    return Warmup(*(as_int("steps", count, remedy=remedy, error=AttachError) for count in counts))
