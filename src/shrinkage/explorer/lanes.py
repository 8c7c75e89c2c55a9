"""One network in training: what it is made of, and how its dial, optimizer and plan are changed."""

from copy import deepcopy
from math import isfinite

import torch
from torch import Tensor, nn

from shrinkage.analysis.measures import Criterion, evaluate, loss_for
from shrinkage.data import Examples
from shrinkage.errors import RAISED, ShrinkageError, told
from shrinkage.experiments.columns import BestEpoch, Column
from shrinkage.experiments.contrasts.settings import ContrastSetting
from shrinkage.experiments.fit import OPTIMIZERS
from shrinkage.experiments.studies import quiet_plan
from shrinkage.explorer.controls import ColumnChoice, Controls
from shrinkage.optim import Handle, attach
from shrinkage.optim.assignment import MethodName
from shrinkage.penalties import Penalty
from shrinkage.plans import Plan, Rules
from shrinkage.runs.knobs import STRENGTH

_LEAST_WAIT = 5
"""Epochs: a held-out loss goes up and down by itself."""


class Lane:
    """A network of one column, its optimizer and its penalty at strength 1, which λ scales.

    ``failed`` is empty while it trains; one line where it diverged, or its own code failed.
    ``stopped``: one line where the column has ended its training early. Other lanes are not
    touched by either. ``y``: targets like those it is trained
    on.
    """

    def __init__(
        self, setting: ContrastSetting, choice: ColumnChoice, controls: Controls, y: Tensor
    ) -> None:
        self.column: Column = choice.column
        self.knob = choice.knob
        self.failed = self.stopped = ""
        self.steps = 0
        self._measured, self._y = setting.loss, y
        start = 1.0 if self.column.knob == STRENGTH else choice.knob
        self._factory = setting.factory
        self.model, self.plan = setting.network(self.column, start, controls.seed)
        self._optimizer_name, self._biases = controls.optimizer, controls.biases
        self.optimizer = self._made(controls)
        self.handle = self._attached()
        self._loss = self._trained_on()
        self._best, self._epochs = BestEpoch(self.model), 0

    @property
    def note(self) -> str:
        """Why it stands still; empty while it trains."""
        return self.failed or self.stopped

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @property
    def strength(self) -> float:
        """λ; 0 where the column has no penalty."""
        return self.knob if self.column.knob == STRENGTH else 0.0

    @property
    def is_term(self) -> bool:
        """Whether the penalty is the textbook's term in the loss."""
        return self.column.form == "term"

    @property
    def penalty(self) -> Penalty:
        """The penalty at λ."""
        return self.column.penalty_at(1.0).scaled(self.strength)

    def turn(self, knob: float) -> None:
        """Set the dial: λ, or what else the column turns, such as the p of dropout."""
        self.knob = knob
        self._loss = self._trained_on()
        self.column.prepare(self.model, self._factory, knob)
        if self.handle is not None:
            self.handle.scale = self.strength

    def tune(self, controls: Controls) -> None:
        """Follow the learning rate, the optimizer, and whether biases are penalised.

        A new optimizer starts without momentum, and averaging starts anew from the weights.
        """
        if controls.biases != self._biases:
            self._biases = controls.biases
            self._detach()
            rules = Rules(self.plan.rules.rules, biases=controls.biases)
            self.plan = quiet_plan(self.model, rules)
            self.handle = self._attached()
        if controls.optimizer != self._optimizer_name:
            self._optimizer_name = controls.optimizer
            self._detach()
            self.optimizer = self._made(controls)
            self.handle = self._attached()
        for group in self.optimizer.param_groups:
            group["lr"] = controls.lr

    def step(self, x: Tensor, y: Tensor, luck: int) -> None:
        """One optimizer step; ``luck`` seeds what the network draws, the same in every lane."""
        if self.note:
            return
        torch.manual_seed(luck)
        self.model.train()
        self.optimizer.zero_grad()
        try:
            cost = self._loss(self.model(x), y)
            if self.is_term and self.strength:
                cost = cost + self.strength * self.plan.penalty()
            if not isfinite(float(cost.detach())):
                self.failed = (
                    f"Diverged at step {self.steps + 1:,}: the loss is not finite. "
                    "Lower the learning rate, then start it again."
                )
                return
            cost.backward()  # type: ignore[no-untyped-call]
            with self.column.acting(self.plan, self.knob):
                self.optimizer.step()
        except ShrinkageError as error:
            self.failed = f"Stopped at step {self.steps + 1:,}: {error}"
        except RAISED as error:  # the user's network may raise anything in training mode
            self.failed = f"Stopped at step {self.steps + 1:,}: {told(error)}"
        else:
            self.steps += 1

    def end_epoch(self, held: Examples) -> None:
        """Where the column asks for it, look at held-out rows, and stop where the best is past.

        Training has no end here: the patience is a share of the epochs so far, five at least.
        """
        patience = self.column.patience(self.knob)
        if patience is None or self.note:
            return
        self._epochs += 1
        self._best.look(evaluate(self.model, held, self._measured).loss)
        if self._best.waited >= max(_LEAST_WAIT, round(patience * self._epochs)):
            self._best.put_back()
            self.stopped = (
                f"Stopped early after {self._epochs:,} epochs: the held-out loss was lowest "
                f"{self._best.waited:,} epochs ago, and those weights are back."
            )

    def _trained_on(self) -> Criterion:
        return loss_for(self.column.loss(self._measured, self._y, self.knob), self._y)

    def _made(self, controls: Controls) -> torch.optim.Optimizer:
        return OPTIMIZERS[controls.optimizer](list(self.model.parameters()), controls.lr)

    def _attached(self) -> Handle | None:
        if self.column.penalty is None or self.is_term:
            return None
        handle = attach(self.optimizer, self.plan)
        handle.scale = self.strength
        return handle

    def _detach(self) -> None:
        if self.handle is not None:
            self.handle.remove()


class Probe:
    """What the penalty alone takes from each weight in one plain SGD step, on a copy in float64."""

    def __init__(self, lane: Lane) -> None:
        self._model: nn.Module = deepcopy(lane.model).double()
        self._plan: Plan = quiet_plan(self._model, lane.plan.rules)
        self._method: MethodName = "subgradient" if lane.is_term else "prox"

    def take(self, lane: Lane, lr: float) -> tuple[Tensor, Tensor]:
        """(w, Δw/lr) of the penalised weights: a real step from where the lane's network stands.

        The gradient of the loss is 0 in it, so that all that moves a weight is the penalty.
        Weights that are zero before or after are left out: they have arrived.
        """
        with torch.no_grad():
            for mine, theirs in zip(self._model.parameters(), lane.model.parameters(), strict=True):
                mine.copy_(theirs)
                mine.grad = torch.zeros_like(mine)
        before = torch.cat([p.detach().flatten() for _, _, p in self._plan.blocks()])
        optimizer = torch.optim.SGD(self._model.parameters(), lr=lr)
        handle = attach(optimizer, self._plan, method=self._method)  # it knows no other weights
        handle.scale = lane.strength
        optimizer.step()
        handle.remove()
        after = torch.cat([p.detach().flatten() for _, _, p in self._plan.blocks()])
        kept = (before != 0) & (after != 0)
        return before[kept], (after - before)[kept] / lr
