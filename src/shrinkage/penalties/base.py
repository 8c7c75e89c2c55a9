"""What every penalty owes: value, prox, distance, slope, strength_max, scaled."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from sys import float_info
from typing import NoReturn, Self

import torch
from torch import Tensor

from shrinkage.arguments import as_number
from shrinkage.errors import PenaltyError, shown
from shrinkage.penalties.steps import Step, Steps


class Penalty(ABC):
    """A function P of a weight tensor, with everything that solving min loss + P needs.

    A penalty knows no network. It sees tensors of shape ``(..., group_size)``: the last
    dimension is a group, all others count groups. Separable penalties accept any shape and
    treat each weight as a block of its own; group penalties have one block per group.
    Instances are frozen and validate on construction.
    """

    by: str | None = None
    """How a plan cuts a parameter into groups; the mathematics never reads it."""

    @abstractmethod
    def value(self, w: Tensor) -> Tensor:
        """P(w), a scalar tensor; differentiable wherever P is (a subgradient elsewhere)."""

    @abstractmethod
    def prox(self, w: Tensor, step: Step) -> Tensor:
        """argmin_z Σᵢ (zᵢ − wᵢ)² / (2 stepᵢ) + P(z), as a new tensor of w's shape and dtype.

        ``step`` ≥ 0 is a number or a tensor of w's shape (a diagonal metric). The result holds
        exact zeros. Step 0 returns w. Source: Parikh & Boyd, Proximal Algorithms (2014), §1.1.
        """

    def accumulate(self, w: Tensor, residual: Tensor, steps: Steps) -> Tensor | None:
        """One step of dual averaging, in place: z = w + residual, w ← prox(z), residual ← z − w.

        ``w`` has moved since ``residual`` was written; the prox has the sum of all steps. The
        residual remembers how far a zero is from waking up; 0 where that is NaN. What is returned,
        if anything, lets :meth:`hold` take the next steps. Source: Xiao, Dual Averaging Methods for
        Regularized Stochastic Learning (2010), §2, with z = w + residual for the sum of all moves.
        """
        w.add_(residual)
        shrunk = self.prox(w, steps.sum)
        torch.sub(w, shrunk, out=residual).nan_to_num_(0.0, torch.inf, -torch.inf)
        w.copy_(shrunk)
        return None

    def hold(self, w: Tensor, residual: Tensor, held: Tensor, steps: Steps) -> None:
        """A cheap step, in place, given what :meth:`accumulate` returned: the same zeros stay."""
        raise NotImplementedError  # accumulate returns nothing

    @abstractmethod
    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        """Distance of −grad to the subdifferential ∂P(w), one figure per block.

        Returns w's shape for separable penalties and ``(..., 1)`` for group penalties, so that
        it broadcasts against w. Zero everywhere means: w is stationary for loss + P.
        """

    @property
    @abstractmethod
    def slope(self) -> float:
        """The slope of P at zero, of a block of one weight; a block of m weights has slope·√m.

        Zero for penalties that are smooth at zero: those make no exact zeros.
        """

    def strength_max(self, grad: Tensor) -> float:
        """The smallest slope at which w = 0 is stationary, given grad = ∇loss(0).

        ``P.scaled(P.strength_max(grad) / P.slope)`` is the weakest multiple of P that empties
        the network. Infinite for penalties that are smooth at zero, unless grad is zero.
        """
        check_weights(grad, "grad")
        if grad.is_meta:
            raise _no_weights("grad", grad)
        largest = float(self._block_norm(grad).max()) if grad.numel() else 0.0
        return largest if self.slope > 0 or largest == 0 else float("inf")

    def __add__(self, other: object) -> NoReturn:
        """A sum of penalties is a penalty of its own kind: refused, with its name."""
        raise _no_sum(self, other)

    __radd__ = __add__

    def __mul__(self, factor: object) -> NoReturn:
        """:meth:`scaled` is meant: refused, so that no sum of weights is taken for a strength."""
        raise PenaltyError(
            "a penalty is not multiplied by *",
            got=f"{shown(self)} * {shown(factor)}",
            expected="scaled(), which multiplies every strength",
            remedy=f"Write {type(self).__name__}(…).scaled({shown(factor)}).",
        )

    __rmul__ = __mul__

    @property
    def convex(self) -> "Penalty":
        """P itself where it is convex, else the convex penalty with the same slope at zero."""
        return self

    @property
    def coupled(self) -> bool:
        """Whether a plan's groups span all parameters that must vanish together."""
        return False

    @property
    def averaged(self) -> "Penalty":
        """What dual averaging sums up; the rest of P acts in :meth:`accumulate` step by step."""
        return self

    @property
    def together(self) -> bool:
        """Whether zeros come by whole blocks only, so that P is smooth within a living block."""
        return False

    @property
    def clips(self) -> float | None:
        """s, where :meth:`accumulate` is :func:`fused.clip` with s: one call can then do many."""
        return None

    @property
    def holds(self) -> float | None:
        """s, where :meth:`hold` is what :class:`holds.Holds` does for many, with κ = s·√m."""
        return None

    @property
    def parts(self) -> tuple["Penalty", ...]:
        """Penalties that add up to this one, those with a kink at zero apart from smooth ones."""
        return (self,)

    @abstractmethod
    def scaled(self, factor: float) -> Self:
        """factor · P, a penalty of the same kind (every strength is multiplied)."""

    def of_part(self, share: float) -> "Penalty":
        """P as a function of this share of each group's weights, where the others are zero.

        A group of m weights keeps its factor √m: cutting zeros out must not make it cheaper.
        """
        check_share(share)
        return self

    def for_targets(self, targets: Callable[[], Tensor]) -> "Penalty":  # noqa: ARG002
        """P for data with these targets; itself unless its strength depends on them."""
        return self

    def _block_norm(self, grad: Tensor) -> Tensor:
        """‖grad_block‖₂ / √m, which at zero is compared with the slope."""
        return grad.abs()


