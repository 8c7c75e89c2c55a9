"""Wrong penalties, each wrong in one way that has happened somewhere, and the laws that say so."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import sqrt
from typing import Self

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from shrinkage.penalties import L1, L2, MCP, ElasticNet, GroupL1, LogSum, Penalty, SparseGroupL1
from shrinkage.penalties.steps import Steps

from . import laws
from .catalogue import CATALOGUE, Case
from .laws import Law

Step = float | Tensor


@dataclass(frozen=True)
class Saboteur:
    """A wrong penalty, the row of the catalogue it claims, and the laws that must reject it."""

    kind: type[Penalty]
    caught_by: tuple[Law, ...]

    @property
    def case(self) -> Case:
        return next(case for case in CATALOGUE if issubclass(self.kind, case.kind))

    @property
    def penalties(self) -> SearchStrategy[Penalty]:
        """What the catalogue draws, with the same strengths, sabotaged."""
        return self.case.penalties.map(
            lambda p: self.kind(**{f.name: getattr(p, f.name) for f in fields(p)})
        )


SABOTEURS: list[Saboteur] = []


def caught_by(*by: Law) -> Callable[[type[Penalty]], type[Penalty]]:
    def enlist(kind: type[Penalty]) -> type[Penalty]:
        SABOTEURS.append(Saboteur(kind, by))
        return kind

    return enlist


def soft(w: Tensor, threshold: Step) -> Tensor:
    return w.sign() * (w.abs() - threshold).clamp(min=0)


# ---- the formula is another one


@caught_by(
    laws.value_agrees_with_the_twin,
    laws.prox_agrees_with_the_twin,
    laws.zeros_agree_with_the_twin,
    laws.distance_agrees_with_the_twin,
)
class MissingRoot(GroupL1):
    """s·‖w_g‖ without √m, consistently: only the formula can tell."""

    def value(self, w: Tensor) -> Tensor:
        return super().value(w) / sqrt(w.shape[-1] if w.ndim and w.numel() else 1)

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return super().prox(w, step / sqrt(w.shape[-1] if w.ndim and w.numel() else 1))

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        root = sqrt(w.shape[-1] if w.ndim and w.numel() else 1)
        return GroupL1(self.strength / root).distance(w, grad)


@caught_by(
    laws.value_agrees_with_the_twin,
    laws.prox_agrees_with_the_twin,
    laws.distance_agrees_with_the_twin,
)
class LostHalf(L2):
    """s/2·Σw², consistently."""

    def value(self, w: Tensor) -> Tensor:
        return L2(self.strength / 2).value(w)

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return L2(self.strength / 2).prox(w, step)

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        return L2(self.strength / 2).distance(w, grad)


@caught_by(laws.value_agrees_with_the_twin, laws.value_is_nonnegative_even_and_zero_at_zero)
class LostModulus(L1):
    """s·Σw: the value of a penalty that pays for negative weights."""

    def value(self, w: Tensor) -> Tensor:
        return self.strength * w.sum()


@caught_by(laws.value_gradient_is_a_subgradient, laws.distance_agrees_with_the_twin)
class OtherGradient(ElasticNet):
    """The right value; a distance that forgot to differentiate the square."""

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        return ElasticNet(self.l1, self.l2 / 2).distance(w, grad)


# ---- the prox does not minimise


@caught_by(laws.prox_beats_every_competitor, laws.prox_is_stationary)
class StrengthAlone(L1):
    """Thresholds at s, whatever the step."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return soft(w, self.strength)


@caught_by(laws.prox_beats_every_competitor, laws.prox_is_stationary)
class SquaredThreshold(L1):
    """Thresholds at (step·s)²."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return soft(w, (step * self.strength) ** 2)


@caught_by(laws.prox_beats_every_competitor, laws.prox_agrees_with_the_twin)
class StaleStep(L1):
    """One step for all, the mean of those given."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        one = step.mean() if isinstance(step, Tensor) and step.numel() else step
        return super().prox(w, one)


