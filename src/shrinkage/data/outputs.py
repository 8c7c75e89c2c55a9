"""What a network makes of its inputs, seen by trying: outputs, ids, probabilities."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shrinkage.data.examples import Spec
from shrinkage.errors import RAISED, ModelError, foreign_code, warn

_NEAR_ONE = 1e-4


def check_output(
    model: nn.Module,
    spec: Spec,
    task: Literal["classification", "regression"],
    *,
    ids: bool = False,
    free: bool = False,
) -> Tensor:
    """What the network puts out for two rows of zeros in eval mode; it is left as it was.

    ``ids``: the zeros are integers. ``free``: a loss of the user's own takes what it likes, and
    outputs are any two rows. Raises :class:`ModelError` where that fails, or gives anything but
    finite (2, n_outputs).
    """
    out = _of_zeros(model, spec, ids=ids)
    expected = (2,) if free else (2, spec.n_outputs)
    if not isinstance(out, Tensor) or out.shape[: 1 if free else None] != expected:
        raise _wrong_output(model, spec, task, out)
    if not bool(out.isfinite().all()):
        raise ModelError(
            f"{type(model).__name__} has an output that is not finite",
            got=f"{int((~out.isfinite()).sum())} NaN or infinite values for inputs of zeros",
            expected="finite numbers",
            remedy="Look at the initial weights, and for a division or logarithm of zero.",
        )
    return out


def _of_zeros(model: nn.Module, spec: Spec, *, ids: bool) -> object:
    first = next(iter(model.parameters()), torch.zeros(()))
    kind = torch.int64 if ids else first.dtype
    zeros = torch.zeros(2, *spec.input_shape, device=first.device, dtype=kind)
    with (
        _eval_mode(model),
        torch.no_grad(),
        foreign_code(
            lambda got: ModelError(
                f"{type(model).__name__} cannot take these inputs",
                got=got,
                expected=f"a network for batches (n, {', '.join(map(str, spec.input_shape))})",
                remedy="Build it from the spec: n_inputs, input_shape, n_outputs.",
            )
        ),
    ):
        return model(zeros)


def _wrong_output(model: nn.Module, spec: Spec, task: str, out: object) -> ModelError:
    shape = tuple(out.shape) if isinstance(out, Tensor) else None
    unit = "one logit per class" if task == "classification" else "one number per target"
    remedy = f"End the network with {spec.n_outputs} outputs (spec.n_outputs)."
    if task == "classification" and spec.n_outputs == 2 and shape in ((2,), (2, 1)):
        remedy += " For one logit of two classes pass loss=nn.BCEWithLogitsLoss()."
    return ModelError(
        f"{type(model).__name__} has a wrong output",
        got=type(out).__name__ if shape is None else f"shape {shape}",
        expected=f"a tensor of shape {(2, spec.n_outputs)} for 2 examples, {unit}",
        remedy=remedy,
    )


def reads_ids(model: nn.Module, x: Tensor) -> bool:
    """Whether the network reads whole numbers ``x`` as ids: of tokens, of levels of a category.

    It does where it takes no floats (an embedding), or takes them for the whole numbers below
    (``x.long()``): x + ¼ then gives what x gives. Told at random parameters, so that layers of
    zeros do not hide it.
    """
    with _eval_mode(model), torch.no_grad():
        try:
            by_numbers = [_at_random(model, x.float() + shift) for shift in (0.0, 0.25)]
        except RAISED:  # of whatever it is made
            by_numbers = []
        try:
            by_ids = _at_random(model, x.long())
        except RAISED:
            return False
    return not by_numbers or (torch.equal(*by_numbers) and torch.equal(by_numbers[0], by_ids))


def columns_of_ids(model: nn.Module, x: Tensor) -> list[int]:
    """Columns of a table that the network casts to whole numbers, as those of an embedding beside
    others that are quantities; none where there is no embedding.

    There ``x`` and x + ¼ are the same to it.
    """
    if not any(isinstance(layer, nn.Embedding | nn.EmbeddingBag) for layer in model.modules()):
        return []
    with _eval_mode(model), torch.no_grad():
        try:
            usual = _at_random(model, x)
            quarters = 0.25 * torch.eye(x.shape[1]).to(x)
            shifted = [_at_random(model, x + quarter) for quarter in quarters]
        except RAISED:  # of whatever it is made
            return []
    return [k for k, other in enumerate(shifted) if torch.equal(usual, other)]


def _at_random(model: nn.Module, x: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: torch.randn(p.shape, generator=generator).to(p)
        for name, p in model.named_parameters()
    }
    output: Tensor = functional_call(model, parameters, (x,))
    return output


def warn_of_probabilities(outputs: Tensor) -> None:
    """Warn (:class:`ShrinkageWarning`) where each row of what cross-entropy takes sums to 1.

    >>> warn_of_probabilities(torch.tensor([[0.5, -1.0]]))  # logits
    """
    sums = outputs.double().sum(dim=1)
    if bool((outputs >= 0).all()) and bool(((sums - 1).abs() <= _NEAR_ONE).all()):
        warn(
            "the network's outputs are probabilities, as behind a Softmax, and cross-entropy takes "
            "them for logits: behind its own softmax no prediction can be sure, and training is "
            "slow and blunt. Return logits (leave the Softmax out), or pass a loss of your own in "
            "Python, such as loss=lambda p, y: nll_loss(p.log(), y)",
        )


def warn_of_logits(outputs: Tensor) -> None:
    """Warn (:class:`ShrinkageWarning`) where rows for ``nn.NLLLoss`` are no log-probabilities.

    >>> warn_of_logits(torch.tensor([[0.5, -1.0]]).log_softmax(dim=1))
    """
    if not bool((outputs.double().logsumexp(dim=1).abs() <= _NEAR_ONE).all()):
        warn(
            "the network's outputs are no log-probabilities, as behind a LogSoftmax, and without "
            "it nn.NLLLoss has no minimum. Take nn.CrossEntropyLoss(), or let the network end in "
            "nn.LogSoftmax(dim=1)",
        )


def check_state(model: nn.Module) -> None:
    """Raise :class:`ModelError` unless the state of the network can be stored: tensors only."""
    others = [(k, v) for k, v in model.state_dict().items() if not isinstance(v, Tensor)]
    if others:
        name, value = others[0]
        raise ModelError(
            f"the state of {type(model).__name__} cannot be stored",
            got=f"{name!r} ({type(value).__name__}) in its state_dict",
            expected="only tensors, which are stored without pickles",
            remedy="Let get_extra_state return a tensor, or keep it out of the state.",
        )


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards every layer, frozen ones too, is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
