"""How a penalty acts on one parameter, around one optimizer step."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import sqrt

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

    def forget(self) -> None:  # noqa: B027
        """Start anew from the parameter as it stands."""

    def state(self) -> Saved:
        """What must be saved to go on bit-equal."""
        return {}

    def load(self, saved: Saved, device: torch.device) -> None:  # noqa: B027
        """Take back what :meth:`state` gave, for a parameter on ``device``."""

    def _prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        grouping = self.entry.grouping
        step = grouping.view(step) if isinstance(step, Tensor) and step.ndim else step
        return grouping.restore(self.penalty.prox(grouping.view(w), step))


def _within_reach(target: Tensor, start: Tensor, reach: float) -> Tensor:
    """``target``, but no entry further than ``reach`` from ``start``."""
    if reach == float("inf"):
        return target
    return torch.clamp(target, start - reach, start + reach)


class Prox(Method):
    """w ← prox(w) after every step, in the optimizer's metric.

    Source: Parikh & Boyd (2014), §4.2, proximal gradient; in a diagonal metric, Yun et al.,
    Adaptive Proximal Gradient Methods for Structured Neural Networks (ProxGen, 2021).
    """

    def after(self, parameter: Tensor, metric: Metric, scale: float) -> None:
        """w ← prox_{scale·step·P}(w), moved by at most the metric's reach."""
        shrunk = self._prox(parameter, metric.step * scale)
        parameter.copy_(_within_reach(shrunk, parameter, metric.reach))


@dataclass
class _Memory:
    """Latent weights z, the sum T of all steps, and the weights last written to the network."""

    latent: Tensor
    total: Tensor
    written: Tensor

    def holds(self, parameter: Tensor) -> bool:
        """Whether ``parameter`` is what was written last, on the same device in the same dtype."""
        same_kind = (parameter.dtype, parameter.device) == (self.written.dtype, self.written.device)
        return same_kind and torch.equal(parameter, self.written)


@dataclass
class Averaged(Method):
    """Regularized dual averaging: the optimizer's steps add up in latent weights z.

    The network holds w = prox_T(z) with T the sum of all steps so far. At a stationary point z
    drifts and w stands still; minibatch noise averages out in z instead of waking zeros in w.
    A write from outside, or a new scale, starts anew from w with T = 0.
    Source: Xiao, Dual Averaging Methods for Regularized Stochastic Learning (2010); with
    momentum, Huang & Lee, Regularized Modernized Dual Averaging (RMDA, 2022).
    """

    memory: _Memory | None = None

    def before(self, parameter: Tensor, scale: float, loss_scale: Tensor | float) -> None:  # noqa: ARG002
        """Start anew if someone else wrote the parameter since the last step."""
        if scale and (self.memory is None or not self.memory.holds(parameter)):
            wide = torch.promote_types(parameter.dtype, torch.float32)
            self.memory = _Memory(
                latent=parameter.to(wide, copy=True),
                total=torch.zeros((), dtype=torch.float64),
                written=parameter.clone(),
            )

    def after(self, parameter: Tensor, metric: Metric, scale: float) -> None:
        """z ← z + what the optimizer did; T ← T + scale·step; w ← prox_T(z)."""
        if not scale:
            return
        memory = self.memory
        assert memory is not None  # noqa: S101  (before() made it)
        memory.latent += parameter - memory.written
        if isinstance(metric.step, Tensor):
            step = self._bounded(metric, scale).to(memory.latent.dtype)
            memory.total = torch.add(memory.total, step, alpha=scale)
            total: float | Tensor = memory.total
        else:
            memory.total += metric.step * scale
            total = float(memory.total)
        shrunk = self._prox(memory.latent, total).to(parameter.dtype)
        parameter.copy_(_within_reach(shrunk, parameter, metric.reach))
        memory.written.copy_(parameter)

    def _bounded(self, metric: Metric, scale: float) -> Tensor:
        """``metric.step``, where it explodes no longer than what outweighs the optimizer's reach.

        Per step the threshold of a group of m weights grows by at most m times the reach. The
        optimizer moves its latent weights no further, so no zero is lost; and a weight without
        gradients so far (an embedding row not seen yet) still comes back once it has some.
        """
        assert isinstance(metric.step, Tensor)  # noqa: S101  (narrowing)
        if self.penalty.slope == 0:
            return metric.step
        return metric.step.clamp(
            max=metric.reach * sqrt(self.entry.grouping.group_size) / (scale * self.penalty.slope)
        )

    def forget(self) -> None:
        """Drop the latent weights; the next step starts from the network's."""
        self.memory = None

    def state(self) -> Saved:
        """Latent weights, accumulated step and the last weights written."""
        return {} if self.memory is None else dict(vars(self.memory))

    def load(self, saved: Saved, device: torch.device) -> None:
        """Take back copies of what :meth:`state` gave, for a parameter on ``device``."""
        self.memory = None
        if saved:
            total = saved["total"]  # one number for all weights stays where it costs no transfer
            self.memory = _Memory(
                latent=saved["latent"].to(device, copy=True),
                total=total.to(device if total.ndim else "cpu", copy=True),
                written=saved["written"].to(device, copy=True),
            )


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
