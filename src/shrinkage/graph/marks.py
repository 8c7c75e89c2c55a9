"""Tensors of marks: an element is 1 where a path of nonzero weights leads to it, else 0.

Inside :class:`Marking` a tensor that requires grad is a tensor of marks. All other tensors are
ordinary constants with their real values, so weights that are computed (masked, parametrized) count
as what they are. Each function is replaced by a sum over what it reads, see :mod:`mark_rules`. All
terms are ≥ 0, so nothing cancels; marks are set back to 0 and 1 after each step, forward and
backward, so no depth under- or overflows.

Labels of units lie beside the values of a run; marks stand in the values' place. That is why there
are two sets of rules: what is written through a view of marks, and the way back from the output,
are then torch's own, whereas labels need the values (which constants are 0?) and pin such writes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from shrinkage.graph.call import Call, Interpreter, UnknownFunctionError, by_rule, replaced, tensors
from shrinkage.graph.functions import Kind

MarkRule = Callable[[Call], Any]
_IN_PLACE = (Kind.MAP, Kind.JOIN, Kind.PRODUCT, Kind.QUOTIENT, Kind.WRITE)


class Marks(torch.autograd.Function):
    """x ↦ (x ≠ 0), and the same for the gradient."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        """1 where x ≠ 0."""
        return (x != 0).to(x.dtype)

    @staticmethod
    def backward(_: Any, *grads: Tensor) -> Tensor:
        """1 where the gradient is nonzero."""
        return (grads[0] != 0).to(grads[0].dtype)


class Marking(Interpreter):
    """Replaces every torch function that reads a marked tensor, by the rule for its kind.

    A kind without a rule, and any way to read the value of a mark (``if x.sum() > 0``), raises
    :class:`UnknownFunctionError`, which ``unknown`` keeps: there is no answer, not a wrong one.
    """

    def __init__(self, rules: dict[Kind, MarkRule]) -> None:
        super().__init__()
        self._rules = rules
        self.unknown: UnknownFunctionError | None = None

    def meet(self, call: Call) -> Any:
        """Apply the rule, or the function itself where nothing is marked."""
        if not any(is_marked(tensor) for tensor in tensors(call.args, call.kwargs)):
            return call.func(*call.args, **call.kwargs)
        try:
            with torch.enable_grad():
                return self._marked(call)
        except UnknownFunctionError as error:
            self.unknown = self.unknown or error
            raise

    def _marked(self, call: Call) -> Any:
        rule = self._rules.get(call.kind)
        if call.kind is Kind.FACT:
            return call.func(*call.args, **call.kwargs)
        if call.in_place and call.kind not in _IN_PLACE:
            rule = None
        if rule is not None:
            result = by_rule(rule, call)
            if call.in_place:
                return call.args[0].copy_(result)
        elif call.is_attribute:
            result = call.func(*call.args, **call.kwargs)
        else:
            raise UnknownFunctionError(call.name)
        if not all(is_marked(tensor) for tensor in tensors(result)):
            raise UnknownFunctionError(call.name)
        return result


def is_closed(outputs: list[Tensor], leaf: Tensor) -> bool:
    """Whether only known functions, and no leaf but ``leaf``, lie behind ``outputs``.

    Custom autograd functions run without passing through :class:`Marking`.
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


def is_marked(value: object) -> bool:
    """Whether ``value`` is a tensor of marks."""
    return isinstance(value, Tensor) and value.requires_grad


def only(call: Call) -> Tensor:
    """The first argument; :class:`UnknownFunctionError` unless it alone is marked."""
    first = call.args[0] if call.args else call.get("input")
    if not is_marked(first) or sum(map(is_marked, tensors(call.args, call.kwargs))) > 1:
        raise UnknownFunctionError(f"{call.name} of several marked arguments")
    return first  # type: ignore[no-any-return]


def mark(x: Tensor) -> Tensor:
    """1 where x ≠ 0, forward and backward: a new tensor."""
    marks: Tensor = Marks.apply(x)  # type: ignore[no-untyped-call]
    return marks


def indicator(constant: Tensor, like: Tensor) -> Tensor:
    """1 where ``constant`` ≠ 0, in the dtype of ``like``."""
    return (constant != 0).to(like.dtype)


def without_constants(value: Any) -> Any:
    """The same arguments with float tensors that are not marked set to zero."""
    return replaced(
        value,
        lambda t: torch.zeros_like(t) if t.is_floating_point() and not is_marked(t) else t,
    )


def joined(*parts: Tensor) -> Tensor:
    """Each element is reached where it is in any of the marked parts, broadcast to one shape."""
    shape = torch.broadcast_shapes(*(part.shape for part in parts))  # type: ignore[no-untyped-call]
    terms = [part.expand(shape) for part in parts if is_marked(part)]
    return mark(torch.stack(terms).sum(dim=0))


def mixed(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """Every element along ``dims`` reaches every other."""
    return mark(x + x.mean(dim=dims, keepdim=True))


def multiplied(product: Callable[..., Tensor], *factors: Tensor) -> Tensor:
    """A product that is linear in each factor: the sum over its marked factors."""
    places = [i for i, factor in enumerate(factors) if is_marked(factor)]
    if not places:
        raise UnknownFunctionError("a product of constants")
    like = factors[places[0]]
    flat = [torch.ones_like(f) if is_marked(f) else indicator(f, like) for f in factors]
    terms = [product(*flat[:i], factors[i], *flat[i + 1 :]) for i in places]
    return mark(torch.stack(terms).sum(dim=0))
