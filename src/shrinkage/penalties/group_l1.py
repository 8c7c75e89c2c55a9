"""The group lasso."""

from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Literal, Self

import torch
from torch import Tensor

from shrinkage.arguments import as_choice, as_flag
from shrinkage.errors import PenaltyError
from shrinkage.penalties.base import (
    Penalty,
    check_alike,
    check_factor,
    check_share,
    check_strength,
    check_weights,
    checked_step,
)
from shrinkage.penalties.fused import least_norm, shrink
from shrinkage.penalties.steps import Step, Steps

By = Literal["filter", "input", "kernel"]
GROUPINGS: tuple[By, ...] = ("filter", "input", "kernel")


def check_by(name: str, by: object) -> None:
    """Raise :class:`PenaltyError` unless ``by`` is one of :data:`GROUPINGS`."""
    remedy = 'The default is "filter": output units.'
    as_choice(f"{name} by", by, GROUPINGS, remedy=remedy, error=PenaltyError)


@dataclass(frozen=True)
class GroupL1(Penalty):
    """GroupL1(s): s·Σ_g √|g|·‖w_g‖₂, the sum over groups g along the last dimension.

    Whole groups become exactly zero together: filters, neurons, inputs. ``by`` says how a plan
    cuts a parameter: ``"filter"`` (an output unit: filter or neuron), ``"input"`` (an input
    channel, column or embedding row), ``"kernel"`` (one input–output pair of a convolution).
    ``coupled``: a group spans everything in the network that must vanish with a filter (other
    layers of a residual stream, biases, norm scales and shifts), so that a zero group can be cut
    out; the plan then needs ``example_inputs``.
    Raises :class:`PenaltyError` for a negative, infinite or NaN strength, an unknown ``by``, and
    for coupled groups that are no filters.
    Source: Yuan & Lin, Model Selection and Estimation with Grouped Variables (2006).

    >>> import torch
    >>> GroupL1(1.0).value(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor(7.0711)
    """

    strength: float
    by: By = "filter"
    coupled: bool = field(default=False, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength("GroupL1 strength", self.strength))
        check_by("GroupL1", self.by)
        object.__setattr__(self, "coupled", as_flag("coupled", self.coupled, error=PenaltyError))
        if self.coupled and self.by != "filter":
            raise PenaltyError(
                "only filters can be coupled",
                got=f"coupled=True with by={self.by!r}",
                expected='by="filter"',
                remedy="A weight has one filter, and belongs to as many inputs as read it.",
            )

    def value(self, w: Tensor) -> Tensor:
        """s·√m·Σ_g ‖w_g‖₂ over the last dimension (of length m), a scalar tensor."""
        check_weights(w)
        return self.strength * sqrt(_size(w)) * safe_norm(grouped(w)).sum()

    def prox(self, w: Tensor, step: Step) -> Tensor:
        """zᵢ = wᵢ·r / (r + κ·stepᵢ) with κ = s·√m and r = ‖z‖ the root of a scalar equation.

        The group is exactly zero where ‖w/step‖₂ ≤ κ; else r solves ‖w / (r + κ·step)‖₂ = 1.
        With one step for all, r = ‖w‖ − κ·step: the textbook block soft threshold. Otherwise
        Newton on 1/‖w / (r + κ·step)‖₂ = 1, concave and increasing in r, started left of the
        root: the iterates rise monotonically (Moré & Sorensen, Computing a Trust Region Step,
        1983, §3, the same secular equation).
        """
        step = checked_step(w, step)
        if w.numel() == 0:
            return w.clone()
        rows = grouped(w)
        kappa = self.strength * sqrt(_size(w))
        if isinstance(step, Tensor):
            shrunk, _ = _metric_prox(rows, kappa * step.reshape(rows.shape))
            return shrunk.reshape(w.shape)
        return _block_soft_threshold(rows, kappa * step).reshape(w.shape)

    def accumulate(self, w: Tensor, residual: Tensor, steps: Steps) -> Tensor | None:
        """Dual averaging for groups that are zero, the plain prox for the others.

        A group that is alive has the residual κ·(total − step)·w/‖w‖, which turns with w and need
        not be stored: it is written as 0, and the group shrinks by κ·step. A fixed residual would
        hold back every turn of the group, the more the longer training lasts. Returns the ratios
        ‖w‖/‖z‖ of the groups, (..., 1): 0 where they are zero.
        """
        if w.numel() == 0:
            return None
        rows, kept = grouped(w), grouped(residual)
        total, step = checked_step(w, steps.sum), checked_step(w, steps.last)
        kappa = self.strength * sqrt(_size(w))
        waiting = _norm(kept) > 0
        norm = _norm(rows.add_(kept)).clamp_(least_norm(rows.dtype), _most(rows))
        if isinstance(total, Tensor):
            step = step if isinstance(step, Tensor) else torch.full_like(total, step)
            threshold = torch.lerp(step, total, waiting.to(rows.dtype)).mul_(kappa)
            shrunk, r = _metric_prox(rows, threshold.reshape(rows.shape))
        else:
            threshold = step + (total - step) * waiting.to(rows.dtype)
            r = (norm - kappa * threshold).clamp_(min=0)
            shrunk = rows * (r / norm)
        gone = r == 0
        torch.mul(rows, gone, out=kept)
        new = gone & ~waiting
        if not new.is_cpu or bool(new.any()):  # to ask a GPU takes longer than to add zeros
            kept.addcmul_(rows * (total - step), new * (kappa / norm))
        kept.nan_to_num_(0.0, torch.inf, -torch.inf)
        rows.copy_(shrunk)
        return r / norm

    def hold(self, w: Tensor, residual: Tensor, held: Tensor, steps: Steps) -> None:
        """w ← w·r/(r + κ·step) with r = ‖w‖ times the ratio of the last :meth:`accumulate`.

        That is the prox where the ratio has not changed, so fixed points are the same; for one
        step it is the prox in any case. A group that is zero stays so, and its residual takes up
        what moved it.
        """
        rows, kappa = grouped(w), self.strength * sqrt(_size(w))
        norm = _norm(rows)
        r = (norm * held).clamp_(max=_most(rows))
        if not isinstance(steps.step, Tensor):
            r = torch.where(held == 0, r, (norm - kappa * steps.last).clamp(0, _most(rows)))
        shrink(rows, grouped(residual), held, r, kappa, steps)

    @property
    def holds(self) -> float | None:
        """s, unless a subclass holds in its own way."""
        return self.strength if type(self).hold is GroupL1.hold else None

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        """‖grad + κ·w/‖w‖‖₂ per group where w ≠ 0, max(‖grad‖₂ − κ, 0) where w = 0; (..., 1)."""
        check_alike(w, grad)
        rows, grad = grouped(w), grouped(grad)
        kappa = self.strength * sqrt(_size(w))
        norm = safe_norm(rows)
        direction = rows / torch.where(norm == 0, 1.0, norm)
        away = safe_norm(grad + kappa * direction)
        return torch.where(norm == 0, (safe_norm(grad) - kappa).clamp(min=0), away)

    @property
    def slope(self) -> float:
        """s: a group of m weights has slope s·√m at zero."""
        return self.strength

    @property
    def together(self) -> bool:
        """True: a living group is smooth in all its weights."""
        return True

    def scaled(self, factor: float) -> Self:
        """GroupL1(factor·s) with the same groups."""
        return replace(self, strength=self.strength * check_factor(factor))

    def of_part(self, share: float) -> Self:
        """GroupL1(s/√share): √(share·m)·s/√share = s·√m."""
        return self.scaled(check_share(share) ** -0.5)

    def _block_norm(self, grad: Tensor) -> Tensor:
        return safe_norm(grouped(grad)) / sqrt(_size(grad))


