"""Loss and score of a network on a set of examples."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, isfinite, isnan, nan

import torch
from torch import Tensor, nn

from shrinkage.data import Examples
from shrinkage.errors import DataError, ModelError
from shrinkage.measures.losses import Loss, aligned, as_module, loss_for, mean_loss, weight_of
from shrinkage.measures.untouched import Home, brought, home, untouched

BATCH = 1024
CHUNKS = 50


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and score over ``n`` examples.

    ``score`` is the accuracy (0…1) for labels and R² for float targets, ``score_name`` says which.
    ``chunks`` are the mean losses of at most 50 runs of consecutive examples (sizes differ by at
    most one), the same rows for the same ``n``: two networks on the same examples can be compared
    pair by pair. A NaN loss is given as infinite, a NaN R² as −infinite; without any weight (class
    weights of zero, ``ignore_index``) a chunk is NaN and the loss infinite.
    """

    loss: float
    score: float
    score_name: str
    n: int
    chunks: tuple[float, ...]


def evaluate(
    model: nn.Module, examples: Examples, loss: Loss | None = None, *, chunks: int = CHUNKS
) -> Evaluation:
    """Loss and score of ``model`` in eval mode; the network stays as it is.

    ``chunks``: their largest number; 1 where nothing will be compared pair by pair: each costs a
    call of the loss.

    ``loss(prediction, y)`` is a mean over examples; without one :func:`default_loss` of the
    targets. Batches of at most 1024 are weighted by what they hold (with class weights or
    ``ignore_index``: by the sum of weights) and summed in float64. Float inputs and targets are
    taken to the device and dtype of the network.

    Accuracy takes the class with the largest output along axis 1; a single output is a logit,
    class 1 where it is above 0. A row with a NaN is wrong; labels that ``loss.ignore_index``
    names are left out. R² is 1 − Σ(y − ŷ)²/Σ(y − ȳ)², the mean over targets; for a constant
    target 1 where it is met exactly and 0 otherwise, as in scikit-learn.

    Raises :class:`DataError` for no examples and targets that do not fit, :class:`FitError` for
    a loss that is not a mean, :class:`ModelError` for an output that is not a tensor.
    """
    with untouched(model), torch.no_grad():
        return evaluate_forward(model, home(model), examples, loss, chunks)


def evaluate_forward(
    forward: Callable[[Tensor], object],
    at: Home,
    examples: Examples,
    loss: Loss | None,
    chunks: int = CHUNKS,
) -> Evaluation:
    """:func:`evaluate` of a bare function, in whatever mode and grad state it is called."""
    if not len(examples):
        raise DataError(
            "nothing to evaluate on",
            got="0 examples",
            expected="at least one",
            remedy="Check how the data was cut into parts.",
        )
    criterion = loss_for(loss, examples.y)
    ignored = getattr(as_module(criterion), "ignore_index", None)
    whole, parts, errors = _Mean(), [_Mean() for _ in range(_n_chunks(len(examples), chunks))], []
    for start, stop, pieces in _batches(len(examples), chunks):
        x, y = brought(examples.x[start:stop], at), brought(examples.y[start:stop], at)
        prediction = checked_output(forward(x), len(x))
        value, weight = mean_loss(criterion, prediction, y), weight_of(criterion, y)
        whole.add(value, weight)
        for chunk, a, b in pieces:
            if b - a < len(x):
                value, weight = (
                    mean_loss(criterion, prediction[a:b], y[a:b]),
                    weight_of(criterion, y[a:b]),
                )
            parts[chunk].add(value, weight)
        errors.append(_errors(prediction, examples.y[start:stop].to(prediction.device), ignored))
    is_regression = examples.y.is_floating_point()
    return Evaluation(
        loss=whole.value() if whole.weight else inf,
        score=(_r2 if is_regression else _accuracy)(torch.stack(errors).sum(dim=0), examples.y),
        score_name="R²" if is_regression else "accuracy",
        n=len(examples),
        chunks=tuple(part.value() for part in parts),
    )


class _Mean:
    """A weighted mean that grows, in float64; parts without weight are left out."""

    def __init__(self) -> None:
        self.total = self.weight = 0.0

    def add(self, value: float, weight: float) -> None:
        if weight:
            self.total += weight * value
            self.weight += weight

    def value(self) -> float:
        """The mean, infinite where it is NaN; NaN where there is no weight."""
        if not self.weight:
            return nan
        mean = self.total / self.weight
        return inf if isnan(mean) else mean


def _n_chunks(n: int, most: int) -> int:
    return min(most, max(1, n // 2))  # of two rows at least: some losses squeeze single rows


def _batches(n: int, most: int) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
    """(start, stop) of each batch, and (chunk, start, stop) within it of the chunks it holds.

    A batch holds whole chunks, or is a part of a chunk above 1024 rows.
    """
    edges = _cut(0, n, _n_chunks(n, most))
    per_batch = max(1, BATCH // -(-n // len(edges)))
    for first in range(0, len(edges), per_batch):
        run = edges[first : first + per_batch]
        start, stop = run[0][0], run[-1][1]
        for a, b in _cut(start, stop, -(-(stop - start) // BATCH)):
            yield a, b, [(c, max(a, s) - a, min(b, e) - a) for c, (s, e) in enumerate(run, first)]


def _cut(start: int, stop: int, parts: int) -> list[tuple[int, int]]:
    n = stop - start
    return [(start + n * i // parts, start + n * (i + 1) // parts) for i in range(parts)]


def checked_output(prediction: object, n: int) -> Tensor:
    """``prediction``; :class:`ModelError` unless it is a tensor with ``n`` rows."""
    if not isinstance(prediction, Tensor) or prediction.ndim == 0 or len(prediction) != n:
        is_tensor = isinstance(prediction, Tensor)
        raise ModelError(
            "the network has a wrong output",
            got=f"shape {tuple(prediction.shape)}"  # type: ignore[attr-defined]
            if is_tensor
            else type(prediction).__name__,
            expected=f"a tensor with a row for each of {n} examples",
            remedy="Wrap the network in one that returns its prediction alone.",
        )
    return prediction


def _errors(prediction: Tensor, y: Tensor, ignored: int | None) -> Tensor:
    """Squared errors per target, summed over rows; or (hits, labels counted)."""
    if y.is_floating_point():
        squares = (aligned(prediction.double(), y) - y.double()) ** 2
        return squares.reshape(len(y), -1).sum(dim=0).cpu()
    if prediction.ndim == y.ndim or prediction.shape[1] == 1:
        chosen = (aligned(prediction, y) > 0).long()
        broken = aligned(prediction, y).isnan()
    else:
        chosen, broken = prediction.argmax(dim=1), prediction.isnan().any(dim=1)
    if chosen.shape != y.shape:
        raise DataError(
            "outputs and labels differ in shape",
            got=f"outputs {tuple(prediction.shape)} and labels {tuple(y.shape)}",
            expected="classes along axis 1, and one label for everything else",
            remedy="Pass labels, not one-hot rows.",
        )
    counted = torch.ones_like(broken) if ignored is None else y != ignored
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
    return score if isfinite(score) else -inf
