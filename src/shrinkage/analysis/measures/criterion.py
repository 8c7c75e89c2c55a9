"""A loss as it is called: outputs and targets in shapes and numbers that belong together."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shrinkage.analysis.measures.forms import AS_GIVEN, ROWS, CallForm, found_form
from shrinkage.analysis.measures.losses import (
    LABELS,
    LOGITS,
    NUMBERS,
    Loss,
    as_module,
    check_targets,
    checked_loss,
    default_loss,
    is_own_code,
    mean_loss,
    mean_squared_error,
    unfit,
    unlike,
    weight_of,
)
from shrinkage.data import Examples
from shrinkage.errors import RAISED, FitError, ShrinkageError
from shrinkage.graph.untouched import brought, home, untouched

LossCall = Callable[[Loss, Tensor, Tensor], Tensor]


class Criterion:
    """``loss(prediction, y)``, called so that no outputs are broadcast against other targets.

    PyTorch's own losses get targets of one per output in the outputs' shape and numbers, labels
    without a last axis of length 1, and their constants (class weights) in the outputs' dtype and
    on their device. Any other function gets outputs and targets as they are, if that is a mean
    over examples; a single column is also tried as (n,) and (n, 1), and integers as numbers
    (:func:`found_form`), once. What it raises comes out as :class:`FitError`.

    ``is_mean``: whether the loss of a batch is the mean of its parts' losses. A loss for which it
    is not (the Cox partial likelihood, weights of its own) has a meaning on all data at once only.
    """

    def __init__(self, loss: Loss, form: CallForm | None = None) -> None:
        self.loss, self.module = loss, as_module(loss)
        self.is_mean = True
        self._form: LossCall | None = form
        if form is None and not is_own_code(loss):
            self._form = AS_GIVEN if loss is mean_squared_error else self._torchs
        self._constants = (
            tuple(self.module.named_buffers()) if isinstance(self.module, nn.Module) else ()
        )

    def __call__(self, prediction: Tensor, y: Tensor) -> Tensor:
        """The loss; :class:`FitError` for whatever it raises."""
        try:
            form = self._form or self.settle(prediction, y)
            return form(self._following(prediction), prediction, y)
        except ShrinkageError:
            raise
        except RAISED as error:
            raise unfit(error) from error

    @property
    def reduction(self) -> str:
        """``"mean"``, unless the loss says that it is another."""
        return str(getattr(self.loss, "reduction", "mean"))

    def at_once(self, n: int, size: int) -> int:
        """How many of n examples are a batch: ``size``, or all where the loss is no mean."""
        return size if self.is_mean else n

    def weight(self, y: Tensor) -> float:
        """What a batch with targets ``y`` weighs in the mean over all batches."""
        return weight_of(self.loss, y)

    def settle(self, prediction: Tensor, y: Tensor) -> LossCall:
        """Find out how the loss takes outputs and targets, unless that is known; how it does."""
        if self._form is not None:
            return self._form
        try:
            found = found_form(self._following(prediction), self.loss, prediction, y)
        except ShrinkageError:
            raise
        except RAISED as error:
            raise unfit(error) from error
        if found.is_sure:
            self._form, self.is_mean = found.form, found.is_mean
        return found.form

    def _following(self, prediction: Tensor) -> Loss:
        """The loss with its constants where the outputs are."""
        at, dtype = prediction.device, prediction.dtype
        moved = {
            name: buffer.to(at, dtype if buffer.is_floating_point() else buffer.dtype)
            for name, buffer in self._constants
            if buffer.device != at or (buffer.is_floating_point() and buffer.dtype != dtype)
        }
        if not moved or not isinstance(self.module, nn.Module):
            return self.loss
        module = self.module
        return lambda p, y: functional_call(module, moved, (p, y))

    def _torchs(self, loss: Loss, prediction: Tensor, y: Tensor) -> Tensor:
        """One of PyTorch's own losses."""
        if isinstance(self.module, LABELS):
            return loss(prediction, _labels(prediction, y))
        if _without_ones(prediction) != _without_ones(y):
            raise unlike(prediction, y)
        if not y.is_floating_point():
            y = y.to(prediction.dtype)
        elif y.dtype != prediction.dtype:  # some losses take one dtype alone
            dtype = torch.promote_types(prediction.dtype, y.dtype)
            prediction, y = prediction.to(dtype), y.to(dtype)
            loss = self._following(prediction)
        return loss(prediction, y.reshape(prediction.shape))


def _labels(prediction: Tensor, y: Tensor) -> Tensor:
    """Labels without an axis of their own, or a probability for each output."""
    if y.is_floating_point():
        if y.shape != prediction.shape:
            raise _not_labels(prediction, y)
        return y
    if prediction.numel() == len(prediction):
        raise _single(prediction)
    return y.squeeze(1) if y.ndim == prediction.ndim and y.shape[1] == 1 else y


def _single(prediction: Tensor) -> FitError:
    return FitError(
        "one output cannot tell classes apart",
        got=f"outputs of shape {tuple(prediction.shape)} and class labels",
        expected="an output for each class, under a loss of class labels",
        remedy="For labels 0 and 1 and one logit pass loss=nn.BCEWithLogitsLoss(); for quantities "
        "pass float targets.",
    )


def _not_labels(prediction: Tensor, y: Tensor) -> FitError:
    column = ".squeeze(1)" if y.ndim == prediction.ndim and y.shape[1] == 1 else ""
    return FitError(
        "class labels are integers",
        got=f"{str(y.dtype).removeprefix('torch.')} targets of shape {tuple(y.shape)}",
        expected="int64 labels 0 … classes − 1, or a probability for each output",
        remedy=f"Pass y.long(){column} for labels. For quantities pass loss=nn.MSELoss().",
    )


def _without_ones(rows: Tensor) -> list[int]:
    return [len(rows), *(size for size in rows.shape[1:] if size != 1)]


def loss_for(loss: Loss | Criterion | None, y: Tensor) -> Criterion:
    """``loss``, or the :func:`default_loss` of targets ``y`` where there is none.

    Raises :class:`FitError` for targets that have no meaning for a loss of PyTorch.
    """
    if isinstance(loss, Criterion):
        return loss
    if loss is None:
        return Criterion(default_loss(y))
    check_targets(checked_loss(loss), y)
    return Criterion(loss)


@torch.no_grad()
def settled(loss: Loss | Criterion | None, model: nn.Module, examples: Examples) -> Criterion:
    """:func:`loss_for`, settled on the outputs of a few rows, evenly spaced, in eval mode.

    Raises :class:`FitError` for a loss that does not fit them, or is no mean.
    """
    criterion = loss_for(loss, examples.y)
    rows = torch.linspace(0, len(examples) - 1, min(ROWS, len(examples))).long()
    rows, at = rows.to(examples.x.device), home(model)
    with untouched(model):
        prediction = model(brought(examples.x[rows], at))
    mean_loss(criterion, prediction, brought(examples.y[rows.to(examples.y.device)], at))
    return criterion


def of_numbers(loss: Loss | None) -> bool:
    """Whether a loss of PyTorch takes targets that are numbers, so that integers are no labels."""
    return isinstance(as_module(loss), NUMBERS) if loss is not None else False


def is_probability(loss: Loss | None) -> bool:
    """Whether outputs are probabilities of yes, so that ½ is the middle."""
    return isinstance(as_module(loss), nn.BCELoss) if loss is not None else False


def of_logits(loss: Loss | None) -> bool:
    """Whether it is one of PyTorch's losses of yes or no, so that two classes are one output."""
    return isinstance(as_module(loss), LOGITS) if loss is not None else False
