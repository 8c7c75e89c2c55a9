"""Optimizers around optimizers: which one steps, and who writes the weights after it."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle


def held_by(wrapper: object) -> tuple[str, Optimizer] | None:
    """The attribute in which ``wrapper`` keeps an optimizer, and that one; None for 0 or many."""
    parts = vars(wrapper) if hasattr(wrapper, "__dict__") else {}
    found = {
        name: part
        for name, part in parts.items()
        if isinstance(part, Optimizer) and part is not wrapper
    }
    return next(iter(found.items())) if len(found) == 1 else None


def inside(optimizer: Optimizer) -> Optimizer:
    """The optimizer whose step ``optimizer.step()`` calls in the end; often itself.

    A wrapper (Lookahead, accelerate's, Opacus') keeps another optimizer over the same parameters,
    and the code of its ``step`` says that it steps that one.
    """
    held = held_by(optimizer)
    if held is None or not _steps(optimizer, held[0]) or _ids(held[1]) != _ids(optimizer):
        return optimizer
    return inside(held[1])


def calls_hooks(optimizer: Optimizer) -> bool:
    """Whether ``optimizer.step()`` calls hooks: not where ``Optimizer.__init__`` was left out."""
    hooked = getattr(type(optimizer).step, "hooked", False)
    return bool(hooked) and "_optimizer_step_post_hooks" in vars(optimizer)


def steps_nest(optimizer: Optimizer) -> bool:
    """Whether ``step`` may call that of a parent, which has the same hooks."""
    kinds = (kind for kind in type(optimizer).__mro__ if kind is not Optimizer)
    # PyTorch gives a class that inherits its step a hooked copy of the same function.
    return len({inspect.unwrap(vars(kind)["step"]) for kind in kinds if "step" in vars(kind)}) > 1


def is_nested(optimizer: Optimizer) -> bool:
    """Whether the step that called this hook was itself called by a step of ``optimizer``."""
    stepping = type(optimizer).step.__code__
    frames = (f for f in callers() if f.f_code is stepping)
    return sum(f.f_locals.get("self") is optimizer for f in frames) > 1


def callers() -> Iterator[FrameType]:
    """The frames around the one that asks, from the inside out."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _steps(optimizer: Optimizer, name: str) -> bool:
    try:
        code = inspect.getsource(inspect.unwrap(type(optimizer).step))
    except (OSError, TypeError):  # no source, or not Python's
        return False
    return re.search(rf"self\.{name}\.step\(|step\(\s*self\.{name}\b", code) is not None


def _ids(optimizer: Optimizer) -> set[int]:
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


class Wrappers:
    """The optimizers that were seen to step ``optimizer``, as the last thing that writes weights.

    ``ended`` is called whenever one of them has finished its step. One that calls no hooks is
    found, and cannot be followed.
    """

    def __init__(self, optimizer: Optimizer, ended: Callable[[], None]) -> None:
        self._optimizer, self._ended = optimizer, ended
        self._hooks: list[RemovableHandle] = []
        self.seen: list[object] = []
        self.running = False

    def seek(self) -> None:
        """Look for one whose step is running now."""
        for frame in callers():
            outer = frame.f_locals.get("self")
            is_step = isinstance(outer, Optimizer) or frame.f_code.co_name == "step"
            if not is_step or any(outer is one for one in self.seen):
                continue
            held = held_by(outer)
            if held is not None and inside(held[1]) is self._optimizer:
                self.seen.append(outer)
                if isinstance(outer, Optimizer) and calls_hooks(outer):
                    self._follow(outer)

    @property
    def unfollowed(self) -> bool:
        """Whether one was seen whose end is not told."""
        return bool(self.seen) and not self._hooks

    @property
    def named(self) -> str:
        """Those that were seen, for a message."""
        names = sorted({type(outer).__name__ for outer in self.seen})
        return f" (its step is called by {', '.join(names)})" if names else ""

    def _follow(self, outer: Optimizer) -> None:
        self.running = True
        self._hooks += (
            outer.register_step_pre_hook(self._begin),
            outer.register_step_post_hook(self._end),
        )

    def _begin(self, *_: object) -> None:
        self.running = True

    def _end(self, *_: object) -> None:
        self.running = False
        self._ended()

    def remove(self) -> None:
        """Follow them no longer."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
