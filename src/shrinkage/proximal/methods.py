"""How a penalty acts on one parameter, around one optimizer step."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from math import inf, sqrt

import torch
from torch import Tensor

from shrinkage.penalties import Penalty
from shrinkage.plans import Entry
from shrinkage.proximal.metrics import Metric

Saved = dict[str, Tensor]


@dataclass
class Method(ABC):
    """One penalised parameter's share of :func:`attach`; acts before and after each step."""

    entry: Entry
    penalty: Penalty

    def before(self, parameter: Tensor, scale: float, loss_scale: Tensor | float) -> None:  # noqa: B027
        """Act before the optimizer reads the gradient."""

    @abstractmethod
    def after(self, parameter: Tensor, metric: Metric, scale: float) -> None:
        """Act after the optimizer wrote the parameter."""

    def rewritten(self, parameter: Tensor) -> None:  # noqa: B027
        """Take note that the parameter was written once more after :meth:`after`."""

    def state(self) -> Saved:
        """What must be saved to go on bit-equal."""
        return {}

    def load(self, saved: Saved, device: torch.device) -> None:  # noqa: B027
        """Take back what :meth:`state` gave, for a parameter on ``device``."""


def _within_reach(target: Tensor, start: Tensor, reach: float, size: int) -> Tensor:
    """``target``, or as far toward it that no entry moves further than ``reach``.

    In groups (rows of ``size``) all entries go the same part of their way, so that a group is
    zero as a whole or not at all.
    """
    if reach == inf:
        return target
    move = target - start
    longest = move.abs() if size == 1 else move.abs().amax(dim=-1, keepdim=True)
    return torch.where(longest <= reach, target, start + move * (reach / longest))


class Prox(Method):
    """w ← prox(w) after every step, in the optimizer's metric.

    Source: Parikh & Boyd (2014), §4.2, proximal gradient; in a diagonal metric, Yun et al.,
    Adaptive Proximal Gradient Methods for Structured Neural Networks (ProxGen, 2021).
    """

    def after(self, parameter: Tensor, metric: Metric, scale: float) -> None:
        """w ← prox_{scale·step·P}(w), moved by at most the metric's reach."""
        grouping = self.entry.grouping
        rows, step = grouping.view(parameter), metric.step * scale
        step = grouping.view(step) if isinstance(step, Tensor) and step.ndim else step
        shrunk = _within_reach(
            self.penalty.prox(rows, step), rows, metric.reach, grouping.group_size
        )
        parameter.copy_(grouping.restore(shrunk))


@dataclass
class _Memory:
    """What lies between the network's weights and the latent ones, in the layout of the groups.

    ``total`` is the sum T of all steps, in units of ``scale``; ``written`` are some of the weights
    last written to the network, enough to see that somebody else has written it since.
    """

    residual: Tensor
    total: Tensor
    written: Tensor
    scale: Tensor

    def holds(self, parameter: Tensor) -> bool:
        """Whether ``parameter`` is what was written last, on the same device in the same dtype."""
        same_kind = (parameter.dtype, parameter.device) == (self.written.dtype, self.written.device)
        return same_kind and torch.equal(_some(parameter), self.written)


SAVED_KEYS = {field.name for field in fields(_Memory)}
_SOME = 4096


