"""The handle's state inside the optimizer's: what saves and loads the one does so to the other."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from shrinkage.errors import AttachError, shown, warn
from shrinkage.optim.wrappers import callers

KEY = "shrinkage"
"""In the first parameter group, which every checkpoint keeps and PyTorch neither casts nor reads.

``optimizer.state`` casts tensors to the dtype of the weights, and Adam takes a parameter that has
any state for one that has all of it.
"""


class Saving(Protocol):
    """A plan at work on an optimizer, which can be saved and loaded."""

    optimizer: Optimizer

    def state_dict(self) -> dict[str, Any]:
        """All that the next step needs."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse."""

    def is_of(self, state: Mapping[str, Any]) -> bool:
        """Whether the state was saved by a handle of the same plan and method."""

    @property
    def remembers(self) -> bool:
        """Whether anything is lost without a saved state."""


class Checkpoint:
    """Puts a handle's state into ``optimizer.state_dict()`` and takes it out where one is loaded.

    What was loaded before the plan was attached lies in the first parameter group until then.
    """

    def __init__(self, handle: Saving) -> None:
        self._handle = handle
        self._is_missing = False
        optimizer = handle.optimizer
        self.hooks: tuple[RemovableHandle, ...] = (
            optimizer.register_state_dict_post_hook(self._save),
            optimizer.register_load_state_dict_post_hook(self._load),
        )

    def take(self) -> bool:
        """Load the first of the states that is the handle's, and leave the others to others."""
        first = self._handle.optimizer.param_groups[0]
        saved = first.pop(KEY, [])
        if not isinstance(saved, list):
            raise AttachError(
                "the optimizer's checkpoint was changed",
                got=f"{KEY}={shown(saved)} in its first parameter group",
                expected="a list of what handles have saved",
                remedy=f"Delete {KEY!r} from that group: averaging then starts anew.",
            )
        own = next((state for state in saved if self._handle.is_of(state)), None)
        rest = [state for state in saved if state is not own]
        if rest:
            first[KEY] = rest
        if own is not None:
            self._handle.load_state_dict(own)
        self._is_missing = bool(rest) and own is None and self._handle.remembers
        return own is not None

    def found(self) -> None:
        """The handle was given a state."""
        self._is_missing = False

    def warn_if_missing(self) -> None:
        """Say once that a loaded optimizer came without the handle's state."""
        if self._is_missing:
            self._is_missing = False
            warn(
                "the optimizer's checkpoint has no state of this plan: averaging and warmup start "
                "anew. Where handle.state_dict() was saved beside it, load that after it"
            )

    def _save(self, _: Optimizer, state: dict[str, Any]) -> None:
        if _is_flattened():
            return
        first = state["param_groups"][0]
        first[KEY] = [*first.get(KEY, ()), self._handle.state_dict()]

    def _load(self, optimizer: Optimizer) -> None:
        if not self.take():
            self._is_missing = bool(optimizer.state) and self._handle.remembers


def _is_flattened() -> bool:
    """Whether every parameter is to get a copy of all that its group holds, and none on loading.

    ``torch.distributed.checkpoint`` does so with ``flatten_optimizer_state_dict=True``.
    """
    return any(
        getattr(frame.f_locals.get("info"), "flatten_optimizer_state_dict", False)
        for frame in callers()
        if frame.f_globals.get("__name__") == "torch.distributed.checkpoint.state_dict"
    )
