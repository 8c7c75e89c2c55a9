"""Drives a network to a stationary point of loss + penalty on the full data: proximal Newton."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from shrinkage.analysis.blocks import Vector
from shrinkage.analysis.certificates import Certificate, certificate, checked_samples
from shrinkage.analysis.gaps import Nearest, largest_gap, nearest
from shrinkage.analysis.measures import Loss
from shrinkage.analysis.objectives import Objective
from shrinkage.analysis.polish.curvature import Scale, TensorPair, corrected, measured
from shrinkage.analysis.polish.layout import FlatLayout, dot, joined
from shrinkage.analysis.polish.quadratic import Quadratic
from shrinkage.analysis.polish.rounds import Round, Show, told
from shrinkage.arguments import as_int, as_number
from shrinkage.plans import Plan
from shrinkage.progress import check_progress

_PAIRS = 8
"""Steps whose change of the gradient is remembered; two vectors each, and two more at work."""
_REST = 4
"""Rounds for which an indefinite Hessian is not asked for again."""
_SLOW = 1e-4
"""Of the objective: where a round gains less, kinks are in the way, if there are any."""
_ARMIJO, _SHORTEST = 1e-4, 1e-2


def polish(
    model: nn.Module,
    plan: Plan,
    data: object = None,
    loss: Loss | None = None,
    *,
    tol: float = 1e-2,
    rounds: int = 200,
    samples: int = 0,
    progress: Show | None = None,
) -> Certificate:
    """Lower loss + penalty of ``model`` on all of ``data``, in place, until its gap is ``tol``.

    Each round minimises a quadratic model of the loss plus the penalty, roughly: proximal gradient
    steps find the support, conjugate gradients solve on it; then a line search on the objective.
    Rows whose norm is kept (see :class:`Plan`) are taken back onto their spheres after each step.
    The model's curvature is the Hessian or the Gauss–Newton matrix, matrix-free and damped, over
    one batch of examples drawn from all (four million numbers, or the loader's batch size times
    16), corrected by what the last rounds' gradients of all data have shown. Unpenalised
    parameters come along, frozen ones stay. The objective never rises, beyond the rounding of its
    sum; the network is in eval mode meanwhile. Convex problems reach their minimum; a network
    whose support still changes needs training or many rounds. Memory: about forty copies of the
    parameters and the activations of that batch, differentiated twice.

    Networks with ReLU or max-pooling come to rest on kinks, where the plain gap does not vanish:
    with ``samples`` (as in :func:`certify`; 50 are best) the polish looks at the gradients around
    in every other round as soon as it becomes slow, goes on along the shortest of their
    combinations, and is done where the kink-aware gap is ``tol``.

    Returns the :class:`Certificate` of the end; its last note says why the polish stopped where
    ``tol`` was not reached. ``progress`` is called after every round; by default a bar shows
    those of a polish that takes more than a second. Raises as :func:`certify`, and
    :class:`FitError` for numbers out of range.
    Source: Lee, Sun & Saunders, Proximal Newton-type Methods for Minimizing Composite Functions
    (2014), §2; the sampled Hessian, Byrd, Chin, Neveitt & Nocedal, On the Use of Stochastic
    Hessian Information in Optimization Methods (2011); damping, Martens, Hessian-free
    Optimization (2010).
    """
    tol = as_number("tol", tol, above=0, remedy="0.01 is usual.")
    rounds, samples = as_int("rounds", rounds, least=1), checked_samples(samples)
    check_progress(progress)
    objective = Objective(model, plan, data, loss)
    with objective.evaluating(), told(progress, rounds) as show:
        reason = _Newton(objective, samples).run(tol, rounds, show)
        found = certificate(objective, samples=samples)
    gap = found.gap if found.kink_gap is None else found.kink_gap
    return found if gap <= tol else replace(found, notes=(*found.notes, reason))


@dataclass(frozen=True, eq=False)
class _Point:
    """Weights, their cost, and the gradient of the loss there, in float64."""

    w: Tensor
    cost: float
    gradient: Vector
    gap: float


@dataclass(frozen=True, eq=False)
class _Aim:
    """The gradient that a step goes by, and its gap: the point's own, or the nearest around it.

    ``look`` finds it at any point, so that two points are compared by the same measure.
    """

    point: _Point
    look: Callable[[_Point], Nearest]

    @cached_property
    def seen(self) -> Nearest:
        """What ``look`` finds at the point."""
        return self.look(self.point)


def _plain(point: _Point) -> Nearest:
    return Nearest(point.gradient, point.gap)


class _Newton:
    """What a polish keeps from round to round: the scale of the curvature, damping, pairs."""

    def __init__(self, objective: Objective, samples: int) -> None:
        self.objective, self.samples = objective, samples
        sampled = objective.stream.sample(objective.stream.rows_at_once)
        self.sampled = Objective(objective.model, objective.plan, sampled, objective.criterion)
        self.layout = FlatLayout(objective.blocks)
        self.scale: Scale | None = None
        self.damping = 1e-6
        self.pairs: list[TensorPair] = []
        self.rest = 0
        self.seed = torch.Generator().manual_seed(0)

    def run(self, tol: float, rounds: int, progress: Callable[[Round], None]) -> str:
        """Rounds until the gap is at most ``tol`` or no step is left; says why they ended."""
        point, slow = self._here(), False
        for number in range(1, rounds + 1):
            for look in self._looks(around=slow and number % 2 == 0):
                aim = _Aim(point, look)
                if aim.seen.gap <= tol:
                    return "Polish reached tol."
                step = self._step(aim)
                if step:
                    break
            else:
                return (
                    "Polish stopped where no step lowers the objective further. What is left are "
                    "kinks of ReLU or max-pooling (samples= measures them) or the rounding of "
                    f"{point.w.dtype}.".replace("torch.", "")
                )
            before, point = point, self._here()
            self._learn(before, point)
            slow = before.cost - point.cost < _SLOW * point.cost
            progress(Round(number, point.cost, before.gap, step))
        return (
            f"Polish stopped after {rounds} rounds, before tol was reached. The objective was "
            "still falling: raise rounds=, or train longer first."
        )

    def _looks(self, *, around: bool) -> Iterator[Callable[[_Point], Nearest]]:
        """How to look at a point, and how next if that leads nowhere."""
        if not (around and self.samples):
            yield _plain
        if self.samples:
            yield self._around

    def _here(self) -> _Point:
        mean, gradient = self.objective.gradient()
        gap = largest_gap(self.objective.blocks, self.objective.point, gradient)
        w = joined(self.objective.point).clone()
        return _Point(w, mean + self.layout.value(w), gradient, gap)

    def _around(self, point: _Point) -> Nearest:
        """Of the gradients around the network's point, the combination nearest to stationary."""
        return nearest(self.objective, point.gradient, self.samples)

    def _learn(self, before: _Point, after: _Point) -> None:
        change = joined(after.gradient) - joined(before.gradient)
        self.pairs = [*self.pairs, (after.w - before.w, change.to(after.w))][-_PAIRS:]

    def _step(self, aim: _Aim) -> float:
        """Move to a better point; the step's length, 0 where there is none.

        The Hessian first; where it is not convex on the support, or leads nowhere, the
        Gauss–Newton matrix, and for some rounds only that.
        """
        self.rest = max(0, self.rest - 1)
        if not self.rest:
            step = self._try(aim, self.sampled.hessian(), tries=2, only_convex=True)
            if step:
                return step
            self.rest = _REST
        return self._try(aim, self.sampled.curvature(), tries=6, only_convex=False)

    def _try(
        self,
        aim: _Aim,
        curvature: Callable[[Vector], Vector],
        *,
        tries: int,
        only_convex: bool,
    ) -> float:
        """Move along this curvature's model, damped more with each try."""
        point = aim.point
        gradient = self.layout.tangent(point.w, joined(aim.seen.gradient)).to(point.w)
        split = self.layout.split
        product = corrected(lambda v: joined(curvature(split(v))), self.pairs)
        product = self.layout.confined(product, point.w)
        self.scale = measured(product, point.w, self.scale, self.seed)
        for _ in range(tries):
            model = Quadratic(self.layout, point.w, gradient, product, self.scale, self.damping)
            target, convex = model.minimum()
            if only_convex and not convex:
                return 0.0
            step = self._search(aim, gradient, target)
            if step:
                self.damping = max(self.damping * (0.25 if step == 1 else 4.0), 1e-9)
                return step
            self.damping = max(self.damping * 32, 1e-6)
        return 0.0

    def _search(self, aim: _Aim, gradient: Tensor, target: Tensor) -> float:
        """The first of the steps 1, ½, ¼ … toward ``target`` that lowers the cost enough.

        Where what is to be gained drowns in the rounding of the cost, the gap must fall instead.
        Source: Hager & Zhang, A New Conjugate Gradient Method with Guaranteed Descent (2005), §4.
        """
        point = aim.point
        move = target - point.w
        penalties = self.layout.value(target) - self.layout.value(point.w)
        expected = dot(gradient, move) + penalties
        rounding = torch.finfo(point.w.dtype).eps * abs(point.cost)
        step = 1.0
        while expected < 0 and step > _SHORTEST:
            w = self.layout.onto_spheres(target if step == 1 else point.w + step * move, point.w)
            self.objective.move(self.layout.split(w))
            rise = self.objective.loss() + self.layout.value(w) - point.cost
            if rise < 0 and rise <= _ARMIJO * step * expected:
                return step
            drowned = -expected <= rounding and rise <= rounding
            if drowned and aim.look(self._here()).gap < aim.seen.gap:
                return step
            step /= 2
        self.objective.move(self.layout.split(point.w))
        return 0.0
