"""Torch functions replaced by their wiring: which elements of the result does the input reach?

Inside :class:`Wiring` a tensor that requires grad is a tensor of *marks*: an element is nonzero
(1) where a path of nonzero weights from the input leads to it. All other tensors are ordinary
constants with their real values, so weights that are computed (masked, parametrized) count as
what they are. Each function is replaced by a sum over what it reads: nonlinearities by the
identity, products with a constant by its indicator (≠ 0), products of two marked tensors by
their sum, maxima and normalisations by means. All terms are ≥ 0, so nothing cancels; marks are
set back to 0 and 1 after each step, forward and backward, so no depth under- or overflows.
A function that has no rule, and any way to read the value of a mark (``if x.sum() > 0``),
raises :class:`UnknownWiringError`: there is no answer rather than a wrong one.
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from shrinkage.measures.marks import Call, Function, Marks, UnknownWiringError, is_marked, tensors
from shrinkage.measures.wiring_rules import FACTS, IN_PLACE, RULES


class Wiring(TorchFunctionMode):
    """Replaces every torch function that reads a marked tensor, see the module's text."""

    def __torch_function__(
        self,
        func: Function,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Apply the rule for ``func``, or ``func`` itself where nothing is marked."""
        call = Call(func, args, kwargs or {})
        if not call.marked:
            return func(*call.args, **call.kwargs)
        with torch.enable_grad():
            return _rewired(call)


def is_closed(outputs: list[Tensor], leaf: Tensor) -> bool:
    """Whether only known functions, and no leaf but ``leaf``, lie behind ``outputs``.

    Custom autograd functions run without passing through :class:`Wiring`.
    """
    seen: set[object] = set()
    stack: list[Any] = [output.grad_fn for output in outputs]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if getattr(node, "_forward_cls", Marks) is not Marks or "CppNode" in node.name():
            return False
        if getattr(node, "variable", leaf) is not leaf:
            return False
        stack.extend(parent for parent, _ in node.next_functions)
    return True


def _rewired(call: Call) -> Any:
    if call.name == "__get__":
        return _attribute(call)
    if call.name in FACTS:
        return call.func(*call.args, **call.kwargs)
    plain, in_place = _plain(call.name)
    is_known = plain in RULES and call.name != "__float__"
    if not is_known or (in_place and plain not in IN_PLACE):
        raise UnknownWiringError(call.name)
    result = RULES[plain](call)
    if in_place:
        return call.args[0].copy_(result)
    if not all(is_marked(tensor) for tensor in tensors(result)):
        raise UnknownWiringError(call.name)
    return result


def _plain(name: str) -> tuple[str, bool]:
    """The name without underscores, and whether the function writes into its first argument."""
    if name.startswith("__"):
        plain = name.strip("_")
        is_variant = plain not in RULES and plain[0] in "ir"  # __iadd__, __radd__
        return (plain[1:], plain[0] == "i") if is_variant else (plain, False)
    if name.startswith("_"):
        return name.removeprefix("_"), False
    return (name[:-1], True) if name.endswith("_") else (name, False)


def _attribute(call: Call) -> Any:
    descriptor = getattr(call.func, "__self__", None)
    if getattr(descriptor, "__name__", "") == "data":
        return call.only.view_as(call.only)
    result = call.func(*call.args)
    if isinstance(result, Tensor) and not is_marked(result):
        raise UnknownWiringError("an attribute of a tensor")
    return result
