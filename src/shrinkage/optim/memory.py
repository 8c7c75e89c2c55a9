"""What dual averaging remembers of one parameter between two steps."""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from shrinkage.optim.witness import Witness

Saved = dict[str, Tensor]
"""Tensors by name, for a checkpoint."""

_HOLD = 10
PER_WEIGHT = ("total", "step")
"""Saved as numbers, or in the shape of the residual."""
SAVED_KEYS = {"residual", "written", *PER_WEIGHT, "held", "clock"}


@dataclass
class Memory:
    """What lies between the network's weights and the latent ones, in the layout of the groups.

    The sum of all steps, in units of ``unit``, is total + elapsed·step: numbers, or tensors
    where the optimizer has a step per weight. ``unit`` is the scale at which averaging began; once
    the scale has moved, the penalty is ``level`` times as strong and the sum is what it was. A step
    per weight is held for up to 10 steps, while ``elapsed`` grows with the learning rate: second
    moments change little in that time. ``held`` is what the penalty gave for the time between, if
    anything. ``written`` tells whether somebody else has written the network since we did.
    """

    residual: Tensor
    written: Witness
    scale: float
    total: float | Tensor = 0.0
    step: float | Tensor = 0.0
    reach: float = inf
    elapsed: float = 0.0
    rate: float = 0.0  # the learning rate that step and reach belong to; 0: read them anew
    age: int = 0
    held: Tensor | None = None
    unit: float = 0.0  # 0: the scale at first
    fell: float = 0.0  # whether the scale has, since groups that are zero were last asked

    def __post_init__(self) -> None:
        self.unit = self.unit or self.scale

    @property
    def level(self) -> float:
        """The scale, in units of the one at which averaging began."""
        return self.scale / self.unit

    def is_turn(self) -> bool:
        """Whether to compute anew what may be held: every time at first, then more rarely."""
        return not (self.rate and self.age % min(_HOLD, 1 + self.age // 10))

    def go_on(self, rate: float) -> float:
        """One more step, at this learning rate; gives its length in units of the one held."""
        growth = rate / self.rate if self.rate else 1.0
        self.elapsed += self.unit * growth
        self.age += 1
        return growth

    def close(self) -> None:
        """Add what has elapsed to the total; a tensor stays the same one."""
        if isinstance(self.total, Tensor) and isinstance(self.step, Tensor):
            self.total.add_(self.step, alpha=self.elapsed)  # no tensor between them
        elif isinstance(self.total, Tensor):
            self.total += self.elapsed * self.step
        else:
            self.total = self.total + self.elapsed * self.step
        self.elapsed = 0.0

    def read(self, step: float) -> None:
        """Hold this step from now on."""
        self.close()
        self.step = step

    def read_each(self, step: Tensor, longest: float) -> None:
        """Hold this step per weight, at most ``longest`` and 0 for NaN; in place, if it can be."""
        self.close()
        step = step.to(torch.promote_types(step.dtype, torch.float32))
        held = self.step
        if not isinstance(held, Tensor) or held.dtype != step.dtype:
            held = self.step = torch.empty_like(step)
        longest = min(longest, torch.finfo(held.dtype).max)
        torch.clamp(step, max=longest, out=held).nan_to_num_(nan=0.0, posinf=inf)
        if not isinstance(self.total, Tensor):
            self.total = torch.full_like(held, self.total)

    def saved(self) -> Saved:
        """Copies by name."""
        clock = (self.scale, self.reach, self.elapsed, self.rate, self.age, self.unit, self.fell)
        return {
            "residual": self.residual.clone(),
            "written": self.written.weights.clone(),
            "total": _as_tensor(self.total),
            "step": _as_tensor(self.step),
            "held": torch.empty(0) if self.held is None else self.held.clone(),
            "clock": torch.tensor(clock, dtype=torch.float64),
        }

    @classmethod
    def of(cls, saved: Saved, device: torch.device) -> "Memory":
        """The inverse of :meth:`saved`: copies, on ``device``."""
        total, step = (
            part.to(device, copy=True) if part.ndim else float(part)
            for part in (saved["total"], saved["step"])
        )
        scale, reach, elapsed, rate, age, *moved = saved["clock"].tolist()
        residual, written, held = (
            saved[key].to(device, copy=True) for key in ("residual", "written", "held")
        )
        return cls(
            *(residual, Witness(written), scale, total, step, reach, elapsed, rate, int(age)),
            held if held.numel() else None,
            *moved,  # of version 0.1: nothing
        )


def _as_tensor(number: float | Tensor) -> Tensor:
    if isinstance(number, Tensor):
        return number.clone()
    return torch.tensor(number, dtype=torch.float64, device="cpu")