def _some(parameter: Tensor) -> Tensor:
    """At most 4096 of the weights, evenly spaced: a copy."""
    flat = parameter.detach().reshape(-1)
    return flat[:: -(-len(flat) // _SOME) or 1].clone()


@dataclass
class Averaged(Method):
    """Regularized dual averaging: the optimizer's steps add up in latent weights z.

    The network holds w = prox_T(z) with T the sum of all steps so far. At a stationary point z
    drifts and w stands still; minibatch noise averages out in z instead of waking zeros in w.
    Only z − w is kept. A write from outside starts anew from w with T = 0. A new scale keeps the
    average gradients: T is taken over in its units, and zeros that it no longer holds are free
    to leave with the next step.
    Source: Xiao, Dual Averaging Methods for Regularized Stochastic Learning (2010); with
    momentum, Huang & Lee, Regularized Modernized Dual Averaging (RMDA, 2022).
    """

    memory: _Memory | None = None

    def before(self, parameter: Tensor, scale: float, loss_scale: Tensor | float) -> None:  # noqa: ARG002
        """Start anew if someone else wrote the parameter since the last step."""
        if not scale:
            self.memory = None
        elif self.memory is None or not self.memory.holds(parameter):
            rows = self.entry.grouping.view(parameter.detach())
            wide = torch.promote_types(parameter.dtype, torch.float32)
            self.memory = _Memory(
                residual=torch.zeros(rows.shape, dtype=wide, device=rows.device),
                total=torch.zeros((), dtype=torch.float64),
                written=_some(parameter),
                scale=torch.tensor(scale, dtype=torch.float64),
            )
        elif self.memory.scale != scale:
            self._rescale(self.memory, parameter, scale)

    def after(self, parameter: Tensor, metric: Metric, scale: float) -> None:
        """T ← T + scale·step; z ← w + residual after the optimizer's step; w ← prox_T(z)."""
        if not scale:
            return
        memory, grouping = self.memory, self.entry.grouping
        assert memory is not None  # noqa: S101  (before() made it)
        before = memory.total
        if isinstance(metric.step, Tensor):
            step = grouping.view(self._bounded(metric, scale)).to(memory.residual.dtype)
            memory.total = torch.add(before, step, alpha=scale)
        else:
            memory.total = before + metric.step * scale
        rows = grouping.view(parameter)
        w = rows.to(memory.residual.dtype)
        reach = metric.reach if grouping.group_size > 1 else inf  # single weights: see _bounded
        start = w.clone() if reach < inf else w
        self.penalty.accumulate(w, memory.residual, _step(before), _step(memory.total))
        if reach < inf:
            w.copy_(_within_reach(w, start, reach, grouping.group_size))
        if w.data_ptr() != parameter.data_ptr():
            parameter.copy_(grouping.restore(w))
        if w.dtype != parameter.dtype:  # what rounding took is not lost
            memory.residual.add_(w - grouping.view(parameter))
        memory.written = _some(parameter)

    def rewritten(self, parameter: Tensor) -> None:
        """What was written is ours: the residual stays."""
        if self.memory is not None:
            self.memory.written = _some(parameter)

    def _rescale(self, memory: _Memory, parameter: Tensor, scale: float) -> None:
        """Zeros keep their average gradient, as far as the new T holds them; others their edge."""
        ratio = scale / float(memory.scale)
        memory.total = memory.total * ratio
        residual = memory.residual
        held = residual - self.penalty.prox(residual, _step(memory.total))
        is_zero = self.entry.grouping.view(parameter) == 0
        memory.residual = torch.where(is_zero, held, residual * ratio)
        memory.scale = torch.tensor(scale, dtype=torch.float64)

    def _bounded(self, metric: Metric, scale: float) -> Tensor:
        """``metric.step``, where it explodes no longer than what outweighs the optimizer's reach.

        Per step the threshold of a group of m weights grows by at most m times the reach. The
        optimizer moves its latent weights no further, so no zero is lost; and a weight without
        gradients so far (an embedding row not seen yet) still comes back once it has some.
        """
        assert isinstance(metric.step, Tensor)  # noqa: S101  (narrowing)
        if not self.penalty.slope:
            return metric.step
        return metric.step.clamp(
            max=metric.reach * sqrt(self.entry.grouping.group_size) / (scale * self.penalty.slope)
        )

    def state(self) -> Saved:
        """Residual, accumulated step, its scale, and some of the last weights written."""
        return {} if self.memory is None else dict(vars(self.memory))

    def load(self, saved: Saved, device: torch.device) -> None:
        """Take back copies of what :meth:`state` gave, for a parameter on ``device``."""
        self.memory = None
        if saved:
            total = saved["total"]  # one number for all weights stays where it costs no transfer
            self.memory = _Memory(
                residual=saved["residual"].to(device, copy=True),
                total=total.to(device if total.ndim else "cpu", copy=True),
                written=saved["written"].to(device, copy=True),
                scale=saved["scale"].cpu().clone(),
            )


def _step(total: Tensor) -> float | Tensor:
    return total if total.ndim else float(total)


class Subgradient(Method):
    """Adds ∂P(w) to the gradient: what ``loss + plan.penalty()`` does. Makes no exact zeros.

    Here for the contrast: the textbook form under a training loop that is not ours.
    """

    def before(self, parameter: Tensor, scale: float, loss_scale: Tensor | float) -> None:
        """grad ← grad + scale·∂P(w)."""
        if parameter.grad is None:
            return
        with torch.enable_grad():
            leaf = parameter.detach().requires_grad_()
            value = self.penalty.value(self.entry.grouping.view(leaf))
            (slope,) = torch.autograd.grad(value, leaf)
        parameter.grad.add_(slope * (scale * loss_scale))

    def after(self, parameter: Tensor, metric: Metric, scale: float) -> None:
        """Nothing: the optimizer has done it."""