def grouped(w: Tensor) -> Tensor:
    """``w`` with a dimension of groups: a number is a group of one."""
    return w.reshape(1, 1) if w.ndim == 0 else w


def _size(w: Tensor) -> int:
    return w.shape[-1] if w.ndim else 1


def safe_norm(rows: Tensor) -> Tensor:
    """‖row‖₂, (..., 1), without overflow or underflow of the squares."""
    if rows.shape[-1] == 0:
        return rows.sum(dim=-1, keepdim=True)
    top = rows.detach().abs().amax(dim=-1, keepdim=True)  # the norm does not depend on the unit
    unit = torch.where((top > 0) & top.isfinite(), top, 1.0)
    norm: Tensor = torch.linalg.vector_norm(rows / unit, dim=-1, keepdim=True)
    return unit * norm


def _block_soft_threshold(rows: Tensor, threshold: float) -> Tensor:
    norm = safe_norm(rows)
    shrunk = (norm - threshold).clamp(min=0)
    return rows * (shrunk / torch.where(norm == 0, 1.0, norm))


def _norm(rows: Tensor) -> Tensor:
    """‖row‖₂, (..., 1), in one pass; squares may overflow."""
    norm: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return norm


def _most(rows: Tensor) -> float:
    """What stands for a norm whose squares overflow: no step is felt beside such a group."""
    return torch.finfo(rows.dtype).max


def _metric_prox(rows: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """Group prox with one threshold κ·stepᵢ per weight, and its norms r in the metric, (..., 1)."""
    eps, least = torch.finfo(rows.dtype).eps, least_norm(rows.dtype) ** 0.5
    norm, unit = _norm(rows), None
    if not bool(((norm == 0) | ((norm > least) & (norm < 1 / least))).all()):
        top = rows.abs().amax(dim=-1, keepdim=True)  # squares would overflow or underflow
        unit = torch.where((top > 0) & top.isfinite(), top, 1.0)
        rows, threshold = rows / unit, threshold / unit
        norm = _norm(rows)
    t = threshold.clamp(min=torch.finfo(rows.dtype).tiny)
    gone = _norm(rows / t) <= 1
    # Lower bounds of r: by Jensen's inequality ‖w‖ − Σ wᵢ²tᵢ/‖w‖², which is the root itself where
    # all steps are equal; and |wᵢ| − tᵢ, so that no term exceeds 1.
    r = norm - (rows * rows * t).sum(dim=-1, keepdim=True) / norm.square().clamp(min=least**2)
    # A relative error x of r is one of at most x·√share in z.
    share = (1 - r / norm.clamp(min=least)).clamp_(eps, 1)
    if bool((~gone & (share > 0.5)).any()):
        r = torch.maximum(r, (rows.abs() - t).amax(dim=-1, keepdim=True))
    r = r.clamp_(min=0)
    for _ in range(60):  # 0 to 6 rounds; 15 were needed for steps spread over 12 decades
        d = t + r
        q = rows / d
        length = _norm(q)
        excess = torch.where(gone, 0.0, length - 1)
        if not bool((excess * share.sqrt() > 4 * eps).any()):
            break
        slope = (q * q / d).sum(dim=-1, keepdim=True)
        r = torch.where(gone, r, r + excess * length.square() / slope)
    r = torch.where(gone, 0.0, r)
    shrunk = rows * (r / d)
    return (shrunk, r) if unit is None else (shrunk * unit, r * unit)
