"""How a penalty acts on one parameter, around one optimizer step."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, sqrt

import torch
from torch import Tensor

from shrinkage.optim.memory import Memory, Saved
from shrinkage.optim.metrics import Metric, Reading
from shrinkage.optim.witness import ForeignWrites, Witness
from shrinkage.penalties import Penalty
from shrinkage.penalties.fused import lift
from shrinkage.penalties.steps import Steps
from shrinkage.plans import Entry


@dataclass
class Method(ABC):
    """One penalised parameter's share of :func:`attach`; acts before and after each step."""

    entry: Entry
    penalty: Penalty

    def before(self, parameter: Tensor, scale: float, loss_scale: Tensor | float) -> None:  # noqa: B027
        """Act before the optimizer reads the gradient; operations may be recorded meanwhile."""

    @abstractmethod
    def after(self, parameter: Tensor, reading: Reading, scale: float) -> None:
        """Act after the optimizer wrote the parameter."""

    def rewritten(self, parameter: Tensor) -> None:  # noqa: B027
        """Take note that the parameter was written once more after :meth:`after`."""

    def state(self) -> Saved:
        """What must be saved to go on bit-equal."""
        return {}

    def load(self, saved: Saved, device: torch.device) -> None:  # noqa: B027
        """Take back what :meth:`state` gave, for a parameter on ``device``."""


_FAR = 0.9
"""What a scale may fall to in one step before groups are asked at once."""

_TILE = {True: 262_144, False: 131_072}
"""Weights in a tile: single ones take few passes, groups many, with more temporaries."""


