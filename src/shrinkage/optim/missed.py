"""Is the network trained where no hook of ours runs? Then the plan acts on nothing, and is told of.

A ``step`` that is replaced on the optimizer calls no hooks, nor does that of a copy or of another
optimizer.
"""

import gc
import weakref
from collections.abc import Callable

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from shrinkage.errors import warn
from shrinkage.optim.witness import Witness

_MANY = 4
"""Backward passes: more may go into one step, but they leave the weights as they are."""


class MissedSteps:
    """Counts the backward passes of ``parameter`` since a hook ran, which sets it to 0.

    Where the weights were written between two of many, somebody trains them. ``acts`` is asked
    then whether the plan is still to act, and on whose behalf it is missed.
    """

    def __init__(self, parameter: nn.Parameter, acts: Callable[[], bool]) -> None:
        self.passes = 0
        self._witness: Witness | None = None
        self._acts = weakref.WeakMethod(acts)
        register: Callable[..., RemovableHandle] = parameter.register_post_accumulate_grad_hook
        self._hook = register(self._count)

    def _count(self, parameter: Tensor) -> None:
        self.passes += 1
        if self.passes == _MANY:
            self._witness = Witness.of(parameter)
        elif self.passes >= 2 * _MANY and self._witness is not None:
            self.passes = _MANY
            if not self._witness.agrees(parameter):
                self._tell()

    def _tell(self) -> None:
        self.end()
        gc.collect()  # an optimizer that was dropped lingers in a cycle, and so does its handle
        acts = self._acts()
        if acts is not None and acts():
            warn(
                "the network is trained, and no step of the optimizer that the plan is attached "
                "to calls the plan: it does not act. A step that was replaced calls no hooks, nor "
                "does that of a copy or of another optimizer. Attach to the optimizer that "
                "trains, or call remove() on this handle"
            )

    def end(self) -> None:
        """Count no longer."""
        self._hook.remove()


def tell_of_copies(optimizer: Optimizer) -> Callable[[], None]:
    """Warn (:class:`ShrinkageWarning`), once, where ``optimizer`` is copied or pickled.

    PyTorch leaves hooks out of copies. Gives what ends it.
    """
    kept = vars(optimizer)
    told = False

    def state() -> object:
        nonlocal told
        if not told:
            told = True
            warn(
                f"a copy of {type(optimizer).__name__} has no hooks, and the plan that is attached "
                "does not act through it. Attach a plan for the network that the copy trains"
            )
        return type(optimizer).__getstate__(optimizer)

    kept["__getstate__"] = state  # where copy and pickle look first

    def end() -> None:
        if kept.get("__getstate__") is state:
            del kept["__getstate__"]

    return end