_SUMS = {
    frozenset({"L1", "L2"}): "Write ElasticNet(l1=…, l2=…).",
    frozenset({"L1", "GroupL1"}): "Write SparseGroupL1(l1=…, group=…).",
    frozenset({"L1", "ElasticNet"}): "Write ElasticNet with the larger l1.",
    frozenset({"L2", "ElasticNet"}): "Write ElasticNet with the larger l2.",
}
"""Pairs of penalties that add up to one of ours, by name: which one."""


def _no_sum(one: object, other: object) -> PenaltyError:
    kinds = frozenset({type(one).__name__, type(other).__name__})
    return PenaltyError(
        "penalties are not added by +",
        got=f"{shown(one)} + {shown(other)}",
        expected="one penalty for each parameter",
        remedy=_SUMS.get(kinds, "ElasticNet is L1 and L2, SparseGroupL1 is L1 and GroupL1; "
                         "other layers get others by rules: {'conv*': …, nn.Linear: …}."),
    )  # fmt: skip


def check_strength(name: str, value: object) -> float:
    """``value`` as Python's number; :class:`PenaltyError` unless it is finite and ≥ 0."""
    remedy = "Pass a float such as 1e-4, or 0 for no penalty."
    return as_number(name, value, least=0, remedy=remedy, error=PenaltyError)


def check_positive(name: str, value: object) -> float:
    """``value`` as Python's number; :class:`PenaltyError` unless it is finite and > 0."""
    remedy = "It is a size of weights: usual ones lie between 1e-2 and 1."
    return as_number(name, value, above=0, remedy=remedy, error=PenaltyError)


LEAST, MOST = 1e-30, 1e30
"""Of numbers that are not 0: their products with weights and steps are then numbers in float32."""


def check_size(name: str, value: float) -> None:
    """Raise :class:`PenaltyError` unless ``value`` is 0 or from 1e-30 to 1e30."""
    number = float(value)
    if number and not LEAST <= number <= MOST:
        raise PenaltyError(
            f"{name} is too {'large' if number > MOST else 'small'} to compute with",
            got=value,
            expected=f"0, or a number from {LEAST:g} to {MOST:g}",
            remedy="Use 0 for no penalty; at 1 a network is usually empty.",
        )


