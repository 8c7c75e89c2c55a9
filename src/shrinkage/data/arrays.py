"""Arrays, tensors and ``.npz`` files as data."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import polars as pl
import torch
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray
from torch import Tensor

from shrinkage.data.examples import Examples, check_lengths
from shrinkage.data.precision import as_tensor, check_whole, needs_double
from shrinkage.data.source import Data, listed, unseen_labels
from shrinkage.errors import DataError, did_you_mean

Array = NDArray[Any]
_BROKEN = (
    OSError, ValueError, EOFError, BadZipFile, MemoryError, RuntimeError, SyntaxError,
    TokenError, struct.error, OverflowError, TypeError, KeyError,
)  # fmt: skip
"""What NumPy and zipfile raise for damaged, encrypted and made-up archives."""
Labels = Callable[[tuple[int, ...]], bool]
"""Whether integers of a shape are class labels."""
_KEYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path) -> Data:
    """``x_train``, ``y_train``, and ``x_test`` with ``y_test`` where given.

    2-D inputs are a table; (n, h, w) and (n, h, w, c) become (n, c, h, w), channels being last
    where the last axis is 1 or 3 and the second is not. uint8 images are scaled by 1/255.
    Targets of an integer, boolean or string dtype are labels; **a float dtype is a regression,
    whole numbers or not**. Nothing is unpickled.

    Raises :class:`DataError` for a file that cannot be read, missing arrays and object arrays.
    """
    arrays, names = _read(path)
    missing = [key for key in _KEYS[:2] if key not in arrays]
    if ("x_test" in arrays) != ("y_test" in arrays):
        missing += [key for key in _KEYS[2:] if key not in arrays]
    if missing:
        others = [name for name in names if name not in arrays]
        raise DataError(
            f"{path.name}: array {missing[0]!r} is missing",
            got=listed(sorted(names)) or "no arrays",
            expected="x_train and y_train, and both or none of x_test and y_test",
            remedy=did_you_mean(missing[0], others) + "Save with np.savez(file, x_train=…, …).",
        )
    images = {
        key: _images(path.name, arrays[key]) for key in ("x_train", "x_test") if key in arrays
    }
    return from_arrays(
        path.name, images["x_train"], arrays["y_train"], images.get("x_test"), arrays.get("y_test")
    )


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
    columns: tuple[str, ...] = ()
    standardise: tuple[bool, ...] = ()
    if inputs.ndim == 2:
        columns = tuple(f"x{i}" for i in range(inputs.shape[1]))
        standardise = (inputs.dtype.kind != "b",) * inputs.shape[1]
    is_labels = _is_labels(f"{name}: y", targets, labels)
    held = None if x_test is None else (_numeric(f"{name}: x_test", x_test), _texts(_array(y_test)))
    if held is not None:
        _check_like(name, inputs, held[0])
        _check_same_kind(name, targets, held[1], labels)
    integers = inputs.dtype.kind in "iu" and not (inputs.dtype == np.uint8 and inputs.ndim > 2)
    first, second = _inputs(name, inputs, columns, held and held[0])
    classes: tuple[str, ...] = ()
    if is_labels:
        values, codes = np.unique(_flat(name, targets), return_inverse=True)
        classes, first_y = class_names(values), torch.from_numpy(codes.astype(np.int64))
        second_y = held and _codes(name, values, _flat(name, held[1]))
    else:
        first_y, second_y = _targets(name, targets, held and held[1])
    return Data(
        name=name,
        x=first,
        y=first_y,
        task="classification" if is_labels else "regression",
        classes=classes,
        columns=columns,
        standardise=standardise,
        integers=integers,
        test=_part(name, second, second_y),
    )


def class_names(values: Array) -> tuple[str, ...]:
    """Label values as text; byte strings are decoded."""
    return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)


def _read(path: Path) -> tuple[dict[str, Array], list[str]]:
    """The arrays we know, and the names of all."""
    try:
        with path.open("rb") as stream:  # opened here: np.load leaves broken archives open
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, NpzFile):
                known = {key: np.asanyarray(file[key]) for key in file.files if key in _KEYS}
                return known, file.files
    except (*_BROKEN, zlib.error) as error:
        pickled = "Object arrays" in str(error)
        alien = "pickled (object) data" in str(error)  # what np.load takes unknown files for
        raise DataError(
            f"{path.name} holds an object array" if pickled else f"{path.name} cannot be read",
            got="a file that is no archive" if alien else f"{type(error).__name__}: {error}",
            expected="an .npz file of number or string arrays",
            remedy="Save with np.savez(file, x_train=…, y_train=…), with a dtype of its own each.",
        ) from error
    raise DataError(
        f"{path.name} is a single array",
        got="an .npy file",
        expected="an .npz file",
        remedy="Save with np.savez(file, x_train=…, y_train=…).",
    )


def _images(name: str, x: Array) -> Array:
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4:
        last = x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3)
        return np.moveaxis(x, -1, 1) if last else x
    if x.ndim != 2:
        raise DataError(
            f"{name}: x has a shape that is no table and no image",
            got=f"{x.ndim} dimensions, {x.shape}",
            expected="(n, features), (n, h, w), (n, c, h, w) or (n, h, w, c)",
            remedy="Reshape it; other shapes can be given as tensors from Python.",
        )
    return x


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
    if x.dtype == np.uint8 and x.ndim > 2:
        first, second = first.div_(255), None if second is None else second.div_(255)
    return first, second


def _either_needs_double(x: Array, x_test: Array | None) -> bool:
    return needs_double(x) or (x_test is not None and x_test.ndim == 2 and needs_double(x_test))


def _part(name: str, x: Tensor | None, y: Tensor | None) -> Examples | None:
    if x is None or y is None:
        return None
    check_lengths(f"{name}: x_test and y_test", x, y)
    return Examples(x, y)


def _targets(name: str, y: Array, y_test: Array | None) -> tuple[Tensor, Tensor | None]:
    """Targets of both parts, (n, n_targets) in one dtype."""
    first, second = _rows(name, y), None if y_test is None else _rows(name, y_test)
    double = _either_needs_double(first, second)
    held = None if second is None else as_tensor(second, double=double)
    return as_tensor(first, double=double), held


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
