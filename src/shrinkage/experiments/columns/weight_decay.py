"""Decoupled weight decay: AdamW's, under any optimizer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from shrinkage.experiments.columns.base import Column
from shrinkage.plans import Plan

_LARGEST = 1.0
"""With the usual learning rates it takes about everything."""


@dataclass(frozen=True)
class WeightDecay(Column):
    """Before each step w ← (1 − lr·d)·w on the plan's weights, apart from the gradient.

    Under SGD that is L2(d/2) but for momentum; under Adam its fixed point is no minimiser of a
    penalty, because the gradient's step is divided by √v̂ and the decay is not: it has no
    certificate. Source: Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019).
    """

    knob: str = "weight decay"

    minimises: ClassVar[bool] = False
    most: ClassVar[float | None] = _LARGEST
    first: ClassVar[float] = 0.1

    def knobs(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """Powers of √10 down from 1."""
        count = len(strengths)
        return tuple(round(_LARGEST * 10 ** ((k + 1 - count) / 2), 6) for k in range(count))

    @contextmanager
    def acting(self, plan: Plan, value: float) -> Iterator[None]:
        """Decay at every step of whichever optimizer trains them."""
        decaying = {id(parameter) for _, _, parameter in plan.blocks()}

        @torch.no_grad()
        def decay(optimizer: Optimizer, *_: Any) -> None:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if id(parameter) in decaying and parameter.grad is not None:
                        parameter.mul_(1 - group["lr"] * value)

        hook = register_optimizer_step_pre_hook(decay)
        try:
            yield
        finally:
            hook.remove()