@caught_by(laws.prox_beats_every_competitor, laws.prox_is_stationary)
class RadialRescaling(GroupL1):
    """In a diagonal metric: the textbook factor with a metric norm, instead of the root."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        if not isinstance(step, Tensor) or step.ndim == 0 or w.numel() == 0:
            return super().prox(w, step)
        pull = torch.where(w == 0, 0.0, w / step).norm(dim=-1, keepdim=True)
        return w * (1 - self.strength * sqrt(w.shape[-1]) / pull).clamp(min=0).nan_to_num(0.0)


@caught_by(laws.prox_is_firmly_nonexpansive, laws.prox_is_stationary)
class HardThreshold(L1):
    """Keeps or kills, never shrinks."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return torch.where(super().prox(w, step) == 0, 0.0, w)


@caught_by(laws.prox_agrees_with_the_twin, laws.prox_beats_every_competitor)
class DividesFirst(ElasticNet):
    """Divides by 1 + 2·step·l2 before the threshold."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return soft(w / (1 + 2 * step * self.l2), step * self.l1)


@caught_by(
    laws.prox_beats_every_competitor,
    laws.prox_is_lowest_on_the_way_to_zero,
    laws.prox_agrees_with_the_twin,
)
class LocalMinimum(LogSum):
    """The larger root wherever there is one, though 0 may cost less."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        size, epsilon = w.abs(), self.epsilon
        square = (size + epsilon) ** 2 - 4 * step * self.strength * epsilon
        root = (size - epsilon + square.clamp(min=0).sqrt()) / 2
        return torch.where((square >= 0) & (root > 0), root, 0.0 * w) * w.sign()


@caught_by(laws.prox_beats_every_competitor, laws.prox_is_lowest_on_the_way_to_zero)
class AlwaysSoftAtZero(LogSum):
    """Zero up to step·s, the condition of L1, where a long step should cut less."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return torch.where(L1(self.strength).prox(w, step) == 0, 0.0 * w, super().prox(w, step))


@caught_by(laws.prox_beats_every_competitor, laws.prox_agrees_with_the_twin, laws.scaled_multiplies)
class KneeOfTheLiterature(MCP):
    """Takes the knee for γ and bends at γ·s."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return MCP(self.strength, self.knee * self.strength or 1.0).prox(w, step)


@caught_by(laws.prox_beats_every_competitor, laws.prox_is_lowest_on_the_way_to_zero)
class FirmForEveryStep(MCP):
    """Zero up to step·s, beyond the knee as it is: firm where it should be hard."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return torch.where(L1(self.strength).prox(w, step) == 0, 0.0 * w, super().prox(w, step))


@caught_by(laws.prox_is_monotone, laws.prox_is_stationary)
class NeverLetsGo(MCP):
    """Shrinks as L1 does beyond the knee, and less before it."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        soft = L1(self.strength).prox(w, step)
        return torch.where(w.abs() > self.knee, soft, super().prox(w, step))


@caught_by(laws.distance_agrees_with_the_twin, laws.value_gradient_is_a_subgradient)
class DistanceOfTheLasso(MCP):
    """A certificate that demands the slope s of every weight."""

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        return L1(self.strength).distance(w, grad)


@caught_by(
    laws.prox_beats_every_competitor,
    laws.prox_is_stationary,
    laws.zeros_agree_with_the_twin,
)
class GroupBeforeSingle(SparseGroupL1):
    """Shrinks the group before the soft threshold."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return L1(self.l1).prox(GroupL1(self.group).prox(w, step), step)


@caught_by(laws.distance_agrees_with_the_twin, laws.prox_is_stationary)
class SharpInsideAGroup(SparseGroupL1):
    """Takes sign(0) = 0 for the subdifferential at single zeros."""

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        far = GroupL1(self.group).distance(w, grad + self.l1 * w.sign())
        return torch.where(far == 0, far, torch.maximum(far, super().distance(w, grad)))


@caught_by(laws.prox_is_odd_and_never_turns_a_sign, laws.prox_beats_every_competitor)
class LostSign(L1):
    """Returns the magnitude."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return super().prox(w, step).abs()


@caught_by(laws.prox_is_odd_and_never_turns_a_sign)
class Overshooting(L2):
    """An explicit gradient step instead of the prox: it turns signs."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return w - 2 * step * self.strength * w


# ---- zeros


@caught_by(laws.zeros_agree_with_the_twin)
class CutToLookSparse(L1):
    """Counts everything below 1e-3 as zero, and makes it so."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        z = super().prox(w, step)
        return torch.where(z.abs() < 1e-3, 0.0, z)


