"""The loss that fits a target, and what PyTorch's own losses take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from shrinkage.arguments import check_function
from shrinkage.data import swapped
from shrinkage.errors import RAISED, DataError, FitError, ShrinkageError, told

Loss = Callable[[Tensor, Tensor], Tensor]

LABELS = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
"""Losses of class labels."""
LOGITS = (nn.BCELoss, nn.BCEWithLogitsLoss)
"""Losses of yes or no, an output each."""
NUMBERS = (
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.PoissonNLLLoss,
    nn.KLDivLoss,
    nn.SoftMarginLoss,
    nn.HingeEmbeddingLoss,
    nn.MultiLabelSoftMarginLoss,
)
"""Losses of numbers, an output each."""


def default_loss(y: Tensor) -> Loss:
    """Cross-entropy for int64 targets (class labels), the mean squared error for float targets.

    The squared error is (1/(n·k))·Σ(prediction − y)² over n examples and k targets, without ½.
    Raises :class:`DataError` for targets of any other dtype.
    """
    if y.is_floating_point():
        return mean_squared_error
    if y.dtype != torch.int64:
        raise DataError(
            "no default loss for these targets",
            got=str(y.dtype),
            expected="int64 class labels or float targets",
            remedy="Convert y, or pass loss=.",
        )
    return nn.functional.cross_entropy


def checked_loss(loss: Loss) -> Loss:
    """``loss``; :class:`FitError` for what is no function of (prediction, y)."""
    check_function(
        "the loss",
        loss,
        takes=2,
        expected="f(prediction, y) that gives a mean, such as nn.CrossEntropyLoss()",
        remedy="Leave it out for cross-entropy (labels) or the mean squared error (floats).",
    )
    return loss


@contextmanager
def fitting_together(x: Tensor | None = None, y: Tensor | None = None) -> Iterator[None]:
    """What PyTorch says of shapes and labels that do not fit comes out as :class:`FitError`.

    Of inputs ``x`` and targets ``y`` that look as if they had changed places it is said.
    """
    try:
        yield
    except ShrinkageError:
        raise
    except RAISED as error:  # network and loss are the user's
        raise unfit(error, x, y) from error


def unfit(error: BaseException, x: Tensor | None = None, y: Tensor | None = None) -> FitError:
    """The error for a network, data or loss that raise one."""
    return FitError(
        "network, data and loss do not fit together",
        got=told(error),
        expected="inputs the network takes, and targets the loss takes",
        remedy=swapped(x, y) or "Check shapes, labels 0 … classes − 1, and loss=.",
    )


def mean_squared_error(prediction: Tensor, y: Tensor) -> Tensor:
    """Mean of (prediction − y)²; (n, 1) and (n,) fit each other and are never broadcast.

    Raises :class:`DataError` where the sizes differ.
    """
    return nn.functional.mse_loss(aligned(prediction, y), y)


def aligned(prediction: Tensor, y: Tensor) -> Tensor:
    """``prediction`` in the shape of ``y``; :class:`DataError` where the sizes differ."""
    if len(prediction) != len(y) or prediction.numel() != y.numel():
        raise unlike(prediction, y)
    return prediction.reshape(y.shape)


def check_targets(loss: Loss, y: Tensor) -> None:
    """Raise :class:`FitError` for targets outside those of a loss of PyTorch that takes them all.

    Beyond its targets it has no minimum, or takes no notice of them.
    """
    module = as_module(loss)
    for kinds, expected, fits in _TARGETS:
        if isinstance(module, kinds) and not fits(y):
            raise FitError(
                "targets that the loss has no meaning for",
                got=f"{float(y.min()):g} to {float(y.max()):g} for {type(module).__name__}",
                expected=expected,
                remedy="Write them so, or take another loss.",
            )


_TARGETS: tuple[tuple[Any, str, Callable[[Tensor], bool]], ...] = (
    (LOGITS, "targets from 0 to 1", lambda y: bool(((y >= 0) & (y <= 1)).all())),
    (nn.PoissonNLLLoss, "counts, 0 or above", lambda y: bool((y >= 0).all())),
    (
        (nn.SoftMarginLoss, nn.HingeEmbeddingLoss),
        "−1 and 1",
        lambda y: bool((y.abs() == 1).all()),
    ),
)
"""Losses, the targets that they are made for, and whether these are such."""


def unlike(prediction: Tensor, y: Tensor) -> DataError:
    """The error for predictions and targets that are not one to one."""
    may_be_labels = y.ndim == 1 and y.is_floating_point() and bool((y == y.round()).all())
    give = "For class labels pass y.long(); otherwise give" if may_be_labels else "Give"
    return DataError(
        "predictions and targets differ in shape",
        got=f"{tuple(prediction.shape)} and {tuple(y.shape)}",
        expected="one output per target",
        remedy=f"{give} the network as many outputs as there are targets, or pass a loss= of your "
        "own that takes both as they are.",
    )


def weight_of(loss: Loss, y: Tensor) -> float:
    """What a batch with targets ``y`` weighs in the mean over all batches.

    The number of examples; for ``nn.CrossEntropyLoss`` and ``nn.NLLLoss`` on labels the sum of
    their class weights over the labels that are not ``ignore_index``. Their functions, without
    arguments, ignore −100 as these do.
    """
    loss = as_module(loss)
    if not isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss) or y.is_floating_point():
        return float(len(y))
    labels = y[y != loss.ignore_index]
    if loss.weight is None:
        return float(len(labels))
    return float(loss.weight.to(labels.device, torch.float64)[labels].sum())


def as_module(loss: Loss) -> Loss:
    """PyTorch's functions as the modules that know what they take."""
    return next((module for function, module in _MODULES if loss is function), loss)


