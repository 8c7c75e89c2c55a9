"""How a parameter becomes the (n_groups, group_size) tensor that a penalty sees."""

from dataclasses import dataclass, replace
from math import prod
from typing import Self

from torch import Tensor

from shrinkage.errors import PlanError
from shrinkage.graph.layers import Layout

# Which axes of a layout tell the groups apart; the others lie within a group.
_UNITS = {"filter": "go", "input": "gi", "kernel": "goi"}
_AXES = {"g": "group", "o": "output", "i": "input", "k": "neither"}


@dataclass(frozen=True)
class Grouping:
    """A reversible view of a parameter of ``shape`` as ``n_groups`` rows of ``group_size``."""

    shape: tuple[int, ...]
    split: tuple[int, ...]
    order: tuple[int, ...]
    n_groups: int
    group_size: int

    def view(self, tensor: Tensor) -> Tensor:
        """``tensor`` as (n_groups, group_size); differentiable, without a copy where possible."""
        return (
            tensor.reshape(self.split).permute(self.order).reshape(self.n_groups, self.group_size)
        )

    def restore(self, rows: Tensor) -> Tensor:
        """The inverse of :meth:`view`."""
        permuted = rows.reshape([self.split[axis] for axis in self.order])
        back = sorted(range(len(self.order)), key=self.order.__getitem__)
        return permuted.permute(back).reshape(self.shape)

    def stacked(self, count: int) -> Self:
        """The groups of ``count`` such parameters in one tensor (count, *shape)."""
        return replace(
            self,
            shape=(count, *self.shape),
            split=(count, *self.split),
            order=(0, *(axis + 1 for axis in self.order)),
            n_groups=count * self.n_groups,
        )


@dataclass(frozen=True)
class Single(Grouping):
    """Every weight a group of its own: the parameter is seen as it is."""

    def view(self, tensor: Tensor) -> Tensor:
        """``tensor`` itself."""
        return tensor

    def restore(self, rows: Tensor) -> Tensor:
        """``rows`` itself."""
        return rows


def grouping(name: str, shape: tuple[int, ...], layout: Layout, by: str | None) -> Grouping:
    """The groups of a parameter for a penalty's ``by`` (None: single weights).

    One-dimensional parameters (biases, scales) have one weight per unit and so groups of one.
    Raises :class:`PlanError` where the layout has no such axis.
    """
    if by is None:
        return Single(shape, shape, tuple(range(len(shape))), prod(shape), 1)
    if len(shape) < 2 and not set(layout.axes).isdisjoint("oi"):
        return Grouping(shape, (prod(shape), 1), (0, 1), prod(shape), 1)
    units = _UNITS[by]
    if not set(units) - {"g"} <= set(layout.axes):
        raise PlanError(
            f"parameter {name!r} has no {by} axis to group by",
            got=f"shape {shape} with the axes {', '.join(map(_AXES.__getitem__, layout.axes))}",
            expected="a weight between inputs and outputs whose axes are known",
            remedy="Give it a rule of its own: other groups, single weights, or None. "
            "register_layer() tells the axes of a layer that is not known.",
        )
    order = sorted(range(len(layout.axes)), key=lambda k: layout.axes[k] not in units)
    outer = sum(axis in units for axis in layout.axes)
    lengths = [layout.split[k] for k in order]
    return Grouping(shape, layout.split, tuple(order), prod(lengths[:outer]), prod(lengths[outer:]))
