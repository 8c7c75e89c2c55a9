"""Arrays and tensors as data."""

from collections.abc import Callable

import numpy as np
import polars as pl
import torch
from torch import Tensor

from shrinkage.data.examples import Examples, check_lengths
from shrinkage.data.precision import Array, as_tensor, check_whole, needs_double
from shrinkage.data.source import Data, unseen_labels
from shrinkage.errors import DataError

Labels = Callable[[tuple[int, ...]], bool]
"""Whether integers of a shape are class labels."""
_Targets = tuple[tuple[str, ...], Tensor, Tensor | None]


def from_arrays(
    name: str,
    x: object,
    y: object,
    x_test: object = None,
    y_test: object = None,
    *,
    labels: Labels = lambda _: True,
) -> Data:
    """Arrays or tensors as data, copied to float32; the shape of x is kept.

    Tables and targets are float64 where float32 would lose differences between their numbers.
    2-D x is a table: its columns are called x0, x1, … and standardised (not those of a boolean
    array). uint8 x of more dimensions is scaled by 1/255. Integer, boolean or string y is a
    classification, labels of any value being numbered 0…k−1 in sorted order; float y (n,) or
    (n, n_targets) is a regression, and so are integers of a shape that ``labels`` denies.
    Raises :class:`DataError` as :class:`Data` does, and for
    dtypes that are no numbers.
    """
    inputs, targets = _numeric(f"{name}: x", x), _texts(_array(y))
    columns = tuple(f"x{i}" for i in range(inputs.shape[1])) if inputs.ndim == 2 else ()
    is_labels = _is_labels(f"{name}: y", targets, labels)
    held_x, held_y = None, None
    if x_test is not None:
        held_x, held_y = _numeric(f"{name}: x_test", x_test), _texts(_array(y_test))
        _check_like(name, inputs, held_x)
        _check_same_kind(name, targets, held_y, labels)
    first, second = _inputs(name, inputs, columns, held_x)
    classes, first_y, second_y = (_labels if is_labels else _targets)(name, targets, held_y)
    return Data(
        name=name,
        x=first,
        y=first_y,
        task="classification" if is_labels else "regression",
        classes=classes,
        columns=columns,
        standardise=(inputs.dtype.kind != "b",) * len(columns),
        integers=inputs.dtype.kind in "iu" and not _is_bytes(inputs),
        test=_part(name, second, second_y),
    )


def class_names(values: Array) -> tuple[str, ...]:
    """Label values as text; byte strings are decoded."""
    return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)


