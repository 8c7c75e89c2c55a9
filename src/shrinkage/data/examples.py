"""Rows to learn from, and what a network must know about them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from shrinkage.arguments import as_int, as_shape, settle
from shrinkage.errors import DataError, shown


@dataclass(frozen=True)
class Spec:
    """What a factory of networks needs to know.

    ``input_shape`` is (channels, height, width) of an image or (features,) of a table row,
    ``n_inputs`` its product, ``n_outputs`` the number of classes, or of regression targets.
    """

    n_inputs: int
    input_shape: tuple[int, ...]
    n_outputs: int

    def __post_init__(self) -> None:
        remedy = "Spec(n_inputs=784, input_shape=(1, 28, 28), n_outputs=10), for instance."
        sizes = {
            name: as_int(name, getattr(self, name), remedy=remedy, error=DataError)
            for name in ("n_inputs", "n_outputs")
        }
        shape = self.input_shape and as_shape(self.input_shape, error=DataError)
        settle(self, **sizes, input_shape=shape or ())


@dataclass(frozen=True, eq=False)
class Examples:
    """The rows of one part: x (n, *input_shape), y int64 labels (n,) or targets (n, n_targets).

    Raises :class:`DataError` where x and y differ in length.
    """

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        check_lengths("x and y", self.x, self.y)

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> "Examples":
        """The same rows in the memory of ``device``."""
        return Examples(self.x.to(device), self.y.to(device))

    def batches(
        self, size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, y) of ``size`` rows each, the last one of what is left.

        Shuffled by ``generator``, or in order without one. Shuffled batches are to train on, and
        normalisation over a batch needs two rows: a single last row joins the batch before it.
        Batches in order are views: do not write to them. Raises :class:`DataError` for a size
        below 1.
        """
        remedy = f"Pass {len(self)} for one batch of all rows."
        size = as_int("batch size", size, least=1, remedy=remedy, error=DataError)
        return self._batches(size, generator)

    def n_batches(self, size: int) -> int:
        """How many shuffled batches of ``size`` there are."""
        return len(_sizes(len(self), size))

    def _batches(
        self, size: int, generator: torch.Generator | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        if generator is None:
            for start in range(0, len(self), size):
                yield self.x[start : start + size], self.y[start : start + size]
            return
        order = torch.randperm(len(self), generator=generator, device=generator.device)
        order = order.to(self.x.device)
        for rows in torch.split(order, _sizes(len(self), size)):
            yield self.x[rows], self.y[rows]


def _sizes(n: int, size: int) -> list[int]:
    """Rows of each shuffled batch."""
    sizes = [min(size, n - start) for start in range(0, n, size)]
    if len(sizes) > 1 and sizes[-1] == 1 < size:
        sizes[-2:] = [size + 1]
    return sizes


def swapped(x: Tensor | None, y: Tensor | None) -> str:
    """What to do where inputs and targets seem to have changed places; ``""`` elsewhere."""
    if x is None or y is None or x.ndim > 1 or y.ndim < 2:
        return ""
    return "They look swapped: inputs come first, (x, y)."


def check_dense(what: str, value: object) -> None:
    """Raise :class:`DataError` unless ``value`` is a tensor that holds all its numbers."""
    is_tensor = isinstance(value, Tensor)
    if not is_tensor or value.layout is not torch.strided or value.is_meta:  # type: ignore[attr-defined]
        kind = f" ({value.layout}, {value.device})" if is_tensor else ""  # type: ignore[attr-defined]
        raise DataError(
            f"{what} cannot be read as tensors",
            got=shown(value) + kind.replace("torch.", ""),
            expected="dense tensors that hold numbers",
            remedy="Convert them first: torch.as_tensor(array), or tensor.to_dense().",
        )


def check_lengths(what: str, x: Tensor, y: Tensor) -> None:
    """Raise :class:`DataError` unless x and y are row by row the same examples."""
    for tensor in (x, y):
        check_dense(what, tensor)
    if x.ndim == 0 or y.ndim == 0:
        raise DataError(
            f"{what} hold a single number",
            got=f"shapes {tuple(x.shape)} and {tuple(y.shape)}",
            expected="one row per example",
            remedy="Stack the examples along the first dimension.",
        )
    if y.is_complex():
        raise DataError(
            "targets are complex numbers",
            got=str(y.dtype).removeprefix("torch."),
            expected="labels or real numbers",
            remedy="Pass torch.view_as_real(y).flatten(1), and a loss of your own.",
        )
    if len(x) != len(y):
        raise DataError(
            f"{what} differ in length",
            got=f"{len(x)} inputs and {len(y)} targets",
            expected="one target per input",
            remedy="Cut both from the same rows.",
        )
