"""λ that rises over the first steps: a strong one empties a network that has learnt nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from shrinkage.arguments import as_choice, as_int, settle
from shrinkage.errors import AttachError, shown

Ramp = Literal["linear", "geometric"]

_FIRST = 0.01
"""The share of λ at which a geometric warmup begins."""


@dataclass(frozen=True)
class Warmup:
    """How λ rises to its full strength over the first optimizer steps.

    In step k = 1, 2, … the penalty acts with share(k)·λ:

    - ``"linear"``: share(k) = min(k / steps, 1)
    - ``"geometric"``: share(k) = min(0.01^(1 − k / steps), 1)

    From step k = ``steps`` on λ is constant, so fixed points are those of the whole cost.

    Parameters
    ----------
    steps : int
        Number of optimizer steps; 0 for none.
    shape : {"linear", "geometric"}
        How the share rises.

    Raises
    ------
    AttachError
        For steps that are no whole number ≥ 0, and an unknown shape.

    Examples
    --------
    >>> [Warmup(4).share(k) for k in (1, 2, 4, 5)]
    [0.25, 0.5, 1.0, 1.0]
    """

    steps: int
    shape: Ramp = "linear"

    def __post_init__(self) -> None:
        steps = as_int(
            "warmup",
            self.steps,
            expected="a number of optimizer steps, or a Warmup",
            remedy="For 30 % of the training, write round(0.3 * epochs * len(loader)).",
            error=AttachError,
        )
        remedy = 'Leave it at "linear".'
        as_choice("warmup shape", self.shape, get_args(Ramp), remedy=remedy, error=AttachError)
        settle(self, steps=steps)

    def share(self, step: int) -> float:
        """What of λ acts in this step; the first is 1."""
        if step >= self.steps:
            return 1.0
        done = step / self.steps
        return done if self.shape == "linear" else float(_FIRST ** (1 - done))


def as_warmup(value: object) -> Warmup:
    """A warmup, or its number of steps; None is none. Raises :class:`AttachError`."""
    if isinstance(value, Warmup):
        return value
    return Warmup(0 if value is None else value)  # type: ignore[arg-type]


def saved_warmup(state: Mapping[str, Any]) -> tuple[Warmup, int]:
    """The warmup of a saved handle, and the steps that it has taken of it.

    Raises :class:`AttachError` for what no handle has saved. Handles knew no warmup once.
    """
    saved = state.get("warmup", {"steps": 0, "shape": "linear", "taken": 0})
    if not isinstance(saved, Mapping) or set(saved) != {"steps", "shape", "taken"}:
        raise AttachError(
            "the saved warmup cannot be read",
            got=shown(saved),
            expected="its steps, its shape and the steps taken",
            remedy="Pass what handle.state_dict() gave.",
        )
    remedy = "Pass what handle.state_dict() gave."
    taken = as_int(
        "the saved warmup's steps taken", saved["taken"], remedy=remedy, error=AttachError
    )
    return Warmup(saved["steps"], saved["shape"]), taken
