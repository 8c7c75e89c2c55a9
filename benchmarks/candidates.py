"""The known ways of getting zeros of an L1-penalised cost out of noisy minibatch gradients.

Each is a way of :mod:`training` and hooks into the optimizer. ``sh.attach`` offers ``averaged``,
``prox`` and ``subgradient``; the others are here to be compared with them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial, reduce
from math import sqrt
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from training import Run, Way

import shrinkage as sh
from shrinkage.optim.metrics import metric_of


@contextmanager
def attached(run: Run, method: str) -> Iterator[None]:
    """What this package does: ``prox``, ``averaged``, or the ``subgradient`` of the textbook."""
    handle = sh.attach(run.optimizer, run.plan, method=method)
    yield
    handle.remove()


@contextmanager
def truncated(run: Run, every: int | None = None) -> Iterator[None]:
    """The thresholds of ``every`` steps (None: of an epoch) are added up and applied at once.

    Between two applications nothing is exactly zero. Source: Langford, Li & Zhang, Sparse Online
    Learning via Truncated Gradient (2009), here in the metric of the optimizer.
    """
    every = every or run.task.batches
    metric_at = metric_of(run.optimizer)
    owed: list[Tensor | float] = [0.0] * len(run.weights)
    steps = 0

    @torch.no_grad()
    def settle() -> None:
        for i, w in enumerate(run.weights):
            w.copy_(run.task.penalty.prox(w, owed[i]))
            owed[i] = 0.0

    @torch.no_grad()
    def after(optimizer, *_: object) -> None:
        nonlocal steps
        steps += 1
        (group,) = optimizer.param_groups
        for i, w in enumerate(run.weights):
            metric = metric_at(group, optimizer.state[w], w)
            # Adam's step explodes where there was no gradient; it moves no weight further than this
            owed[i] = owed[i] + torch.as_tensor(metric.step).clamp(
                max=metric.reach / run.task.strength
            )
        if steps % every == 0:
            settle()

    hook = run.optimizer.register_step_post_hook(after)
    yield
    hook.remove()
    settle()


@contextmanager
def variance_reduced(run: Run, way: Way, since: float = 0.6) -> Iterator[None]:
    """From ``since`` of the epochs on, ``way`` sees g_batch(w) − g_batch(w̃) + g_all(w̃) as gradient.

    w̃ is the network at the start of the epoch; such an epoch costs three. Source: Xiao & Zhang, A
    Proximal Stochastic Gradient Method with Progressive Variance Reduction (prox-SVRG, 2014).
    """
    snapshot_of, anchor, mean = -1, run.model, []

    def before(*_: object) -> None:
        nonlocal snapshot_of, anchor, mean
        if run.epoch < since * run.task.epochs:
            return
        if snapshot_of != run.epoch:
            snapshot_of, anchor = run.epoch, deepcopy(run.model)
            mean = gradient(slice(None))
        for p, noisy, exact in zip(run.model.parameters(), gradient(run.rows), mean, strict=True):
            p.grad += exact - noisy

    def gradient(rows: Tensor | slice) -> tuple[Tensor, ...]:
        return torch.autograd.grad(run.task.loss(anchor, rows), list(anchor.parameters()))

    with way(run):
        hook = run.optimizer.register_step_pre_hook(before)
        yield
        hook.remove()


def pseudo_orthant(w: Tensor, strength: float) -> Tensor:
    """The sign of w; a zero whose batch gradient outweighs the penalty takes that of its step."""
    wakes = -w.grad.sign() * (w.grad.abs() > strength)
    return torch.where(w == 0, wakes, w.sign())


def face(w: Tensor, strength: float) -> Tensor:  # noqa: ARG001
    """The sign of w: what is zero stays so."""
    return w.sign()


@contextmanager
def orthant(
    run: Run, choose: Callable[[Tensor, float], Tensor], since: float = 0.0
) -> Iterator[None]:
    """Steps along loss + s·sign·w within the orthant that ``choose`` names; who leaves it is zero.

    Until ``since`` of the epochs, prox. Source: Andrew & Gao, Scalable Training of L1-Regularized
    Log-Linear Models (OWL-QN, 2007); with :func:`face` and prox before it, Chen et al., Orthant
    Based Proximal Stochastic Gradient Method (OBProx-SG, 2020).
    """
    handle = sh.attach(run.optimizer, run.plan, method="prox")
    signs: list[Tensor] = []

    @torch.no_grad()
    def before(*_: object) -> None:
        if run.epoch < since * run.task.epochs:
            return
        handle.scale = 0
        signs[:] = [choose(w, run.task.strength) for w in run.weights]
        for w, sign in zip(run.weights, signs, strict=True):
            w.grad.add_(sign, alpha=run.task.strength).mul_(sign != 0)

    @torch.no_grad()
    def after(*_: object) -> None:
        for w, sign in zip(run.weights, signs, strict=False):  # before ``since`` there are none
            w.mul_(w * sign > 0)

    hooks = (
        run.optimizer.register_step_pre_hook(before),
        run.optimizer.register_step_post_hook(after),
    )
    yield
    for hook in hooks:
        hook.remove()
    handle.remove()


class Product(nn.Module):
    """w = ω₁·…·ω_D, every factor drawn anew so that w has the variance of a LeCun start.

    |ω|^D lies between ``least`` and twice the deviation of w: no product starts near zero, where
    it would stay. Source: Kolb et al., Deep Weight Factorization (2025), algorithm 1.
    """

    def __init__(self, depth: int, least: float = 3e-3) -> None:
        super().__init__()
        self.depth, self.least = depth, least

    def forward(self, *factors: Tensor) -> Tensor:
        return reduce(mul, factors)

    def right_inverse(self, w: Tensor) -> tuple[Tensor, ...]:
        std = 1 / sqrt(w[0].numel())
        roots = torch.tensor([self.least, min(1, 2 * std), std]) ** (1 / self.depth)
        low, high = torch.special.ndtr(roots[:2] / roots[2])
        return tuple(self._factor(w, low, high) * roots[2] for _ in range(self.depth))

    @staticmethod
    def _factor(w: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Normal, of either sign, between the quantiles ``low`` and ``high``."""
        size = torch.special.ndtri(low + (high - low) * torch.rand_like(w))
        return size * (torch.randint(2, w.shape) * 2 - 1)


