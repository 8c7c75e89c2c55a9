"""All parameters as one vector, and the penalty as a function of it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from shrinkage.analysis.blocks import Block, Vector


class FlatLayout:
    """Where each block of the objective lies in the vector w."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.shapes = [block.parameter.shape for block in blocks]
        self.sizes = [shape.numel() for shape in self.shapes]

    def split(self, w: Tensor) -> Vector:
        """One tensor per block, in the shape of its parameter: views of w."""
        parts = torch.split(w, self.sizes)
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def value(self, w: Tensor) -> float:
        """P(w) in float64."""
        return float(self._sum(w.double()).detach())

    def prox(self, w: Tensor, step: Tensor) -> Tensor:
        """prox of step·P at w, a step per weight."""
        return self._each(lambda block, part, steps: block.prox(part, steps), w, step)

    def support(self, w: Tensor) -> Tensor:
        """True where P is smooth: at living weights and groups, and wherever it has no kink."""
        return self._each(lambda block, part: block.alive(part), w)

    def unturned(self, before: Tensor, after: Tensor) -> Tensor:
        """``after``, with 0 for weights and groups that have turned since ``before``."""
        return self._each(lambda block, a, b: block.unturned(a, b), before, after)

    def tangent(self, w: Tensor, gradient: Tensor) -> Tensor:
        """The gradient without what would change a norm that is kept, beside P's own slope."""
        return self._each(lambda block, part, g: block.tangent(part.double(), g), w, gradient)

    def confined(
        self, product: Callable[[Tensor], Tensor], w: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """B as it is felt on the spheres at ``w``, and stiff along the norms that are kept."""
        if all(block.sphere is None for block in self.blocks):
            return product
        stiffness = float(product(w).norm() / w.norm())

        def bent(v: Tensor) -> Tensor:
            out = self._along(w, v)
            found = product(v - out)
            return found - self._along(w, found) + stiffness * out

        return bent

    def _along(self, w: Tensor, v: Tensor) -> Tensor:
        return self._each(lambda block, part, u: block.along(part, u), w, v)

    def onto_spheres(self, w: Tensor, start: Tensor) -> Tensor:
        """``w`` with the norms of ``start`` where they are kept."""
        return self._each(lambda block, a, b: block.onto_sphere(a, b), w, start)

    def linearised(self, w: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """∇P(w) and v ↦ ∇²P(w)·v on the support; elsewhere anything."""
        leaf = w.detach().requires_grad_()
        with torch.enable_grad():
            value = self._sum(leaf)
            if not value.requires_grad:  # no penalty at all
                return torch.zeros_like(w), torch.zeros_like
            (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
        if not slope.requires_grad:
            return slope, torch.zeros_like

        def curved(v: Tensor) -> Tensor:
            return torch.autograd.grad(slope, leaf, v, retain_graph=True, materialize_grads=True)[0]

        return slope.detach(), curved

    def _sum(self, w: Tensor) -> Tensor:
        parts = zip(self.blocks, self.split(w), strict=True)
        return torch.stack([block.value(part) for block, part in parts]).sum()

    def _each(self, f: Callable[..., Tensor], *vectors: Tensor) -> Tensor:
        parts: Any = zip(self.blocks, *map(self.split, vectors), strict=True)
        return joined([f(*each) for each in parts])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """One vector of all blocks."""
    return torch.cat([part.reshape(-1) for part in parts])


def dot(a: Tensor, b: Tensor) -> float:
    """aᵀb in float64."""
    return float(a.double() @ b.double())
