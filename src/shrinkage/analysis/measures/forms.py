"""In which shapes somebody's own loss takes outputs and targets: found by trying it on a few rows.

Outputs (n, 1) beside targets (n,) broadcast to (n, n): another problem, and nothing fails. It has a
mark, though: such a loss is the same when targets change places among the rows.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import isfinite

import torch
from torch import Tensor

from shrinkage.analysis.measures.losses import Loss, scalar, weight_of
from shrinkage.errors import RAISED, FitError

ROWS = 64


@dataclass(frozen=True)
class CallForm:
    """How many dimensions outputs and targets have (None: as they are); targets as ``numbers``."""

    outputs: int | None = None
    targets: int | None = None
    numbers: bool = False

    def __call__(self, loss: Loss, prediction: Tensor, y: Tensor) -> Tensor:
        """The loss of both, in this form."""
        if self.outputs and self.targets:
            prediction, y = _in(prediction, self.outputs), _in(y, self.targets)
        return loss(prediction, y.to(prediction.dtype) if self.numbers else y)


AS_GIVEN = CallForm()


@dataclass(frozen=True)
class Found:
    """A form; whether the loss is a mean over examples in it; whether other rows would agree."""

    form: CallForm
    is_mean: bool
    is_sure: bool = True


def found_form(run: Loss, loss: Loss, prediction: Tensor, y: Tensor) -> Found:
    """The first form in which ``run`` works and is not broadcast, and whether it is a mean there.

    ``loss``: what ``run`` was made of, which tells what a batch weighs. Raises :class:`FitError`
    for a sum, and for what is no number; and whatever the loss raises where it runs in no form.
    """
    with warnings.catch_warnings(), torch.inference_mode(mode=False), torch.enable_grad():
        warnings.simplefilter("ignore")  # PyTorch's, of shapes that are about to be found out
        rows = torch.linspace(0, len(y) - 1, min(ROWS, len(y)), device=y.device).long()
        few = _Rows(prediction.detach()[rows.to(prediction.device)].clone(), y[rows].clone())
        # A loss may be bound to all rows, by weights of its own, say: then all are tried.
        for where in (few, _Rows(prediction.detach().clone(), y.clone())):
            failed: list[BaseException] = []
            ran: list[CallForm] = []
            for form in _forms(where.prediction, where.y):
                here = _Loss(run, loss, form)
                try:
                    here.at(where.prediction, where.y)
                except FitError:
                    raise
                except RAISED as error:  # the user's own
                    failed.append(error)
                    continue
                ran.append(form)
                if not _is_single(where.prediction, where.y) or not here.is_broadcast(where):
                    return Found(form, here.is_mean(where), is_sure=len(y) > 1)
            if ran:  # outputs that are all alike, or targets: other rows will tell
                return Found(ran[0], is_mean=True, is_sure=False)
    raise failed[0]


@dataclass(frozen=True, eq=False)
class _Rows:
    prediction: Tensor
    y: Tensor

    @property
    def points(self) -> list[Tensor]:
        """The outputs, and other targets as outputs: what is alike at one is not at the other."""
        if self.y.numel() != self.prediction.numel():
            return [self.prediction]
        other = self.y.flip(0).reshape(self.prediction.shape).to(self.prediction.dtype)
        return [self.prediction, other]


def _forms(prediction: Tensor, y: Tensor) -> Iterator[CallForm]:
    """As given; the same for a single column in other shapes, and integers as numbers."""
    here = (prediction.ndim, y.ndim)
    others = [(1, 1), (2, 1), (2, 2)] if _is_single(prediction, y) else []
    shapes = [(None, None), *(pair for pair in others if pair != here)]
    kinds = (False,) if y.is_floating_point() else (False, True)
    for numbers, (outputs, targets) in product(kinds, shapes):
        yield CallForm(outputs, targets, numbers)


def _is_single(prediction: Tensor, y: Tensor) -> bool:
    return prediction.numel() == y.numel() == len(y) > 1 and prediction.ndim < 3 > y.ndim


def _in(rows: Tensor, dims: int) -> Tensor:
    return rows.reshape(-1, *(1,) * (dims - 1))


@dataclass(frozen=True, eq=False)
class _Loss:
    """A loss in a form."""

    run: Loss
    loss: Loss
    form: CallForm

    def at(self, prediction: Tensor, y: Tensor) -> tuple[float, Tensor | None]:
        """Its value, and its gradient in the outputs; None where it has none."""
        leaf = prediction.detach().clone().requires_grad_()
        value = scalar(self.loss, self.form(self.run, leaf, y))
        if not value.requires_grad:
            return float(value), None
        (slope,) = torch.autograd.grad(value, leaf, materialize_grads=True)
        return float(value.detach()), slope

    def is_broadcast(self, rows: _Rows) -> bool:
        """Whether it does not matter which target is whose."""
        others = rows.y.roll(1, 0), rows.y.roll(len(rows.y) // 3 or 1, 0)
        shrunk = torch.linspace(0.9, 1, len(rows.y)).to(rows.prediction)
        points = [*rows.points, rows.prediction * _in(shrunk, rows.prediction.ndim)]
        return all(self._is_alike(point, rows.y, other) for point, other in product(points, others))

    def _is_alike(self, point: Tensor, y: Tensor, other: Tensor) -> bool:
        """Whether the value is the same for both targets, as far as it can be told."""
        try:
            (right, _), (wrong, _) = self.at(point, y), self.at(point, other)
        except RAISED:  # targets that are no outputs
            return True
        tol = 1e-5 if torch.finfo(point.dtype).eps < 1e-6 else 1e-2
        both = isfinite(right) and isfinite(wrong)
        return not both or abs(right - wrong) <= tol * max(abs(right), abs(wrong))

    def is_mean(self, rows: _Rows) -> bool:
        """Whether value and gradient are those of the parts, and no sum; a sum is refused."""
        try:
            mean = all(self._is_mean_at(point, rows.y) for point in rows.points)
        except RAISED:  # a loss that is bound to its rows cannot take some of them
            mean = False
        if not mean:
            self._check_no_sum(rows.prediction, rows.y)
        return mean

    def _is_mean_at(self, prediction: Tensor, y: Tensor) -> bool:
        whole, slope = self.at(prediction, y)
        weight = weight_of(self.loss, y)
        if len(y) < 2 or not weight or not isfinite(whole):
            return True
        tol = 1e-3 if torch.finfo(prediction.dtype).eps < 1e-6 else 0.1
        total = size = 0.0
        for part in _parts(y):
            share = weight_of(self.loss, y[part]) / weight
            if not share:
                continue
            value, own = self.at(prediction[part], y[part])
            total, size = total + share * value, size + share * abs(value)
            if slope is not None and own is not None and not _close(slope[part], share * own, tol):
                return False
        return abs(whole - total) <= tol * max(size, abs(whole))

    def _check_no_sum(self, prediction: Tensor, y: Tensor) -> None:
        """Refuse a loss that grows with the number of examples: its gradient does."""
        once, slope = self.at(prediction, y)
        try:
            twice, both = self.at(torch.cat([prediction, prediction]), torch.cat([y, y]))
        except RAISED:  # a loss that is bound to its rows
            return
        if slope is None or both is None:
            sizes = abs(once), abs(twice)
        else:
            sizes = float(slope.norm()), float((both[: len(y)] + both[len(y) :]).norm())
        if sizes[1] > 1.5 * sizes[0]:
            raise FitError(
                "the loss is not a mean over examples",
                got=f"{once:.6g} for a batch and {twice:.6g} for the same batch twice",
                expected="a loss that does not grow with the number of examples",
                remedy="Divide the sum by the number of examples.",
            )


def _close(a: Tensor, b: Tensor, tol: float) -> bool:
    a, b = a.double(), b.double()
    if not bool(a.isfinite().all() & b.isfinite().all()):
        return True  # nothing can be said here
    return float((a - b).norm()) <= tol * float(torch.maximum(a.norm(), b.norm()))


def _parts(y: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of the smaller targets and of the larger ones, each in the order they have."""
    order = y.reshape(len(y), -1)[:, 0].argsort(stable=True)
    return order[: len(y) // 2].sort().values, order[len(y) // 2 :].sort().values
