"""How well outputs meet targets: accuracy, R², or nothing but the loss."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Literal

import torch
from torch import Tensor

from shrinkage.analysis.measures.classes import class_axis
from shrinkage.analysis.measures.criterion import Criterion, is_probability, of_logits, of_numbers
from shrinkage.analysis.measures.losses import aligned, mean_squared_error

Name = Literal["accuracy", "R²", "−loss"]
_ROWS = 64


@dataclass(frozen=True)
class _Kind:
    """``errors`` of a batch are summed over all of them, and ``total`` makes the score of it."""

    name: Name
    errors: Callable[[Tensor, Tensor], Tensor]
    total: Callable[[Tensor, Tensor], float]


class Scores:
    """The score of all examples, batch by batch."""

    def __init__(self, criterion: Criterion, y: Tensor) -> None:
        self.criterion, self.y = criterion, y
        self.kind: _Kind = _LOSS
        self.errors: list[Tensor] = []

    def add(self, prediction: Tensor, y: Tensor) -> None:
        """A batch; the first one says which score there is."""
        if not self.errors:
            self.kind = _kind(self.criterion, prediction, y, self.y)
        self.errors.append(self.kind.errors(prediction, y))

    def of(self, loss: float) -> tuple[Name, float]:
        """The score's name and value, where the loss is this."""
        if self.kind is _LOSS:
            return "−loss", -loss
        return self.kind.name, self.kind.total(torch.stack(self.errors).sum(dim=0), self.y)


def _kind(criterion: Criterion, prediction: Tensor, y: Tensor, all_y: Tensor) -> _Kind:
    """The score under a loss, after one batch of outputs and targets.

    Labels have an accuracy where outputs have an axis of classes, and so have targets of 0 and 1
    beside a loss of logits. Other targets have an R² where outputs are in their units: where the
    gradient of the loss is 0 at ŷ = y.
    """
    ignored = getattr(criterion.module, "ignore_index", -100)
    middle = _middle(criterion)
    if not y.is_floating_point() and not of_numbers(criterion.loss):
        counted = all_y[all_y != ignored]
        if _is_single(prediction, y):
            errors = partial(_sides, ignored=ignored, middle=middle)
            return _Kind("accuracy", errors, _accuracy) if _is_binary(counted) else _LOSS
        axis = class_axis(criterion, prediction, y, counted)
        if axis is None:
            return _LOSS
        return _Kind("accuracy", partial(_hits, ignored=ignored, axis=axis), _accuracy)
    if of_logits(criterion.loss) and prediction.numel() == y.numel() and _is_binary(all_y):
        return _Kind("accuracy", partial(_signs, middle=middle), _accuracy)
    return _SQUARES if _in_units_of(criterion, prediction, y) else _LOSS


def _middle(criterion: Criterion) -> float:
    """The output between two classes that have one output."""
    return 0.5 if is_probability(criterion.loss) else 0.0


def _is_single(prediction: Tensor, y: Tensor) -> bool:
    columns = prediction.ndim in (1, y.ndim) or prediction.shape[1] == 1
    return prediction.numel() == y.numel() and columns


def _is_binary(y: Tensor) -> bool:
    return bool(((y == 0) | (y == 1)).all())


def _in_units_of(criterion: Criterion, prediction: Tensor, y: Tensor) -> bool:
    """Whether the loss is at rest where outputs are the targets."""
    if criterion.loss is mean_squared_error:
        return True
    if prediction.numel() != y.numel():
        return False
    with torch.inference_mode(mode=False), torch.enable_grad():
        some = y[:_ROWS].clone().to(prediction.dtype)
        ends = [
            (some + shift).reshape(prediction[:_ROWS].shape).requires_grad_() for shift in (0, 1)
        ]
        values = [criterion(end, some) for end in ends]
        if not all(value.requires_grad for value in values):
            return False
        rest, away = (
            float(torch.autograd.grad(value, end)[0].abs().max())
            for value, end in zip(values, ends, strict=True)
        )
    return rest <= 1e-6 * away


def _squares(prediction: Tensor, y: Tensor) -> Tensor:
    """Squared errors per target, summed over rows."""
    squares = (aligned(prediction.double(), y) - y.double()) ** 2
    return squares.reshape(len(y), -1).sum(dim=0).cpu()


def _signs(prediction: Tensor, y: Tensor, middle: float) -> Tensor:
    """(Hits, targets) of targets 0 and 1."""
    outputs = aligned(prediction, y)
    hits = ((outputs > middle) == (y > 0)) & ~outputs.isnan()
    return torch.tensor([int(hits.sum()), y.numel()])


def _sides(prediction: Tensor, y: Tensor, ignored: int, middle: float) -> Tensor:
    """(Hits, labels counted) of a single output for the labels 0 and 1."""
    outputs = aligned(prediction, y)
    return _counted((outputs > middle).long(), outputs.isnan(), y, ignored)


def _hits(prediction: Tensor, y: Tensor, ignored: int, axis: int) -> Tensor:
    """(Hits, labels counted) of an output for each class along ``axis``."""
    chosen, broken = prediction.argmax(dim=axis), prediction.isnan().any(dim=axis)
    return _counted(chosen, broken, y.reshape(chosen.shape), ignored)


def _counted(chosen: Tensor, broken: Tensor, y: Tensor, ignored: int) -> Tensor:
    counted = y != ignored
    hits = (chosen == y) & ~broken & counted
    return torch.stack([hits.sum(), counted.sum()]).cpu()


def _accuracy(counts: Tensor, _: Tensor) -> float:
    hits, counted = counts.tolist()
    return float(hits / counted) if counted else 0.0


def _r2(residual: Tensor, y: Tensor) -> float:
    rows = y.double().reshape(len(y), -1).cpu()
    total = ((rows - rows.mean(dim=0)) ** 2).sum(dim=0)
    exact = torch.where(residual == 0, 1.0, 0.0).double()
    score = float(torch.where(total > 0, 1 - residual / total, exact).mean())
    return score if isfinite(score) else -torch.inf


_SQUARES = _Kind("R²", _squares, _r2)
_LOSS = _Kind("−loss", lambda _p, _y: torch.zeros(1), lambda _e, _y: 0.0)
