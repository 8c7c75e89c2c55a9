"""What is known of a tensor, element by element, while a network runs; and of the calls."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Shadow:
    """``labels``: the unit each element comes from; ``varies``: 1.0 where the input can change it.

    An input's size may change it too, see :mod:`sizes`.

    Both have the tensor's shape and are never written into.
    """

    labels: Tensor
    varies: Tensor


@dataclass(frozen=True, eq=False)
class Call:
    """A torch function that was called with tensors that have shadows, and what it returned."""

    func: Function
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    shadows: dict[int, Shadow]
    in_place: bool = False

    def option(self, at: int, name: str, default: Any = None) -> Any:
        """The argument at position ``at`` or called ``name``."""
        return self.args[at] if len(self.args) > at else self.kwargs.get(name, default)

    def shadow(self, tensor: Tensor) -> Shadow | None:
        """What is known of an argument; None for a constant."""
        return self.shadows.get(id(tensor))

    @property
    def known(self) -> list[Shadow]:
        """The shadows of all arguments."""
        found = (self.shadow(tensor) for tensor in tensors(self.args, self.kwargs))
        return [shadow for shadow in found if shadow is not None]

    def on(self, pick: Callable[[Shadow], Tensor]) -> Any:
        """The function itself on labels, or on what varies; float constants are 0."""

        def picked(tensor: Tensor) -> Tensor:
            shadow = self.shadow(tensor)
            if shadow is not None:
                return pick(shadow)
            if tensor.is_floating_point():
                return torch.zeros(tensor.shape, dtype=torch.float64, device=tensor.device)
            return tensor

        args, kwargs = replaced(self.args, picked), replaced(self.kwargs, picked)
        return self.func(*args, **kwargs)


@dataclass(frozen=True, eq=False)
class Op:
    """One call in the order of the run: where, what, and the labels that went in and came out."""

    name: str
    where: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """One use of a weight by a convolution, a linear function or a matrix product.

    ``inputs`` and ``outputs``: the label of each unit. ``constants``: an input unit's value where
    it is the same for all inputs of the network and at all places, else NaN. ``pads``: zeros are
    laid around the input (or a transposed convolution overlaps unevenly), so that a constant is
    none at the border. Weights are (out, in / groups, …), transposed ones (in, out / groups, …), as
    a product x @ weight has them.
    """

    weight: str
    bias: str | None
    where: str
    inputs: Tensor
    outputs: Tensor
    constants: Tensor
    groups: int = 1
    transposed: bool = False
    pads: bool = False


@dataclass(frozen=True, eq=False)
class Channelwise:
    """A parameter or buffer with one entry per unit along ``dim``: scales, shifts, statistics."""

    name: str
    dim: int
    labels: Tensor


@dataclass(eq=False)
class Record:
    """Everything one run of a network has shown."""

    layers: list[Layer] = field(default_factory=list)
    channelwise: list[Channelwise] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)


def tensors(*values: object) -> Iterator[Tensor]:
    """All tensors in values, lists, tuples and mappings."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors(*value)
        elif isinstance(value, dict):
            yield from tensors(*value.values())


def returned(value: object) -> Iterator[Tensor]:
    """All tensors in what a network returns, also in its dataclasses, caches and other objects."""
    return _inside(value, set())


def _inside(value: object, seen: set[int]) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
        return
    if id(value) in seen or isinstance(value, str | bytes | type | nn.Module):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        parts: Iterable[object] = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    else:
        parts = getattr(value, "__dict__", {}).values()
    for part in parts:
        yield from _inside(part, seen)


def replaced(value: Any, by: Callable[[Tensor], Any]) -> Any:
    """The same lists, tuples and dictionaries with every tensor replaced."""
    if isinstance(value, Tensor):
        return by(value)
    if type(value) in (list, tuple):
        return type(value)(replaced(item, by) for item in value)
    if type(value) is dict:
        return {key: replaced(item, by) for key, item in value.items()}
    return value
