"""Drives a network to a stationary point of loss + penalty on the full data: proximal Newton."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from shrinkage.certificates import Certificate, certificate, largest_gap
from shrinkage.errors import FitError
from shrinkage.measures import Loss
from shrinkage.objectives import Objective, Vector
from shrinkage.plans import Plan

_PROX_STEPS = 6
_CG_STEPS = 40
_CG_ACCURACY = 1e-2
_SWEEPS = 5


@dataclass(frozen=True)
class Round:
    """A round of :func:`polish`: the objective after it, the gap before it, the step's length."""

    number: int
    objective: float
    gap: float
    step: float


def polish(
    model: nn.Module,
    plan: Plan,
    data: object,
    loss: Loss | None = None,
    *,
    tol: float = 1e-2,
    rounds: int = 50,
    samples: int = 0,
    progress: Callable[[Round], None] | None = None,
) -> Certificate:
    """Lower loss + penalty of ``model`` on all of ``data``, in place, until its gap is ``tol``.

    Each round minimises a quadratic model of the loss (its Hessian or the Gauss–Newton matrix,
    matrix-free and damped) plus the penalty: proximal gradient steps find the support, conjugate
    gradients solve on it; then a line search on the objective itself. The curvature is averaged
    over one batch of examples drawn from all (four million numbers, or the loader's batch size
    times 16). Unpenalised parameters come along, frozen ones stay. The objective never rises; the
    network is in eval mode meanwhile. Convex problems reach their minimum; a network whose
    support still changes needs training or many rounds. Memory: about ten copies of the
    parameters and the activations of that batch, differentiated twice.

    Returns the :class:`Certificate` of the end (``samples`` as in :func:`certify`); its last note
    says why the polish stopped where ``tol`` was not reached. ``progress`` is called after every
    round. Raises as :func:`certify`, and :class:`FitError` for numbers out of range.
    Source: Lee, Sun & Saunders, Proximal Newton-type Methods for Minimizing Composite Functions
    (2014), §2; the two phases, Chen, Curtis & Robinson, A Reduced-Space Algorithm for Minimizing
    ℓ1-Regularized Convex Functions (2017); damping, Martens, Hessian-free Optimization (2010).
    """
    _check(tol, rounds)
    objective = Objective(model, plan, data, loss)
    with objective.evaluating():
        solver = _Solver(objective)
        reason = solver.run(tol, rounds, progress or _ignore)
        return certificate(objective, samples=samples, notes=(reason,) if reason else ())


def _check(tol: float, rounds: int) -> None:
    if not tol > 0:
        raise FitError(
            "tol is out of range", got=tol, expected="a number > 0", remedy="0.01 is usual."
        )
    if not isinstance(rounds, int) or rounds < 1:
        raise FitError(
            "rounds is out of range",
            got=rounds,
            expected="a whole number ≥ 1",
            remedy="Leave it out for the default.",
        )


def _ignore(_: Round) -> None:
    pass