@caught_by(laws.zeros_agree_with_the_twin, laws.strength_max_empties_and_hardly_less_does_not)
class NeverZero(L1):
    """The threshold of √(w² + 1e-12): nearly zero, and never zero."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        z = super().prox(w, step)
        return torch.where(z == 0, w * 1e-7, z)


# ---- strength


@caught_by(laws.scaled_multiplies)
class ForgetfulScaling(ElasticNet):
    """scaled() multiplies one strength of two."""

    def scaled(self, factor: float) -> Self:
        return type(self)(self.l1 * factor, self.l2)


@caught_by(laws.more_strength_shrinks_more)
class Rebound(L1):
    """Beyond some strength, more of it shrinks less."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return super().prox(w, step * (1 / (1 + self.strength**2)))


@caught_by(laws.strength_max_empties_and_hardly_less_does_not)
class TimidMaximum(GroupL1):
    """strength_max from the mean group instead of the worst."""

    def strength_max(self, grad: Tensor) -> float:
        return float(self._block_norm(grad).mean()) if grad.numel() else 0.0


@caught_by(laws.strength_max_empties_and_hardly_less_does_not)
class RootInTheSlope(GroupL1):
    """A strength_max that takes whole norms, where the slope is per √m."""

    def _block_norm(self, grad: Tensor) -> Tensor:
        return super()._block_norm(grad) * sqrt(grad.shape[-1] if grad.ndim else 1)


@caught_by(laws.distance_agrees_with_the_twin, laws.strength_max_empties_and_hardly_less_does_not)
class UnclampedDistance(L1):
    """|grad| − s at zero, negative inside the subdifferential."""

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        return torch.where(w == 0, grad.abs() - self.strength, super().distance(w, grad))


@caught_by(laws.distance_agrees_with_the_twin, laws.prox_is_stationary)
class SmoothDistance(GroupL1):
    """Takes w/‖w‖ at zero for 0, so that no dead group is ever stationary."""

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        dead = w.abs().sum(dim=-1, keepdim=True) == 0
        return torch.where(dead, grad.norm(dim=-1, keepdim=True), super().distance(w, grad))


@caught_by(laws.strength_max_empties_and_hardly_less_does_not)
class AddsTheMaxima(SparseGroupL1):
    """‖g‖/√m, as if single weights did not take their part of the gradient first."""

    def _block_norm(self, grad: Tensor) -> Tensor:
        return GroupL1(1.0)._block_norm(grad)


@caught_by(laws.parts_add_up)
class LosesAPart(ElasticNet):
    """Parts without the square."""

    @property
    def parts(self) -> tuple[Penalty, ...]:
        return (L1(self.l1),)


@caught_by(laws.parts_add_up)
class TwoKinks(SparseGroupL1):
    """Two kinks at the same weights, which would share one residual."""

    @property
    def parts(self) -> tuple[Penalty, ...]:
        return L1(self.l1), GroupL1(self.group, self.by)


# ---- steps and blocks


@caught_by(laws.step_zero_returns_the_weights)
class RestlessStep(L2):
    """A floor under the step."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return super().prox(w, step + 1e-6)


@caught_by(laws.equal_steps_are_one_step)
class TwoCodePaths(ElasticNet):
    """The path for tensor steps was not kept in step with the other."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return super().prox(w, step / 2 if isinstance(step, Tensor) else step)


@caught_by(laws.blocks_do_not_meet, laws.prox_agrees_with_the_twin)
class WrongDimension(GroupL1):
    """Groups along the first dimension."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        if w.ndim != 2:
            return super().prox(w, step)
        return super().prox(w.mT, step.mT if isinstance(step, Tensor) and step.ndim else step).mT


@caught_by(laws.blocks_do_not_meet, laws.prox_beats_every_competitor)
class SwappedOrder(L1):
    """The right values in the wrong places."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        z = super().prox(w, step)
        return z.flip(-1) if z.ndim else z


# ---- tensors


@caught_by(laws.nothing_else_changes)
class InPlace(L1):
    """Shrinks the weights it was only shown."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return w.copy_(super().prox(w, step))


@caught_by(laws.nothing_else_changes)
class SharedMemory(L2):
    """No step, no work: hands the very weights back."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return w if not isinstance(step, Tensor) and step == 0 else super().prox(w, step)