def check_sizes(penalty: Penalty) -> None:
    """Raise :class:`PenaltyError` unless networks of any precision can compute with ``penalty``.

    The mathematics knows no such bounds, so that this is asked where it meets a network.
    """
    for name, value in vars(penalty).items():
        if isinstance(value, int | float):
            check_size(f"{type(penalty).__name__} {name}", value)


def check_share(share: object) -> float:
    """``share`` as a float; :class:`PenaltyError` unless it is a part of a group, 0 < share ≤ 1."""
    remedy = "It is the part of a group's weights that is left."
    return float(as_number("share", share, above=0, most=1, remedy=remedy, error=PenaltyError))


def check_weights(w: object, name: str = "w") -> None:
    """Raise :class:`PenaltyError` unless ``w`` is a dense tensor of real floating numbers."""
    if not isinstance(w, Tensor) or not w.is_floating_point() or w.layout is not torch.strided:
        raise _no_weights(name, w)


def check_alike(w: object, grad: object) -> None:
    """Raise :class:`PenaltyError` unless both are such tensors, of one shape."""
    check_weights(w)
    check_weights(grad, "grad")
    if w.shape != grad.shape:  # type: ignore[attr-defined]
        raise PenaltyError(
            "grad has another shape than the weights",
            got=tuple(grad.shape),  # type: ignore[attr-defined]
            expected=f"a tensor of shape {tuple(w.shape)}",  # type: ignore[attr-defined]
            remedy="Give the gradient of the loss in these weights, in their layout.",
        )


def _no_weights(name: str, value: object) -> PenaltyError:
    kind = f" of {value.dtype}, {value.layout}, {value.device}" if isinstance(value, Tensor) else ""
    return PenaltyError(
        f"{name} is no tensor of weights",
        got=shown(value) + kind.replace("torch.", ""),
        expected="a dense tensor of floating-point numbers",
        remedy="Pass a parameter of the network, or torch.tensor([0.5, -1.0]).",
    )


def checked_step(w: Tensor, step: Step) -> Step:
    """``step`` as a number, or as a tensor of w's shape and dtype.

    Raises :class:`PenaltyError` for a tensor of another shape and for a negative or NaN number.
    Tensor steps are not scanned for signs: they come from optimizers, once per training step.
    """
    check_weights(w)
    if isinstance(step, Tensor) and (step.ndim or not w.ndim):
        check_weights(step, "step")
        if step.shape != w.shape:
            raise PenaltyError(
                "step has another shape than the weights",
                got=tuple(step.shape),
                expected=f"a number or a tensor of shape {tuple(w.shape)}",
                remedy="Give one step per weight, in the layout of the weights.",
            )
        return step.to(w.dtype)
    if isinstance(step, float) and 0 <= step <= float_info.max:
        return float(step)  # at every training step
    remedy = "A step is a learning rate divided by the optimizer's metric."
    return float(as_number("step", step, least=0, remedy=remedy, error=PenaltyError))


def check_factor(factor: object, name: str = "factor") -> float:
    """``factor`` as a float; :class:`PenaltyError` unless it is a finite number ≥ 0."""
    remedy = "Pass a number such as 0.5; 1 leaves strengths as they are, 0 is no penalty."
    return float(as_number(name, factor, least=0, remedy=remedy, error=PenaltyError))


def soft_threshold(w: Tensor, threshold: Tensor | float) -> Tensor:
    """sign(w)·max(|w| − threshold, 0), with exact zeros and never −0.0.

    Written as w − clamp(w, −t, t): one pass, exact zero inside the threshold.
    """
    threshold = bounded(threshold, w.dtype)
    return w - w.clamp(-threshold, threshold)  # type: ignore[arg-type]


def bounded(number: Step, dtype: torch.dtype) -> Step:
    """A number ≥ 0 as ``dtype`` can hold it: beyond its largest every weight is zero all the same.

    >>> bounded(1e39, torch.float32) == torch.finfo(torch.float32).max
    True
    """
    if isinstance(number, Tensor) or number <= _HELD_BY_ALL:  # as at every training step
        return number
    return min(number, torch.finfo(dtype).max)


_HELD_BY_ALL = torch.finfo(torch.float16).max