class _Solver:
    """The state of a polish: the point as one vector, the damping, the largest curvature."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        sampled = objective.stream.sample(objective.stream.rows_at_once)
        self.sampled = Objective(objective.model, objective.plan, sampled, objective.criterion)
        self.shapes = [w.shape for w in objective.point]
        self.w = _joined(objective.point)
        self.diagonal = torch.ones_like(self.w)
        self.pulse = torch.ones_like(self.w)
        self.largest = 0.0
        self.relative_damping = 1e-6
        self.generator = torch.Generator().manual_seed(0)

    def run(self, tol: float, rounds: int, progress: Callable[[Round], None]) -> str | None:
        """Rounds until the gap is at most ``tol``; otherwise the reason why not."""
        for number in range(1, rounds + 1):
            mean, gradient = self.objective.gradient()
            gap = largest_gap(self.objective, gradient)
            if gap <= tol:
                return None
            value, step = self._round(_joined(gradient).to(self.w), mean + self._penalty())
            if not step:
                return (
                    "Polish stopped where no step lowers the objective further. What "
                    "is left are kinks of ReLU or max-pooling (samples= measures them) or the "
                    f"rounding of {self.w.dtype}.".replace("torch.", "")
                )
            progress(Round(number, value, gap, step))
        return (
            f"Polish stopped after {rounds} rounds, before tol was reached. The objective was "
            "still falling: raise rounds=, or train longer first."
        )

    def _round(self, gradient: Tensor, value: float) -> tuple[float, float]:
        """One step with its line search: the new objective and the step's length, 0 for none.

        The Hessian first; where it is not positive definite enough, the Gauss–Newton matrix.
        """
        for linearise, tries in ((self.sampled.hessian, 2), (self.sampled.curvature, 6)):
            self.product = linearise()
            self._measure_curvature()
            for _ in range(tries):
                found = self._search(gradient, self._model_minimum(gradient), value)
                if found is not None:
                    relief = 0.25 if found[1] == 1 else 4.0
                    self.relative_damping = max(self.relative_damping * relief, 1e-9)
                    return found
                self.relative_damping = max(self.relative_damping * 32, 1e-6)
        return value, 0.0

    def _search(self, gradient: Tensor, target: Tensor, value: float) -> tuple[float, float] | None:
        """The first of the steps 1, ½, ¼ … toward ``target`` that lowers the objective enough."""
        move = target - self.w
        expected = _dot(gradient, move) + self._penalty_of(target) - self._penalty_of(self.w)
        start, step = self.w, 1.0
        while expected < 0 and step > 1e-2:
            self._write(target if step == 1 else start + step * move)
            found = self.objective.loss() + self._penalty()
            if found < value and found <= value + 1e-4 * step * expected:
                return found, step
            step /= 2
        self._write(start)
        return None

    def _model_minimum(self, gradient: Tensor) -> Tensor:
        """argmin over z of gᵀ(z−w) + ½(z−w)ᵀ(B+μ)(z−w) + P(z), nearly."""
        z = self.w
        for _ in range(_SWEEPS):
            z = self._shrink(z, gradient)
            solved = self._solve_on_support(z, gradient)
            if solved is None:
                break
            settled = torch.equal(solved == 0, z == 0)
            z = solved
            if settled:
                break
        return z

    def _shrink(self, z: Tensor, gradient: Tensor) -> Tensor:
        """Accelerated proximal gradient steps on the model, with restarts: they find the support.

        Source: Beck & Teboulle, FISTA (2009); O'Donoghue & Candès, Adaptive Restart (2015).
        """
        step = 1 / ((1.2 * self.largest + self.relative_damping) * self.diagonal)
        y, pace = z, 1.0
        for _ in range(_PROX_STEPS):
            moved = self._prox(y - step * (gradient + self._bend(y - self.w)), step)
            if _dot((y - moved) / step, moved - z) > 0:
                pace = 1.0
            faster = (1 + sqrt(1 + 4 * pace**2)) / 2
            y = moved + (pace - 1) / faster * (moved - z)
            z, pace = moved, faster
        return z

    def _solve_on_support(self, z: Tensor, gradient: Tensor) -> Tensor | None:
        """Conjugate gradients for the model where P is smooth; a weight that would turn is 0.

        None where that is no better than ``z``.
        """
        mask = self._support(z)
        bent = self._bend(z - self.w)
        slope = self._smooth_slope(z)
        residual = torch.where(mask, -(gradient + bent + slope), 0.0)
        best = self._model_value(z, gradient, bent)
        solution = _conjugate_gradients(
            lambda v: torch.where(mask, self._bend(v) + self._smooth_curvature(z, v), 0.0),
            residual,
            self.diagonal,
        )
        for step in (1.0, 0.5, 0.2, 0.05, 0.01):
            trial = self._unturned(z, z + step * solution)
            if self._model_value(trial, gradient, self._bend(trial - self.w)) < best:
                return trial
        return None

    def _model_value(self, z: Tensor, gradient: Tensor, bent: Tensor) -> float:
        move = z - self.w
        return _dot(gradient, move) + _dot(bent, move) / 2 + self._penalty_of(z)

    def _measure_curvature(self) -> None:
        """Diagonal of B and largest eigenvalue relative to it, kept from round to round.

        The diagonal by Hutchinson's estimate, E[v ⊙ Bv] over random signs; the eigenvalue by
        power iteration.
        """
        first = not self.largest
        estimate = torch.zeros_like(self.w)
        probes = 16 if first else 4
        for _ in range(probes):
            signs = torch.randint(0, 2, self.w.shape, generator=self.generator).to(self.w) * 2 - 1
            estimate += signs * self._curved(signs) / probes
        estimate = estimate.abs()
        estimate = estimate.clamp(min=1e-3 * float(estimate.mean()) or 1.0)
        self.diagonal = estimate if first else 0.7 * self.diagonal + 0.3 * estimate
        root = self.diagonal.sqrt()
        for _ in range(10 if first else 4):
            pushed = self._curved(self.pulse / root) / root
            size = float(pushed.norm())
            if not size:
                break
            self.largest, self.pulse = size / float(self.pulse.norm()), pushed / size
        self.largest = self.largest or 1.0

    def _curved(self, v: Tensor) -> Tensor:
        return _joined(self.product(self._split(v)))

    def _bend(self, v: Tensor) -> Tensor:
        """(B + μD)·v with D the diagonal of B."""
        return self._curved(v) + self.relative_damping * self.diagonal * v

    def _split(self, v: Tensor) -> Vector:
        parts = torch.split(v, [shape.numel() for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _write(self, w: Tensor) -> None:
        self.w = w
        self.objective.move(self._split(w))

    def _penalty(self) -> float:
        return self.objective.penalty()

    def _penalty_of(self, w: Tensor) -> float:
        parts = zip(self.objective.blocks, self._split(w), strict=True)
        return float(sum(float(block.value(part.double())) for block, part in parts))

    def _prox(self, w: Tensor, step: Tensor) -> Tensor:
        parts = zip(self.objective.blocks, self._split(w), self._split(step), strict=True)
        return _joined([block.prox(part, steps) for block, part, steps in parts])

    def _support(self, w: Tensor) -> Tensor:
        """True where P is smooth: at living weights and groups, and wherever it has no kink."""
        parts = zip(self.objective.blocks, self._split(w), strict=True)
        return _joined([block.alive(part) for block, part in parts])

    def _unturned(self, before: Tensor, after: Tensor) -> Tensor:
        parts = zip(self.objective.blocks, self._split(before), self._split(after), strict=True)
        return _joined([block.unturned(a, b) for block, a, b in parts])

    def _smooth_slope(self, w: Tensor) -> Tensor:
        """∇P(w) on the support; elsewhere anything."""
        with torch.enable_grad():
            leaf = w.detach().requires_grad_()
            parts = zip(self.objective.blocks, self._split(leaf), strict=True)
            value = torch.stack([block.value(part) for block, part in parts]).sum()
            return torch.autograd.grad(value, leaf)[0]

    def _smooth_curvature(self, w: Tensor, v: Tensor) -> Tensor:
        """∇²P(w)·v on the support; elsewhere anything."""
        with torch.enable_grad():
            leaf = w.detach().requires_grad_()
            parts = zip(self.objective.blocks, self._split(leaf), strict=True)
            value = torch.stack([block.value(part) for block, part in parts]).sum()
            (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
            if not slope.requires_grad:
                return torch.zeros_like(v)
            return torch.autograd.grad(slope, leaf, v, materialize_grads=True)[0]


def _conjugate_gradients(
    product: Callable[[Tensor], Tensor], b: Tensor, diagonal: Tensor
) -> Tensor:
    """x with A·x ≈ b for positive definite A, preconditioned; stops where A is not."""
    x, residual = torch.zeros_like(b), b
    scaled = residual / diagonal
    direction, square = scaled, _dot(residual, scaled)
    enough = _CG_ACCURACY**2 * square
    for _ in range(_CG_STEPS):
        if square <= enough:
            break
        bent = product(direction)
        curvature = _dot(direction, bent)
        if curvature <= 0:
            break
        x = x + square / curvature * direction
        residual = residual - square / curvature * bent
        scaled = residual / diagonal
        before, square = square, _dot(residual, scaled)
        direction = scaled + square / before * direction
    return x


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def _dot(a: Tensor, b: Tensor) -> float:
    return float(a.double() @ b.double())
