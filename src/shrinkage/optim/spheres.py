"""Weights before a normalisation layer keep their norm: the penalty acts on their direction."""

from math import inf, sqrt

import torch
from torch import Tensor

from shrinkage.optim.memory import Saved
from shrinkage.optim.methods import Method
from shrinkage.optim.metrics import Reading
from shrinkage.penalties import Penalty
from shrinkage.plans import Entry
from shrinkage.plans.grouping import Grouping


class Sphere(Method):
    """After its methods have acted, every invariant row has the norm that it had before the step.

    Shrinking such a row lowers P and leaves the loss alone, so that loss + P has no minimiser
    (van Laarhoven, L2 Regularization versus Batch and Weight Normalization, 2017). On the spheres
    ‖w_f‖ = r_f it has. The row is w / (1 + μ·step) with the one μ that gives it its norm: then
    step·(∇loss + ∂P + μ·w) = 0 at a fixed point, whatever the steps of the single weights. With
    one step for all that is w·r/‖w‖, and rescaled soft-thresholded weights are the exact prox of
    P = L1 on the sphere (Bolte et al., PALM, 2014, for prox steps on nonconvex sets).

    A row that the prox would empty keeps its largest weight alone, where L1 is least on the
    sphere. A row of norm 0 stays 0. A write from outside sets new norms.
    """

    def __init__(
        self, entry: Entry, penalty: Penalty, rows: Grouping, methods: tuple[Method, ...]
    ) -> None:
        super().__init__(entry, penalty)
        self.rows, self.methods = rows, methods
        self.norms: Tensor | None = None

    def before(self, parameter: Tensor, scale: float, loss_scale: Tensor | float) -> None:
        """Note the norms."""
        for method in self.methods:
            method.before(parameter, scale, loss_scale)
        self.norms = _norm(self.rows.view(_wide(parameter.detach())))

    def after(self, parameter: Tensor, reading: Reading, scale: float) -> None:
        """Let the methods act, then put each row back on its sphere."""
        if not scale:
            return
        assert self.norms is not None  # noqa: S101  (before() noted them)
        step = reading.metric.step
        start = self.rows.view(_wide(parameter)).clone()
        for method in self.methods:
            method.after(parameter, reading, scale)
        w = self.rows.view(_wide(parameter))
        w = torch.where(w.any(dim=1, keepdim=True), w, _largest_alone(start))
        if isinstance(step, Tensor) and step.ndim:
            w = _pulled(w, self._bounded(step, reading.metric.reach, scale), self.norms)
        norm = _norm(w)
        w = w * (self.norms / torch.where(norm == 0, 1.0, norm))
        parameter.copy_(self.rows.restore(w))
        for method in self.methods:
            method.rewritten(parameter)

    def _bounded(self, step: Tensor, reach: float, scale: float) -> Tensor:
        """The steps, where they explode no longer than the reach lets the penalty move."""
        assert self.norms is not None  # noqa: S101  (narrowing)
        slope = scale * self.penalty.slope / sqrt(self.entry.grouping.group_size)
        return self.rows.view(step.clamp(max=reach / slope if slope else inf)).to(self.norms)

    def rewritten(self, parameter: Tensor) -> None:
        """Pass it on."""
        for method in self.methods:
            method.rewritten(parameter)

    def state(self) -> Saved:
        """What the methods keep: the norms are the network's own."""
        return {key: value for method in self.methods for key, value in method.state().items()}

    def load(self, saved: Saved, device: torch.device) -> None:
        """Take back what :meth:`state` gave."""
        for method in self.methods:
            method.load(saved, device)


def _wide(w: Tensor) -> Tensor:
    return w.to(torch.promote_types(w.dtype, torch.float32))


def _norm(rows: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return norm


def _largest_alone(rows: Tensor) -> Tensor:
    size = rows.abs()
    first = size.argmax(dim=1, keepdim=True)
    return torch.zeros_like(rows).scatter_(1, first, rows.gather(1, first))


def _pulled(w: Tensor, step: Tensor, norms: Tensor) -> Tensor:
    """w / (1 + μ·step) with ‖·‖ = ``norms`` per row, up to what a plain rescaling can mend.

    Newton on 1/‖w/(1 + μ·step)‖ = 1/r, concave and increasing in μ: from anywhere the first
    iterate lies left of the root, and from there they rise (Moré & Sorensen, Computing a Trust
    Region Step, 1983, §3). No weight may exceed r, which bounds μ from below.
    """
    step = torch.where(w == 0, 0.0, step)
    step = step / step.amax(dim=1, keepdim=True).clamp(min=torch.finfo(step.dtype).tiny)
    r = torch.where(norms == 0, 1.0, norms)
    tightest = torch.where(step > 0, (w.abs() / r - 1) / step, -torch.inf)
    lowest = tightest.amax(dim=1, keepdim=True).clamp(min=-0.999)
    mu = torch.zeros_like(r)
    for _ in range(4):
        part = w / (1 + mu * step)
        square = part.square()
        found = square.sum(dim=1, keepdim=True)
        slope = (square * step / (1 + mu * step)).sum(dim=1, keepdim=True)
        rise = (found.sqrt() / r - 1) * found / torch.where(slope == 0, 1.0, slope)
        mu = torch.maximum(mu + rise, lowest)
    return w / (1 + mu * step)