@contextmanager
def factorized(run: Run, depth: int = 2) -> Iterator[None]:
    """Plain training of factors with L2: (s/D)·Σ ω_d² ≥ s·|w|^(2/D), equal where they balance.

    Depth 2 is L1 exactly, a greater depth another, nonconvex penalty. Products come near zero and
    never there: to be followed by :func:`then_cut`. Source: Ziyin & Wang, spred: Solving L1 Penalty
    with SGD (2023); Kolb et al., Deep Weight Factorization (2025).
    """
    names = [entry.name.rpartition(".")[0] for entry, *_ in run.plan.blocks()]
    modules = [run.model.get_submodule(name) for name in names]
    for module in modules:
        parametrize.register_parametrization(module, "weight", Product(depth))
    factors = [f for module in modules for f in module.parametrizations.weight.parameters()]

    @torch.no_grad()
    def before(*_: object) -> None:
        for factor in factors:
            factor.grad.add_(factor, alpha=2 * run.task.strength / depth)

    hook = run.optimizer.register_step_pre_hook(before)
    yield
    hook.remove()
    for module in modules:
        parametrize.remove_parametrizations(module, "weight")


@contextmanager
def then_cut(run: Run, way: Way, cut: float) -> Iterator[None]:
    """At the end what lies below ``cut`` times its layer's largest weight is set to zero."""
    with way(run):
        yield
    with torch.no_grad():
        for w in run.weights:
            w.mul_(w.abs() >= cut * w.abs().max())


loss_term = partial(attached, method="subgradient")
prox = partial(attached, method="prox")
averaged = partial(attached, method="averaged")

WAYS: Mapping[str, Way] = {
    "prox": prox,
    "prox, cut at 1e-3": partial(then_cut, way=prox, cut=1e-3),
    "averaged": averaged,
    "truncated every 10 steps": partial(truncated, every=10),
    "truncated every 50 steps": partial(truncated, every=50),
    "truncated every epoch": truncated,
    "prox, then SVRG": partial(variance_reduced, way=prox),
    "averaged, then SVRG": partial(variance_reduced, way=averaged),
    "orthant": partial(orthant, choose=pseudo_orthant),
    "prox, then orthant": partial(orthant, choose=face, since=0.5),
}
"""Ways whose weights stay what they are: one range of learning rates suits all."""

SVRG_COST = 1.8
"""Six epochs of one gradient per example and four of three, in units of ten plain epochs."""

FACTORS: Mapping[str, Way] = {
    "spred": partial(then_cut, way=factorized, cut=1e-6),
    "spred, cut at 1e-3": partial(then_cut, way=factorized, cut=1e-3),
}
"""The same cost in factors, which need larger learning rates."""

DEEP: Mapping[str, Way] = {
    f"DWF, {depth} factors": partial(then_cut, way=partial(factorized, depth=depth), cut=1e-6)
    for depth in (3, 4)
}
"""Deep Weight Factorization: other, nonconvex penalties s·Σ|w|^(2/D)."""
