"""Loss and score of a network on a set of examples."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, isnan, nan

import torch
from torch import Tensor, nn

from shrinkage.analysis.measures.criterion import Criterion, loss_for
from shrinkage.analysis.measures.losses import Loss, mean_loss
from shrinkage.analysis.measures.scores import Scores
from shrinkage.data import Examples
from shrinkage.errors import DataError, ModelError
from shrinkage.graph.untouched import Home, brought, home, untouched

BATCH = 1024
CHUNKS = 50


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and score over ``n`` examples.

    ``score`` is the accuracy (0…1) for labels and R² for float targets, ``score_name`` says which;
    where outputs are in other units than targets (log rates, hazards) it is ``"−loss"``.
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

    A loss whose value on a batch is no mean over its examples (the Cox partial likelihood, a root
    of a mean) is taken of all examples at once, and has a single chunk.

    Accuracy takes the class with the largest output along axis 1; a single output is a logit,
    class 1 where it is above 0 (for ``nn.BCELoss`` a probability, above ½). A row with a NaN is
    wrong; labels that ``loss.ignore_index`` names are left out. R² is 1 − Σ(y − ŷ)²/Σ(y − ȳ)², the
    mean over targets; for a constant target 1 where it is met exactly and 0 otherwise, as in
    scikit-learn. It is told where the loss is at rest at ŷ = y.

    Raises :class:`DataError` for no examples and targets that do not fit, :class:`FitError` for
    a loss that is not a mean, :class:`ModelError` for an output that is not a tensor.
    """
    with untouched(model), torch.no_grad():
        return evaluate_forward(model, home(model), examples, loss, chunks)


def evaluate_forward(
    forward: Callable[[Tensor], object],
    at: Home,
    examples: Examples,
    loss: Loss | Criterion | None,
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
    losses = _Losses(criterion, _n_chunks(len(examples), chunks))
    scores = Scores(criterion, examples.y)
    for start, stop, pieces in _batches(len(examples), chunks):
        x, y = brought(examples.x[start:stop], at), brought(examples.y[start:stop], at)
        prediction = checked_output(forward(x), len(x))
        losses.add(prediction, y, pieces)
        exact = examples.y[start:stop].to(prediction.device)
        scores.add(prediction, exact)
    whole = losses.whole()
    name, score = scores.of(whole)
    return Evaluation(
        loss=whole,
        score=score,
        score_name=name,
        n=len(examples),
        chunks=losses.chunks(),
    )


class _Losses:
    """The loss of all examples and of each chunk, batch by batch; of no mean, on all at once."""

    def __init__(self, criterion: Criterion, chunks: int) -> None:
        self.criterion, self.all, self.parts = criterion, _Mean(), [_Mean() for _ in range(chunks)]
        self.kept: list[tuple[Tensor, Tensor]] = []

    def add(self, prediction: Tensor, y: Tensor, pieces: list[tuple[int, int, int]]) -> None:
        """A batch, and (chunk, start, stop) of the chunks in it."""
        self.criterion.settle(prediction, y)
        if not self.criterion.is_mean:
            self.kept.append((prediction, y))
            return
        value, weight = mean_loss(self.criterion, prediction, y), self.criterion.weight(y)
        self.all.add(value, weight)
        for chunk, a, b in pieces:
            if b - a < len(y):
                value = mean_loss(self.criterion, prediction[a:b], y[a:b])
                weight = self.criterion.weight(y[a:b])
            self.parts[chunk].add(value, weight)

    def whole(self) -> float:
        """The loss of all."""
        if self.kept:
            prediction, y = (torch.cat(rows) for rows in zip(*self.kept, strict=True))
            self.all, self.kept = _Mean(), []
            self.all.add(mean_loss(self.criterion, prediction, y), 1.0)
        return self.all.value() if self.all.weight else inf

    def chunks(self) -> tuple[float, ...]:
        """The losses of the chunks; of no mean, one of all."""
        parts = self.parts if self.criterion.is_mean else [self.all]
        return tuple(part.value() for part in parts)


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