def _array(value: object) -> Array:
    if isinstance(value, Tensor):
        tensor = value.detach().cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise DataError(
            "a masked array has values that are hidden",
            got=f"{int(np.ma.getmaskarray(value).sum())} of {value.size}",
            expected="a value in every place",
            remedy="Leave those rows out, or fill them in: array.filled(…).",
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        raise DataError(
            "rows have different shapes",
            got=str(error),
            expected="an array or tensor with one shape for all rows",
            remedy="Pad or crop the examples to one shape.",
        ) from error


def tensor_of(value: object) -> Tensor:
    """An array, a frame or a column of numbers as a tensor of the same type; tensors as they are.

    Raises :class:`DataError` for values that are hidden by a mask.
    """
    if isinstance(value, Tensor) or not hasattr(value, "__array__"):
        return torch.as_tensor(value)
    array = _array(value)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    # PyTorch takes no steps backwards, and warns of memory that it must not write to.
    is_fit = array.flags.writeable and all(step >= 0 for step in array.strides)
    return torch.as_tensor(array if is_fit else array.copy())


def _texts(y: Array) -> Array:
    """Objects that are all text (what frames give) as an array of text."""
    if y.dtype.kind == "T" or (y.dtype.kind == "O" and all(isinstance(v, str) for v in y.flat)):
        return y.astype(str)
    return y


def _numeric(what: str, value: object) -> Array:
    array = _array(value)
    if array.dtype.kind not in "biuf":
        raise _wrong_dtype(what, array, "numbers", "turn text into one-hot columns")
    return array


def _is_labels(what: str, y: Array, labels: Labels) -> bool:
    if y.dtype.kind not in "biufUS":
        expected = "labels (integers, booleans, strings) or float numbers"
        raise _wrong_dtype(what, y, expected, "labels with .astype(str)")
    return y.dtype.kind in "US" or (y.dtype.kind != "f" and labels(y.shape))


def _wrong_dtype(what: str, array: Array, expected: str, otherwise: str) -> DataError:
    return DataError(
        f"{what} is of the wrong type",
        got="an object array" if array.dtype.kind == "O" else f"dtype {array.dtype}",
        expected=expected,
        remedy=f"Convert it, for instance with .astype(np.float32); {otherwise}.",
    )


def _check_like(name: str, x: Array, x_test: Array) -> None:
    if (x.dtype == np.uint8) != (x_test.dtype == np.uint8):
        raise DataError(
            f"{name}: x_test has another range of values than x_train",
            got=f"{x_test.dtype} after {x.dtype}",
            expected="uint8 in both or in none (uint8 images are scaled by 1/255)",
            remedy="Store both with the same dtype.",
        )


def _check_same_kind(name: str, y: Array, y_test: Array, labels: Labels) -> None:
    if _is_labels(f"{name}: y_test", y_test, labels) != _is_labels(f"{name}: y", y, labels):
        raise DataError(
            f"{name}: y_test is of another kind than y_train",
            got=f"{y_test.dtype} after {y.dtype}",
            expected="labels in both, or float numbers in both",
            remedy="Prepare both parts in the same way.",
        )


def _inputs(
    name: str, x: Array, columns: tuple[str, ...], x_test: Array | None
) -> tuple[Tensor, Tensor | None]:
    """Inputs of both parts in one dtype; bytes of images are scaled to 0…1."""
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8 and x.ndim == 2:
        for column, values in zip(columns, x.T, strict=True):
            check_whole(name, pl.Series(column, values))
    double = bool(columns) and _either_needs_double(x, x_test)
    first = as_tensor(x, double=double)
    second = None if x_test is None else as_tensor(x_test, double=double)
    if _is_bytes(x):
        first, second = first.div_(255), None if second is None else second.div_(255)
    return first, second


def _is_bytes(x: Array) -> bool:
    """Whether these are images of numbers from 0 to 255."""
    return x.dtype == np.uint8 and x.ndim > 2


def _either_needs_double(x: Array, x_test: Array | None) -> bool:
    return needs_double(x) or (x_test is not None and x_test.ndim == 2 and needs_double(x_test))


def _part(name: str, x: Tensor | None, y: Tensor | None) -> Examples | None:
    if x is None or y is None:
        return None
    check_lengths(f"{name}: x_test and y_test", x, y)
    return Examples(x, y)


def _labels(name: str, y: Array, y_test: Array | None) -> _Targets:
    """Names of the classes, and the numbers of both parts' labels."""
    values, codes = np.unique(_flat(name, y), return_inverse=True)
    second = None if y_test is None else _codes(name, values, _flat(name, y_test))
    return class_names(values), torch.from_numpy(codes.astype(np.int64)), second


def _targets(name: str, y: Array, y_test: Array | None) -> _Targets:
    """No classes, and targets of both parts, (n, n_targets) in one dtype."""
    first, second = _rows(name, y), None if y_test is None else _rows(name, y_test)
    double = _either_needs_double(first, second)
    held = None if second is None else as_tensor(second, double=double)
    return (), as_tensor(first, double=double), held


def _rows(name: str, y: Array) -> Array:
    if y.ndim not in (1, 2):
        raise DataError(
            f"{name}: regression targets have a wrong shape",
            got=str(y.shape),
            expected="(n,) or (n, n_targets)",
            remedy="Flatten the targets of each row.",
        )
    return y[:, None] if y.ndim == 1 else y


def _flat(name: str, y: Array) -> Array:
    if y.ndim == 2 and y.shape[1] == 1:
        return y[:, 0]
    if y.ndim != 1:
        raise DataError(
            f"{name}: labels have a wrong shape",
            got=str(y.shape),
            expected="one label per row, (n,)",
            remedy="Take y.argmax(1) of one-hot labels; several labels per row need a loss of an "
            "output each: loss=nn.BCEWithLogitsLoss().",
        )
    return y


def _codes(name: str, values: Array, y: Array) -> Tensor:
    numbers = {value: code for code, value in enumerate(values.tolist())}
    unseen = sorted({repr(value) for value in y.tolist() if value not in numbers})
    if unseen:
        raise unseen_labels(name, unseen)
    return torch.tensor([numbers[value] for value in y.tolist()], dtype=torch.int64)
