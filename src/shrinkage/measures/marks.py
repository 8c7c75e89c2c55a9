"""Tensors of marks: which elements does the input reach? And the calls that read them."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]


class UnknownWiringError(Exception):
    """A function whose result may depend on the input in a way that the rules do not know."""


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


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a torch function that reads marked tensors."""

    func: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the function."""
        return getattr(self.func, "__name__", "")

    @property
    def marked(self) -> list[Tensor]:
        """The marked tensors among the arguments."""
        return [tensor for tensor in tensors(self.args, self.kwargs) if is_marked(tensor)]

    @property
    def only(self) -> Tensor:
        """The first argument; :class:`UnknownWiringError` unless it alone is marked."""
        first = self.option(0, "input")
        if not is_marked(first) or len(self.marked) > 1:
            raise UnknownWiringError(f"{self.name} of several marked arguments")
        return first  # type: ignore[no-any-return]

    def option(self, at: int, name: str, default: Any = None) -> Any:
        """The argument at position ``at`` or called ``name``."""
        return self.args[at] if len(self.args) > at else self.kwargs.get(name, default)

    def options(self, *names: str) -> dict[str, Any]:
        """The leading arguments by these names; those not given are None."""
        return {name: self.option(at, name) for at, name in enumerate(names)}

    def bound(self) -> dict[str, Any]:
        """All arguments of a function written in Python, by name, with its defaults."""
        signature = inspect.signature(self.func).bind(*self.args, **self.kwargs)
        signature.apply_defaults()
        return signature.arguments


def is_marked(value: object) -> bool:
    """Whether ``value`` is a tensor of marks."""
    return isinstance(value, Tensor) and value.requires_grad


def tensors(*values: object) -> Iterator[Tensor]:
    """All tensors in values, lists, tuples and dictionaries."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors(*value)
        elif isinstance(value, dict):
            yield from tensors(*value.values())


def mark(x: Tensor) -> Tensor:
    """1 where x ≠ 0, forward and backward: a new tensor."""
    marks: Tensor = Marks.apply(x)  # type: ignore[no-untyped-call]
    return marks


def indicator(constant: Tensor, like: Tensor) -> Tensor:
    """1 where ``constant`` ≠ 0, in the dtype of ``like``."""
    return (constant != 0).to(like.dtype)


def without_constants(value: Any) -> Any:
    """The same arguments with float tensors that are not marked set to zero."""
    if isinstance(value, Tensor):
        is_constant = value.is_floating_point() and not is_marked(value)
        return torch.zeros_like(value) if is_constant else value
    if type(value) in (list, tuple):
        return type(value)(without_constants(item) for item in value)
    return value


def joined(*parts: Tensor) -> Tensor:
    """Each element is reached where it is in any of the marked parts, broadcast to one shape."""
    shape = torch.broadcast_shapes(*(part.shape for part in parts))  # type: ignore[no-untyped-call]
    terms = [part.expand(shape) for part in parts if is_marked(part)]
    return mark(torch.stack(terms).sum(dim=0))


def mixed(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """Every element along ``dims`` reaches every other."""
    return mark(x + x.mean(dim=dims, keepdim=True))


def product(call: Callable[..., Tensor], *factors: Tensor) -> Tensor:
    """A product that is linear in each factor: the sum over its marked factors."""
    places = [i for i, factor in enumerate(factors) if is_marked(factor)]
    like = factors[places[0]]
    flat = [torch.ones_like(f) if is_marked(f) else indicator(f, like) for f in factors]
    terms = [call(*flat[:i], factors[i], *flat[i + 1 :]) for i in places]
    return mark(torch.stack(terms).sum(dim=0))
