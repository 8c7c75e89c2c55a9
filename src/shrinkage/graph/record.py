"""What one run of a network has shown of its units."""

from dataclasses import dataclass, field

from torch import Tensor


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
class Recording:
    """Everything one run of a network has shown."""

    layers: list[Layer] = field(default_factory=list)
    channelwise: list[Channelwise] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
