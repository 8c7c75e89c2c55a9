"""The sparse group lasso."""

from dataclasses import dataclass
from math import sqrt
from typing import Self

import torch
from torch import Tensor

from shrinkage.penalties.base import (
    Penalty,
    check_alike,
    check_factor,
    check_share,
    check_strength,
    checked_step,
    soft_threshold,
)
from shrinkage.penalties.group_l1 import By, GroupL1, check_by, grouped, safe_norm
from shrinkage.penalties.l1 import L1
from shrinkage.penalties.steps import Step, Steps


@dataclass(frozen=True)
class SparseGroupL1(Penalty):
    """SparseGroupL1(l1, group): l1·Σ|w| + group·Σ_g √|g|·‖w_g‖₂.

    Whole groups vanish, and single weights within those that stay. ``by`` as in
    :class:`GroupL1`. Raises :class:`PenaltyError` for a negative, infinite or NaN strength or an
    unknown ``by``.
    Source: Simon, Friedman, Hastie & Tibshirani, A Sparse-Group Lasso (2013).

    >>> import torch
    >>> SparseGroupL1(l1=1.0, group=1.0).value(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor(14.0711)
    """

    l1: float
    group: float
    by: By = "filter"

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", check_strength("SparseGroupL1 l1", self.l1))
        object.__setattr__(self, "group", check_strength("SparseGroupL1 group", self.group))
        check_by("SparseGroupL1", self.by)

    def value(self, w: Tensor) -> Tensor:
        """l1·Σ|w| + group·√m·Σ_g ‖w_g‖₂ over the last dimension (of length m)."""
        return self._single.value(w) + self._whole.value(w)

    def prox(self, w: Tensor, step: Step) -> Tensor:
        """The group's prox of soft-thresholded weights, also with a step per weight.

        With v = soft(w, step·l1), the group's z = prox(v) has v's signs and zeros. So
        (z − v)/step + κ·z/‖z‖ = 0 adds to v = w − step·l1·sign(z) where z ≠ 0, and |w| ≤ step·l1
        where v = 0: the conditions for z. And z = 0 where ‖soft(w, step·l1)/step‖₂ ≤ κ. The other
        order, shrinking before the threshold, solves another problem.
        Source: Friedman, Hastie & Tibshirani, A Note on the Group Lasso and a Sparse Group Lasso
        (2010); Yu, On Decomposing the Proximal Map (2013).
        """
        step = checked_step(w, step)
        return self._whole.prox(soft_threshold(w, step * self.l1), step)

    def accumulate(self, w: Tensor, residual: Tensor, steps: Steps) -> None:
        """Dual averaging of single weights, then the group's prox of the last step.

        Living groups must turn freely (see :meth:`GroupL1.accumulate`), and one residual cannot
        tell a living group from a dead one whose weights are all within ±total·l1.
        """
        self._single.accumulate(w, residual, steps)
        w.copy_(self._whole.prox(w, steps.last))

    @property
    def averaged(self) -> Penalty:
        """L1(l1)."""
        return self._single

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        """‖dᵢ‖₂ per group, (..., 1); at w = 0, max(‖soft(grad, l1)‖₂ − κ, 0) with κ = group·√m.

        dᵢ = gradᵢ + l1·sign(wᵢ) + κ·wᵢ/‖w‖ where wᵢ ≠ 0, soft(gradᵢ, l1) where wᵢ = 0.
        """
        check_alike(w, grad)
        rows, grad = grouped(w), grouped(grad)
        kappa = self.group * sqrt(rows.shape[-1])
        norm = safe_norm(rows)
        beyond = soft_threshold(grad, self.l1)
        direction = rows / torch.where(norm == 0, 1.0, norm)
        moved = grad + self.l1 * rows.sign() + kappa * direction
        away = safe_norm(torch.where(rows == 0, beyond, moved))
        return torch.where(norm == 0, (safe_norm(beyond) - kappa).clamp(min=0), away)

    @property
    def slope(self) -> float:
        """l1 + group: (l1 + group)·√m is the steepest slope at zero of a group of m weights."""
        return self.l1 + self.group

    @property
    def parts(self) -> tuple[Penalty, ...]:
        """L1(l1) and GroupL1(group) where one of them is 0; else there is nothing smooth to part.

        Two kinks at the same weights share one residual of dual averaging.
        """
        return (self,) if self.l1 and self.group else (self._single, self._whole)

    @property
    def together(self) -> bool:
        """Whether l1 is 0."""
        return not self.l1

    def scaled(self, factor: float) -> Self:
        """SparseGroupL1(factor·l1, factor·group) with the same groups."""
        factor = check_factor(factor)
        return type(self)(self.l1 * factor, self.group * factor, self.by)

    def of_part(self, share: float) -> Self:
        """SparseGroupL1(l1, group/√share)."""
        return type(self)(self.l1, self.group * check_share(share) ** -0.5, self.by)

    @property
    def _single(self) -> L1:
        return L1(self.l1)

    @property
    def _whole(self) -> GroupL1:
        return GroupL1(self.group, self.by)

    def _block_norm(self, grad: Tensor) -> Tensor:
        """c·(l1 + group) with the root c of ‖soft(grad, c·l1)‖₂ = c·κ: c·P just empties the group.

        Newton from c = 0, where the left side is larger: it is convex in c and falls, so that the
        iterates rise to the root; they reach it once the weights above c·l1 are the last ones.
        """
        size = grouped(grad).abs().double()
        kappa = self.group * sqrt(size.shape[-1])
        if not self.slope:
            return safe_norm(size)
        c = torch.zeros_like(safe_norm(size))
        for _ in range(100):  # 2 to 10
            beyond = (size - c * self.l1).clamp(min=0)
            norm = safe_norm(beyond)
            fall = self.l1 * beyond.sum(-1, keepdim=True) / torch.where(norm == 0, 1.0, norm)
            rise = (norm - c * kappa).clamp(min=0) / torch.where(
                fall + kappa == 0, 1.0, fall + kappa
            )
            c = c + rise
            if not bool((rise > 1e-15 * c).any()):
                break
        return c * self.slope
