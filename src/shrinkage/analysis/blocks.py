"""One trained parameter and its penalty: value, prox, distance, and what is alive in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shrinkage.errors import PlanError
from shrinkage.penalties import Penalty
from shrinkage.plans import Entry, Plan
from shrinkage.plans.coupled import Coupled
from shrinkage.plans.grouping import Grouping

Vector = list[Tensor]
"""One tensor per block of the objective, in the shape of its parameter."""


@dataclass(frozen=True, eq=False)
class Block:
    """A trainable parameter with its penalty, or None where it has none (or strength 0).

    The rows of coupled groups are a block, too: a tensor made of several ``parameters``.
    """

    entry: Entry
    parameters: tuple[nn.Parameter, ...]
    penalty: Penalty | None
    group: Coupled | None = None

    @property
    def parameter(self) -> Tensor:
        """The parameter itself, or the coupled rows as they stand."""
        return self.gathered(self.parameters)

    def gathered(self, tensors: Sequence[Tensor]) -> Tensor:
        """The block of tensors in the parameters' shapes."""
        return tensors[0] if self.group is None else self.group.gather(tensors)

    def scattered(self, value: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors with the block's values in their places; differentiable."""
        return [value] if self.group is None else self.group.scatter(value, tensors)

    @property
    def slope(self) -> float:
        """The slope of the penalty at zero, s·√m for groups of m weights; 0 where it is smooth."""
        if self.penalty is None:
            return 0.0
        return float(self.penalty.slope * self.entry.grouping.group_size**0.5)

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        """Distance of −grad to ∂P(w), one figure per weight or group; |grad| without penalty.

        On spheres the distance to ∂P(w) + span{w_f}: what would change a norm does not count.
        """
        if self.penalty is None:
            return grad.abs()
        view = self.entry.grouping.view
        return self.penalty.distance(view(w), view(self.tangent(w, grad)))

    def tangent(self, w: Tensor, grad: Tensor) -> Tensor:
        """grad + μ_f·w_f with μ_f = −⟨grad + ∂P(w), w_f⟩/‖w_f‖², where rows w_f keep their norm.

        With this gradient loss + P has no slope along w_f (Lagrange); other blocks: grad itself.
        """
        if self.sphere is None:
            return grad
        with torch.enable_grad():
            leaf = w.detach().clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.value(leaf), leaf)
        return grad - self.along(w.detach(), grad + slope)

    def along(self, w: Tensor, v: Tensor) -> Tensor:
        """The part of v that points along the rows w_f that keep their norm; 0 for other blocks."""
        rows = self.sphere
        if rows is None:
            return torch.zeros_like(v)
        at, moved = rows.view(w), rows.view(v)
        square = at.square().sum(dim=1, keepdim=True)
        share = (at * moved).sum(dim=1, keepdim=True) / torch.where(square == 0, 1.0, square)
        return rows.restore(share * at)

    @property
    def sphere(self) -> Grouping | None:
        """The rows that keep their norm."""
        return None if self.penalty is None else self.entry.sphere

    def onto_sphere(self, w: Tensor, other: Tensor) -> Tensor:
        """``w`` with the norms of ``other``, row by row; rows that are 0 are taken from it."""
        rows = self.sphere
        if rows is None:
            return w
        target, known = rows.view(w), rows.view(other)
        found, norm = (torch.linalg.vector_norm(r, dim=1, keepdim=True) for r in (target, known))
        return rows.restore(torch.where(found == 0, known, target * (norm / found)))

    def value(self, w: Tensor) -> Tensor:
        """P(w); 0 without penalty."""
        if self.penalty is None:
            return w.new_zeros(())
        return self.penalty.value(self.entry.grouping.view(w))

    def prox(self, w: Tensor, step: Tensor) -> Tensor:
        """prox of step·P at w, a step per weight; w itself without penalty."""
        if self.penalty is None:
            return w
        view = self.entry.grouping.view
        return self.entry.grouping.restore(self.penalty.prox(view(w), view(step)))

    def alive(self, w: Tensor) -> Tensor:
        """True at weights that are not 0 and in groups that are not, and where P has no kink."""
        if self.penalty is None or not self.slope:
            return torch.ones_like(w, dtype=torch.bool)
        grouping = self.entry.grouping
        if not self.penalty.together:
            return w != 0
        rows = grouping.view(w)
        return grouping.restore(rows.any(dim=-1, keepdim=True).expand(rows.shape))

    def unturned(self, before: Tensor, after: Tensor) -> Tensor:
        """``after``, with 0 for weights whose sign has turned and groups that point backward."""
        if self.penalty is None or not self.slope:
            return after
        grouping = self.entry.grouping
        if not self.penalty.together:
            return torch.where(before * after > 0, after, 0.0)
        rows, target = grouping.view(before), grouping.view(after)
        forward = (rows * target).sum(dim=-1, keepdim=True) > 0
        return grouping.restore(torch.where(forward, target, 0.0))


def blocks(plan: Plan) -> Iterator[Block]:
    """The parameters of ``plan`` that are trained, and its coupled groups."""
    for entry in plan.entries:
        parameter = plan.parameter(entry)
        if parameter.requires_grad and not entry.coupled:
            yield Block(entry, (parameter,), _acting(entry.penalty))
    for group in plan.coupled:
        parameters = tuple(plan.parameter(part.entry) for part in group.parts)
        yield Block(group.entry, parameters, _acting(group.entry.penalty), group)
    _check_whole(plan)


def _acting(penalty: Penalty | None) -> Penalty | None:
    return None if penalty is None or penalty == penalty.scaled(0) else penalty


def _check_whole(plan: Plan) -> None:
    """Refuse coupled groups that leave a part of a parameter without a block."""
    rows: dict[str, int] = {}
    for part in (part for group in plan.coupled for part in group.parts):
        at = rows.setdefault(part.entry.name, part.entry.shape[part.dim])
        rows[part.entry.name] = at - part.rows.numel()
    left = [name for name, count in rows.items() if count]
    if left:
        raise PlanError(
            "coupled groups cover a parameter in part",
            got=f"{rows[left[0]]} rows of {left[0]!r} in no group",
            expected="units of one parameter that all vanish with something",
            remedy="Certify a plan without coupled=True.",
        )
