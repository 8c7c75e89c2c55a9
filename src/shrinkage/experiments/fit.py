"""One network, one plan, one budget: a stream of epochs ending in one fit."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isgenerator
from itertools import chain, count, islice, pairwise
from math import isfinite
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from shrinkage.analysis.measures import CHUNKS, Evaluation, checked_loss, evaluate, loss_for
from shrinkage.analysis.measures.losses import Loss
from shrinkage.arguments import BELOW_ONE, as_int, as_number, settle
from shrinkage.data import Examples
from shrinkage.errors import FitError, ModelError, foreign_code, shown
from shrinkage.optim import Warmup, attach
from shrinkage.plans import Plan

MakeOptimizer = Callable[[list[nn.Parameter], float], Optimizer]
PenaltyForm = Literal["exact", "term"]

OPTIMIZERS: Mapping[str, MakeOptimizer] = {
    "sgd": lambda parameters, lr: SGD(parameters, lr=lr, momentum=0.9),
    "adam": lambda parameters, lr: Adam(parameters, lr=lr),
    "adamw": lambda parameters, lr: AdamW(parameters, lr=lr, weight_decay=0.0),
}
LEARNING_RATES: Mapping[str, float] = {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3}


@dataclass(frozen=True, eq=False)
class Budget:
    """What a training function may use: ``train(model, plan, budget)``.

    ``epochs`` over ``train`` (along a path perhaps a part of one); everything random from
    ``seed``; its optimizer's learning rate multiplied by ``lr_factor``; the plan applied by
    ``attach(optimizer, plan, method=budget.method)`` (``"auto"`` for exact zeros,
    ``"subgradient"`` where the textbook's loss term is asked for). ``warm``: the network is
    trained already, under less of the same penalty. ``batches()`` shuffles anew at each call.
    Targets are as given: labels (n,), numbered from 0, or numbers (n, n_targets), not standardised.
    """

    epochs: float
    seed: int
    train: Examples
    lr_factor: float
    method: Literal["auto", "subgradient"]
    generator: torch.Generator
    warm: bool = False

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of shuffled batches of ``size`` rows; a single last row joins another batch."""
        return self.train.batches(size, self.generator)


Train = Callable[[nn.Module, Plan, Budget], object]


@dataclass(frozen=True)
class Training:
    """The training that is used unless the user brings their own: minibatches, cosine decay.

    ``optimizer`` is a name or a function (parameters, lr) → optimizer. The penalty acts from the
    share ``penalty_from`` of the epochs on, unless the network is warm: under a strong one, random
    weights collapse to the all-zero network (which is stationary) before they have learnt anything.
    From there on λ rises linearly over the share ``warmup`` of all steps (docs/warmup.md).
    Raises :class:`FitError` for an unknown optimizer and numbers out of range.
    """

    epochs: int = 100
    batch_size: int = 32
    optimizer: str | MakeOptimizer = "sgd"
    lr: float | None = None
    loss: Loss | None = None
    penalty_from: float = 0.15
    warmup: float = 0.0

    def __post_init__(self) -> None:
        settle(
            self,
            epochs=as_int("epochs", self.epochs, least=1),
            batch_size=as_int("batch_size", self.batch_size, least=1),
            lr=None if self.lr is None else as_number("learning rate", self.lr, above=0),
            penalty_from=as_number(
                "penalty_from",
                self.penalty_from,
                least=0,
                most=BELOW_ONE,
                expected="a share of the epochs, 0 ≤ share < 1",
                remedy="0 lets the penalty act from the first step.",
            ),
            warmup=as_number(
                "warmup",
                self.warmup,
                least=0,
                most=1,
                expected="a share of the steps, 0 ≤ share ≤ 1",
                remedy="0 lets the whole penalty act at once; 0.3 is a good share.",
            ),
        )
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise FitError(
                "optimizer is unknown",
                got=shown(self.optimizer),
                expected=" or ".join(OPTIMIZERS),
                remedy="In Python, pass a function (parameters, lr) → optimizer.",
            )
        if not isinstance(self.optimizer, str) and not _makes_optimizers(self.optimizer):
            raise FitError(
                "optimizer is neither a name nor a function",
                got=shown(self.optimizer),
                expected=f"{', '.join(OPTIMIZERS)}, or f(parameters, lr) → optimizer",
                remedy="For instance lambda parameters, lr: torch.optim.NAdam(parameters, lr=lr).",
            )
        if self.loss is not None:
            checked_loss(self.loss)

    def make_optimizer(self, parameters: list[nn.Parameter], lr_factor: float) -> Optimizer:
        """The optimizer at its learning rate times ``lr_factor``."""
        if isinstance(self.optimizer, str):
            lr = self.lr or LEARNING_RATES[self.optimizer]
            return OPTIMIZERS[self.optimizer](parameters, lr * lr_factor)
        return self.optimizer(parameters, (self.lr or 1e-3) * lr_factor)

    def __call__(self, model: nn.Module, plan: Plan, budget: Budget) -> Iterator[None]:
        """Train ``model``; yields after every whole epoch."""
        optimizer = self.make_optimizer(list(model.parameters()), budget.lr_factor)
        loss = loss_for(self.loss, budget.train.y)
        per_epoch = budget.train.n_batches(self.batch_size)
        steps = max(1, round(budget.epochs * per_epoch))
        begins = int(self.penalty_from * budget.epochs) * per_epoch
        warmup = Warmup(round(self.warmup * steps))
        if budget.warm:
            begins, warmup = 0, Warmup(0)
        handle = attach(optimizer, plan, warmup=warmup) if budget.method == "auto" else None
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        batches = chain.from_iterable(budget.batches(self.batch_size) for _ in count())
        model.train()
        for step, (x, y) in enumerate(islice(batches, steps)):
            acts = step >= begins
            if handle is not None:
                handle.scale = float(acts)
            optimizer.zero_grad()
            cost = loss(model(x), y)
            if handle is None and acts:  # the lesson's form, to the letter
                cost = cost + warmup.share(step - begins + 1) * plan.penalty()
            cost.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            if (step + 1) % per_epoch == 0:
                yield
                model.train()
        if handle is not None:
            handle.remove()


@dataclass(frozen=True)
class Treatment:
    """What is done to the network besides training: how the plan acts, or pruning.

    ``keep``: magnitude pruning down to this many penalised weights. Train for half the epochs,
    then prune and fine-tune in three rounds of the rest, each to the same share of the last (in
    one round where the epochs are few). ``warm``: the network comes trained (:class:`Budget`).
    Source: Han et al., Learning both Weights and Connections for Efficient Neural Networks (2015),
    §3, iterative pruning.
    """

    form: PenaltyForm = "exact"
    lr_factor: float = 1.0
    keep: int | None = None
    warm: bool = False


@dataclass(frozen=True, eq=False)
class Epoch:
    """The network after an epoch of a fit: evaluations by part, the penalty, weights ≠ 0."""

    epoch: float
    parts: Mapping[str, Evaluation]
    penalty: float
    nonzeros: int


def fit(
    plan: Plan,
    train: Train,
    parts: Mapping[str, Examples],
    *,
    epochs: float,
    seed: int,
    treatment: Treatment = Treatment(),
    loss: Loss | None = None,
    looks: int = 20,
) -> Iterator[Epoch]:
    """Train the plan's model in place on ``parts["train"]``; yields some epochs and the last.

    ``looks``: about how many. ``train`` is a training function; if it yields after every epoch (as
    :class:`Training` does), the stream shows the way, else only the end. The last :class:`Epoch` is
    always the last epoch of training. Raises :class:`DivergedError` where training diverges, and
    :class:`ModelError` for what a user's function raises, and where it never applies the plan.
    """
    torch.manual_seed(seed)
    model, generator = plan.model, torch.Generator().manual_seed(seed)
    done: float = 0
    for length, keep in _stages(epochs, treatment.keep, plan.n_penalised):
        masks = {} if keep is None else _magnitude_masks(plan, keep)
        budget = Budget(
            epochs=length if length % 1 else int(length),  # users write range(budget.epochs)
            seed=seed,
            train=parts["train"],
            lr_factor=treatment.lr_factor,
            method="auto" if treatment.form == "exact" else "subgradient",
            generator=generator,
            warm=treatment.warm,
        )
        with _masked(plan, masks):
            for epoch in _epochs(train, model, plan, budget):
                if _looked_at(done + epoch, epochs, looks):
                    yield look(model, plan, parts, loss, done + epoch)
        done += length
    _check_applied(plan, treatment)
    last = look(model, plan, parts, loss, done)
    if not isfinite(last.parts["train"].loss):
        raise DivergedError(
            "training diverged",
            got="a loss that is not finite",
            expected="a finite loss after the last epoch",
            remedy="Lower the learning rate (--lr).",
        )
    yield last


def _epochs(train: Train, model: nn.Module, plan: Plan, budget: Budget) -> Iterator[int]:
    """Run the training function; yields the number of the epoch wherever it pauses."""
    name = getattr(train, "__name__", type(train).__name__)
    with foreign_code(
        lambda got: ModelError(
            f"the training function {name} failed",
            got=got,
            expected="train(model, plan, budget) that runs to its end",
            remedy="Run it by itself on one model to see the traceback.",
        )
    ):
        running = train(model, plan, budget)
        if isgenerator(running):
            for number, _ in enumerate(running, start=1):
                if number < budget.epochs:
                    yield number


def look(
    model: nn.Module, plan: Plan, parts: Mapping[str, Examples], loss: Loss | None, epoch: float
) -> Epoch:
    """Evaluate ``model`` on every part; chunk by chunk on those that it has not been trained on."""
    with foreign_code(
        lambda got: ModelError(
            f"{type(model).__name__}, or its loss, failed where it was evaluated",
            got=got,
            expected="a network and a loss that take any number of rows, in eval mode too",
            remedy="Call both on the rows by themselves to see the traceback.",
        )
    ):
        seen = {
            name: evaluate(model, examples, loss, chunks=1 if name == "train" else CHUNKS)
            for name, examples in parts.items()
        }
    return Epoch(
        epoch,
        seen,
        plan.value(),
        sum(int(parameter.count_nonzero()) for _, _, parameter in plan.blocks()),
    )


def _stages(epochs: float, keep: int | None, weights: int) -> list[tuple[float, int | None]]:
    """(epochs, weights kept) of each stage: one, or dense training and rounds of pruning.

    A single epoch leaves none to train before pruning.
    """
    if keep is None:
        return [(epochs, None)]
    rounds = 3 if epochs >= 12 else 1
    epochs = int(epochs)
    ends = [epochs // 2 + (epochs - epochs // 2) * k // rounds for k in range(rounds + 1)]
    share = (max(keep, 1) / weights) ** (1 / rounds)
    kept = [*(round(weights * share**k) for k in range(1, rounds)), keep]
    lengths = [end - start for start, end in pairwise(ends)]
    stages = [(ends[0], None), *zip(lengths, kept, strict=True)]
    return [(length, left) for length, left in stages if length]


def _looked_at(epoch: float, epochs: float, looks: int) -> bool:
    """Evenly spaced looks; the last epoch is looked at by itself."""
    return epoch < epochs and epoch * looks // epochs != (epoch - 1) * looks // epochs


def _check_applied(plan: Plan, treatment: Treatment) -> None:
    acts = plan.scaled(0.0).rules != plan.rules
    if acts and plan.applied is None:
        raise ModelError(
            "the training function never applied the plan",
            got="neither attach() nor plan.penalty()",
            expected="attach(optimizer, plan, method=budget.method)",
            remedy="Add that line after the optimizer is made.",
        )
    if acts and treatment.form == "exact" and plan.applied in ("subgradient", "term"):
        raise ModelError(
            "the training function applies the textbook form where the exact one is asked for",
            got="plan.penalty() in the loss"
            if plan.applied == "term"
            else 'attach with method="subgradient"',
            expected="attach(optimizer, plan, method=budget.method)",
            remedy="Leave the term out of the loss: attach() applies the penalty.",
        )
    if acts and treatment.form == "term" and plan.applied not in ("subgradient", "term"):
        raise NotApplicableError(
            "the training function always applies the exact form",
            got=f"attach with method={plan.applied!r}",
            expected="method=budget.method",
            remedy="Pass method=budget.method to attach() to see this column.",
        )


def _makes_optimizers(value: object) -> bool:
    """Whether it is a function, or an optimizer's class; networks can be called, too."""
    if isinstance(value, type):
        return issubclass(value, Optimizer)
    return callable(value) and not isinstance(value, nn.Module)


class NotApplicableError(FitError):
    """A column that this network or training cannot show."""


class DivergedError(FitError):
    """A fit whose loss is not finite: the outcome of this fit, not bad input."""


@torch.no_grad()
def _magnitude_masks(plan: Plan, keep: int) -> dict[str, Tensor]:
    """True for the ``keep`` largest |w| over all penalised weights (ties: the first ones)."""
    sizes = {entry.name: parameter.abs().flatten() for entry, _, parameter in plan.blocks()}
    everything = torch.cat(list(sizes.values()))
    mask = torch.zeros(len(everything), dtype=torch.bool, device=everything.device)
    mask[everything.argsort(descending=True, stable=True)[:keep]] = True
    parts = torch.split(mask, [len(size) for size in sizes.values()])
    shapes = {entry.name: entry.shape for entry in plan.penalised}
    return {name: part.view(shapes[name]) for name, part in zip(sizes, parts, strict=True)}


@torch.no_grad()
def prune_by_magnitude(plan: Plan, keep: int) -> None:
    """Set all penalised weights to zero but the ``keep`` largest, over all of them together."""
    masks = _magnitude_masks(plan, keep)
    for entry, _penalty, parameter in plan.blocks():
        parameter.mul_(masks[entry.name])


@contextmanager
def _masked(plan: Plan, masks: Mapping[str, Tensor]) -> Iterator[None]:
    """Hold the masked weights at zero after every step of whichever optimizer trains them."""

    @torch.no_grad()
    def mask(*_: object) -> None:
        for entry, _penalty, parameter in plan.blocks():
            parameter.mul_(masks[entry.name])

    if not masks:
        yield
        return
    mask()
    hook = register_optimizer_step_post_hook(mask)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def zeros_held(plan: Plan) -> Iterator[None]:
    """Keep the penalised weights that are zero at zero, whoever trains: they get no gradient."""
    hooks = [
        parameter.register_hook(  # type: ignore[no-untyped-call]
            _times((parameter != 0).to(parameter.dtype))
        )
        for _, _, parameter in plan.blocks()
        if parameter.requires_grad
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _times(mask: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * mask