@caught_by(laws.nothing_else_changes)
class StepSetsThePrecision(L2):
    """Float32 weights come back in float64 if the step is."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return w / (1 + 2 * self.strength * step)


@caught_by(laws.nothing_else_changes)
class AtRandom(L1):
    """Shrinks a little more or less, as it pleases."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return super().prox(w, step) * (1 - 1e-3 * torch.rand(w.shape, dtype=w.dtype))


@caught_by(laws.prox_agrees_with_the_twin, laws.step_zero_returns_the_weights)
class SingleInside(GroupL1):
    """Computes float64 in float32."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        step = step.float() if isinstance(step, Tensor) else step
        return super().prox(w.float(), step).to(w.dtype)


@caught_by(laws.layout_does_not_matter)
class AssumesContiguous(L1):
    """Reads the memory as if it were contiguous."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        strides = torch.empty(w.shape, device="meta").stride()
        return super().prox(w.as_strided(w.shape, strides), step)


@caught_by(laws.accumulated_steps_add_up)
class ForgetsTheResidual(L1):
    """Takes the whole threshold off again at every step."""

    def accumulate(self, w: Tensor, residual: Tensor, steps: Steps) -> Tensor | None:
        residual.zero_()
        super().accumulate(w, residual, steps)


@caught_by(laws.accumulated_steps_add_up)
class ShrinksTheLivingAnew(GroupL1):
    """Forgets that groups which are alive keep no residual, and takes the whole sum off them."""

    def accumulate(self, w: Tensor, residual: Tensor, steps: Steps) -> Tensor | None:
        super().accumulate(w, residual, Steps(steps.sum, steps.sum))


@caught_by(laws.held_steps_repeat_the_prox)
class HoldsWithoutShrinking(GroupL1):
    """Keeps zeros between two exact steps, and forgets to shrink the living."""

    def hold(self, w: Tensor, residual: Tensor, held: Tensor, steps: Steps) -> None:
        residual.addcmul_(w, held == 0)
        w.mul_(held != 0)


@caught_by(laws.held_steps_repeat_the_prox)
class ForgetsWhatMovedAZero(GroupL1):
    """Keeps a zero for ever: what would have woken it is thrown away."""

    def hold(self, w: Tensor, residual: Tensor, held: Tensor, steps: Steps) -> None:
        super().hold(w, residual, held, steps)
        residual.zero_()


@caught_by(laws.accumulated_steps_add_up)
class ShrinksTwice(MCP):
    """Averages the kink, and takes it off once more in the step of the concave rest."""

    def accumulate(self, w: Tensor, residual: Tensor, steps: Steps) -> Tensor | None:
        L1(self.strength).accumulate(w, residual, steps)
        w.copy_(self.prox(w, steps.last))


@caught_by(laws.nothing_is_nan)
class OverflowingRoot(LogSum):
    """√((w + ε)² − 4·step·s·ε), squared in the weights' precision."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        root = ((w.abs() + self.epsilon) ** 2 - 4 * step * self.strength * self.epsilon).sqrt()
        z = super().prox(w, step)
        return torch.where(z == 0, z, (w.abs() - self.epsilon + root) / 2 * w.sign())


@caught_by(laws.nothing_is_nan)
class NaNAtZero(GroupL1):
    """1 − κ·step/‖w‖ is 0/0 at a zero group with no strength."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        if isinstance(step, Tensor) or w.numel() == 0:
            return super().prox(w, step)
        norm = w.norm(dim=-1, keepdim=True) if w.ndim else w.abs()
        return w * (1 - self.strength * sqrt(w.shape[-1] if w.ndim else 1) * step / norm).clamp(0)


@caught_by(laws.nothing_is_nan)
class OverflowingSquares(GroupL1):
    """√Σw²: infinite at 1e30 in float32, times a strength of 0."""

    def value(self, w: Tensor) -> Tensor:
        root = sqrt(w.shape[-1] if w.ndim else 1)
        return self.strength * root * torch.linalg.vector_norm(w, dim=-1).sum()


@caught_by(laws.nan_is_not_hidden)
class SwallowsNaN(L1):
    """A network that diverged becomes a perfectly sparse one."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return super().prox(w, step).nan_to_num(0.0)


@caught_by(laws.nan_is_not_hidden)
class DeadUnlessAlive(GroupL1):
    """Asks ‖w‖ > threshold, which NaN never is, and takes the rest for zeros."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        z = super().prox(w, step)
        return torch.where(z.abs() > 0, z, 0.0)