_MODULES: tuple[tuple[Loss, nn.Module], ...] = (
    (nn.functional.cross_entropy, nn.CrossEntropyLoss()),
    (nn.functional.nll_loss, nn.NLLLoss()),
    (nn.functional.multi_margin_loss, nn.MultiMarginLoss()),
    (nn.functional.binary_cross_entropy, nn.BCELoss()),
    (nn.functional.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss()),
    (nn.functional.mse_loss, nn.MSELoss()),
    (nn.functional.l1_loss, nn.L1Loss()),
    (nn.functional.smooth_l1_loss, nn.SmoothL1Loss()),
    (nn.functional.huber_loss, nn.HuberLoss()),
    (nn.functional.poisson_nll_loss, nn.PoissonNLLLoss()),
    (nn.functional.kl_div, nn.KLDivLoss()),
    (nn.functional.soft_margin_loss, nn.SoftMarginLoss()),
)


def is_own_code(loss: Loss) -> bool:
    """Whether somebody else's code reads outputs and targets before PyTorch's does, if ever."""
    module = as_module(loss)
    known = isinstance(module, (*LABELS, *LOGITS, *NUMBERS))
    return loss is not mean_squared_error and not (
        known and type(module).forward.__module__ == nn.modules.loss.__name__  # type: ignore[attr-defined]
    )


def mean_loss(loss: Loss, prediction: Tensor, y: Tensor) -> float:
    """``loss(prediction, y)`` as a number; :func:`scalar` refuses others."""
    return float(scalar(loss, loss(prediction, y)))


def scalar(loss: Loss, value: object) -> Tensor:
    """``value``; :class:`FitError` unless it is one number, and no sum (``reduction="sum"``)."""
    reduction = getattr(loss, "reduction", "mean")
    if reduction in ("sum", "none") or not isinstance(value, Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise FitError(
            "the loss is not a mean over examples",
            got=f"reduction={reduction!r}, result {shape}",
            expected="a scalar tensor, the mean over the batch",
            remedy='Use reduction="mean".',
        )
    return value