def tiles(*tensors: Tensor, single: bool) -> Iterable[tuple[Tensor, ...]]:
    """The same rows of tensors of one shape, so few that a CPU core's cache holds them.

    Several passes over a tile then cost one trip to memory. Other devices take all rows at once.
    """
    size = _TILE[single] * torch.get_num_threads()
    if tensors[0].numel() <= size or not tensors[0].is_cpu:
        return (tensors,)
    count = -(-tensors[0].numel() // size)
    return zip(*(tensor.chunk(count) for tensor in tensors), strict=True)


def _within_reach(target: Tensor, start: Tensor, reach: float, size: int) -> Tensor:
    """``target``, or as far toward it that no entry moves further than ``reach``.

    In groups (rows of ``size``) all entries go the same part of their way, so that a group is
    zero as a whole or not at all.
    """
    if reach == inf:
        return target
    distance = (target - start).abs_()
    longest = distance if size == 1 else distance.amax(dim=-1, keepdim=True)
    longest = longest.clamp_(min=torch.finfo(longest.dtype).tiny)  # 0 of 0 is the whole way
    return torch.lerp(start, target, (reach / longest).clamp_(max=1))


def _widened(part: Tensor, residual: Tensor, held: Tensor | None) -> Tensor:
    """``part`` itself, or a copy in the residual's dtype; see :func:`_narrowed`.

    Groups that are alive (``held`` is not 0) get back what rounding took, since only those that
    are zero may have a residual.
    """
    if part.dtype == residual.dtype:
        return part
    w = part.to(residual.dtype)
    if held is not None:
        w.add_(residual * (held != 0))
        residual.mul_(held == 0)
    return w


def _narrowed(w: Tensor, part: Tensor, residual: Tensor) -> None:
    """Write ``w`` back where it is wider than ``part``; what rounding takes, the residual has."""
    if w is part:
        return
    part.copy_(w)
    residual.add_(w.sub_(part)).nan_to_num_(0.0, torch.inf, -torch.inf)


def _ranged(w: Tensor) -> Tensor:
    """float16 as float32: beyond 65504, and below 1e-7, it has no numbers."""
    return w.float() if w.dtype == torch.float16 else w


@dataclass
class Prox(Method):
    """w ← prox(w) after every step, in the optimizer's metric.

    Where the penalty makes zeros, it is noticed if someone else has taken them away.
    Source: Parikh & Boyd (2014), §4.2, proximal gradient; in a diagonal metric, Yun et al.,
    Adaptive Proximal Gradient Methods for Structured Neural Networks (ProxGen, 2021).
    """

    writes: ForeignWrites | None = None
    written: Witness | None = None  # None where it is not up to date
    version: int | None = None  # of the parameter; one that is written as ``p.data`` keeps its own
    is_wary: bool = False  # somebody writes

    def before(self, parameter: Tensor, scale: float, loss_scale: Tensor | float) -> None:  # noqa: ARG002
        """Ask whether zeros were overwritten since the last step, now and then or if it is told."""
        is_told = self.version is not None and parameter._version != self.version
        self.is_wary |= is_told
        written, writes = self.written, self.writes
        if written is None or writes is None or not (is_told or writes.is_turn()):
            return
        if written.weights.device == parameter.device:
            writes.suspect(written.lost_zeros(parameter))

    def rewritten(self, parameter: Tensor) -> None:
        """What was written is ours."""
        if self.writes is None or not self.penalty.slope:
            return
        self.version = parameter._version
        is_asked = self.is_wary or self.writes.is_turn(ahead=1)
        self.written = Witness.of(parameter) if is_asked else None

    def after(self, parameter: Tensor, reading: Reading, scale: float) -> None:
        """w ← prox_{scale·step·P}(w), moved by at most the metric's reach."""
        grouping, metric = self.entry.grouping, reading.metric
        rows = grouping.view(parameter)
        steps = (grouping.view(metric.step),) if isinstance(metric.step, Tensor) else ()
        writes = self.writes
        looks = writes is not None and writes.rounding.is_turn(writes.step, parameter)
        for w, *step in tiles(rows, *steps, single=grouping.group_size == 1):
            start, length = _ranged(w), (step[0] if step else metric.step) * scale
            shrunk = self.penalty.prox(start, length)
            if looks and writes is not None:
                writes.rounding.look(self.penalty, w, shrunk, length)
            w.copy_(_within_reach(shrunk, start, metric.reach, grouping.group_size))
        write_rows(rows, parameter, self.entry)
        self.rewritten(parameter)


def write_rows(rows: Tensor, parameter: Tensor, entry: Entry) -> None:
    """Take ``rows`` into the parameter where they are a copy and not a view of it."""
    if rows.data_ptr() != parameter.data_ptr():
        parameter.copy_(entry.grouping.restore(rows))


@dataclass
class Averaged(Method):
    """Regularized dual averaging: the optimizer's steps add up in latent weights z.

    The network holds w = prox_T(z) with T the sum of all steps so far. At a stationary point z
    drifts and w stands still; minibatch noise averages out in z instead of waking zeros in w.
    Only z − w is kept. A write from outside starts anew from w with T = 0. A new scale keeps the
    average gradients: T is taken over in its units, and zeros that it no longer holds are free
    to leave with the next step. What became NaN is not kept.
    Source: Xiao, Dual Averaging Methods for Regularized Stochastic Learning (2010); with
    momentum, Huang & Lee, Regularized Modernized Dual Averaging (RMDA, 2022).
    """

    memory: Memory | None = None
    writes: ForeignWrites | None = None

    def before(self, parameter: Tensor, scale: float, loss_scale: Tensor | float) -> None:  # noqa: ARG002
        """Start anew if someone else wrote the parameter since the last step."""
        if not scale:
            self.memory = None
        elif self.memory is None:
            self.restart(parameter, scale)
        elif not self.memory.written.agrees(parameter):
            self.overwritten(parameter, scale)
        elif self.memory.scale != scale:
            self.rescale(self.memory, parameter.detach(), scale)

    def overwritten(self, parameter: Tensor, scale: float) -> None:
        """Start anew from what someone else has written; NaN, which equals nothing, is nobody's."""
        memory = self.memory
        if self.writes is not None and memory is not None and memory.written.is_finite:
            self.writes.note()
        self.restart(parameter, scale)

    def restart(self, parameter: Tensor, scale: float) -> None:
        """Forget all steps so far; the network's weights are the latent ones."""
        rows = self.rows(parameter.detach())
        wide = torch.promote_types(parameter.dtype, torch.float32)
        residual = torch.zeros_like(rows, dtype=wide)
        self.memory = Memory(residual, Witness.of(parameter), scale)

    def after(self, parameter: Tensor, reading: Reading, scale: float) -> None:
        """T ← T + scale·step; z ← w + residual after the optimizer's step; w ← prox_T(z)."""
        if not scale:
            return
        memory = self.memory
        assert memory is not None  # noqa: S101  (before() made it)
        turn = memory.is_turn()
        if turn and memory.fell:
            self._release(memory)
        growth = self.advance(memory, reading, turn=turn)
        if not turn and memory.held is not None:
            self.hold(memory, parameter, growth)
            return
        rows = self.rows(parameter)
        self._accumulate(memory, rows, memory.unit * growth, memory.reach * growth)
        write_rows(rows, parameter, self.entry)
        memory.written.note(parameter)

    def clip(self, memory: Memory, parameter: Tensor) -> None:
        """Single weights' share of :meth:`after`, once the sum of the steps is known."""
        self._accumulate(memory, parameter, 0.0, inf)
        memory.written.note(parameter)

    def _accumulate(self, memory: Memory, rows: Tensor, since: float, reach: float) -> None:
        size, held, penalty = self.entry.grouping.group_size, [], self._now(memory)
        known = () if memory.held is None else (memory.held,)
        tensors = (memory.total, memory.step) if isinstance(memory.step, Tensor) else ()
        for part, residual, *more in tiles(
            rows, memory.residual, *known, *tensors, single=size == 1
        ):
            living = more.pop(0) if known else None
            total, step = more or (memory.total, memory.step)
            w = _widened(part, residual, living)
            old = w.clone() if reach < inf else w
            steps = Steps(total, step, memory.elapsed, since)
            ratios = penalty.accumulate(w, residual, steps)
            if reach < inf:
                w.copy_(_within_reach(w, old, reach, size))
                ratios = self._slowed(ratios, w, steps.last, reach, penalty.slope)
            if ratios is not None:
                held.append(ratios)
            _narrowed(w, part, residual)
        memory.held = torch.cat(held) if held else None

    def _now(self, memory: Memory) -> Penalty:
        """The penalty at the scale of now, in the unit of the steps."""
        return self.penalty if memory.level == 1 else self.penalty.scaled(memory.level)

    def _slowed(
        self, held: Tensor | None, w: Tensor, step: float | Tensor, reach: float, slope: float
    ) -> Tensor | None:
        """Ratios so large that w·r/(r + κ·step) moves no weight further than the reach either."""
        if held is None:
            return None
        threshold = step * (slope * sqrt(self.entry.grouping.group_size))
        least = (threshold * (w.abs() / reach - 1)).amax(dim=-1, keepdim=True)
        norm = torch.linalg.vector_norm(w, dim=-1, keepdim=True)
        return torch.maximum(held, least / torch.where(norm == 0, 1.0, norm))

    def hold(self, memory: Memory, parameter: Tensor, growth: float) -> None:
        """Groups' share of :meth:`after` where their ratios are held, once the step is known."""
        held, rows, since = memory.held, self.rows(parameter), memory.scale * growth
        assert held is not None  # noqa: S101  (it is no turn)
        tensors = (memory.step,) if isinstance(memory.step, Tensor) else ()
        for part, residual, ratios, *steps in tiles(
            rows, memory.residual, held, *tensors, single=False
        ):
            (step,) = steps or (memory.step,)
            w = _widened(part, residual, ratios)
            self.penalty.hold(w, residual, ratios, Steps(memory.total, step, memory.elapsed, since))
            _narrowed(w, part, residual)
        write_rows(rows, parameter, self.entry)
        memory.written.note(parameter)

    def advance(self, memory: Memory, reading: Reading, *, turn: bool) -> float:
        """T ← T + scale·step; a step per weight is read only at a ``turn``, a number always.

        Gives what :meth:`Memory.go_on` does.
        """
        rate = reading.rate
        if not turn and isinstance(memory.step, Tensor):
            return memory.go_on(rate)
        metric = reading.metric
        longest, step = self._longest(metric, memory.scale), metric.step
        is_each = isinstance(step, Tensor) and step.shape == self.entry.grouping.shape
        if not is_each:
            step = min(float(step), longest)
        if turn or is_each or step != memory.step:
            if isinstance(step, Tensor):
                memory.read_each(self.rows(step), longest)
            else:
                memory.read(step)
            memory.reach = self._reach(memory, metric)
        memory.rate = rate  # a number has its learning rate in it
        return memory.go_on(rate)

    def rewritten(self, parameter: Tensor) -> None:
        """What was written is ours: the residual stays."""
        if self.memory is not None:
            self.memory.written.note(parameter)

    def _reach(self, memory: Memory, metric: Metric) -> float:
        """The bound on the move of groups; infinite where no threshold exceeds it.

        Single weights need none: see :meth:`_longest`.
        """
        size = self.entry.grouping.group_size
        if size == 1 or not memory.residual.numel():
            return inf
        if not isinstance(memory.step, Tensor):
            return metric.reach
        largest = float(memory.step.max()) * memory.scale * self.penalty.slope * sqrt(size)
        return inf if largest <= metric.reach else metric.reach

    def rescale(self, memory: Memory, parameter: Tensor, scale: float) -> None:
        """Zeros keep their average gradient, as far as the new T holds them; others their edge.

        Groups that live have no edge, and those that are zero are asked at turns alone: at once
        where the scale falls by far.
        """
        ratio, memory.scale = scale / memory.scale, scale
        if memory.held is not None:
            memory.fell = float(memory.fell or ratio < 1)
            memory.rate = memory.rate if ratio > _FAR else 0.0  # which makes it a turn
            return
        kink, rows = self.penalty.averaged, self.rows(parameter)
        tensors = (memory.total, memory.step) if isinstance(memory.step, Tensor) else ()
        single = self.entry.grouping.group_size == 1
        for w, residual, *more in tiles(rows, memory.residual, *tensors, single=single):
            total, step = more or (memory.total, memory.step)
            steps = Steps(total, step, memory.elapsed)
            if kink.clips is not None:
                lift(w, residual, kink.clips * memory.level, steps, ratio)
                continue
            shrunk = kink.scaled(memory.level).prox(residual, steps.sum)
            residual.copy_(torch.where(w == 0, residual - shrunk, residual * ratio))

    def _release(self, memory: Memory) -> None:
        """The part of :meth:`rescale` that groups put off."""
        memory.close()
        excess = self._now(memory).averaged.prox(memory.residual, memory.total)
        memory.residual.sub_(excess)
        memory.fell = 0.0

    def rows(self, tensor: Tensor) -> Tensor:
        """In the layout of the groups; with a dimension, so that only numbers have none."""
        rows = self.entry.grouping.view(tensor)
        return rows if rows.ndim else rows.reshape(1)

    def _longest(self, metric: Metric, scale: float) -> float:
        """The longest step that counts: what outweighs the optimizer's reach, where it explodes.

        Per step the threshold of a group of m weights grows by at most m times the reach. The
        optimizer moves its latent weights no further, so no zero is lost; and a weight without
        gradients so far (an embedding row not seen yet) still comes back once it has some.
        """
        if metric.reach == inf:
            return inf
        size = self.entry.grouping.group_size
        return metric.reach * sqrt(size) / (scale * self.penalty.slope)

    def state(self) -> Saved:
        """Residual, sum of the steps, and some of the last weights written."""
        return {} if self.memory is None else self.memory.saved()

    def load(self, saved: Saved, device: torch.device) -> None:
        """Take back copies of what :meth:`state` gave, for a parameter on ``device``."""
        self.memory = Memory.of(saved, device) if saved else None


class Subgradient(Method):
    """Adds ∂P(w) to the gradient: what ``loss + plan.penalty()`` does. Makes no exact zeros.

    Here for the contrast: the textbook form under a training loop that is not ours.
    """

    def before(self, parameter: Tensor, scale: float, loss_scale: Tensor | float) -> None:
        """grad ← grad + scale·∂P(w)."""
        if parameter.grad is None:
            return
        with torch.enable_grad():
            leaf = _ranged(parameter.detach()).requires_grad_()
            value = self.penalty.value(self.entry.grouping.view(leaf))
            (slope,) = torch.autograd.grad(value, leaf)
        with torch.no_grad():
            parameter.grad.add_(slope * (scale * loss_scale))

    def after(self, parameter: Tensor, reading: Reading, scale: float) -> None:
        """Nothing: the optimizer has done it."""
