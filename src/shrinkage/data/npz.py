"""``.npz`` files as data."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

from shrinkage.data.arrays import from_arrays
from shrinkage.data.precision import Array
from shrinkage.data.source import Data
from shrinkage.errors import DataError, did_you_mean, listed

_BROKEN = (
    OSError, ValueError, EOFError, BadZipFile, MemoryError, RuntimeError, SyntaxError,
    TokenError, struct.error, OverflowError, TypeError, KeyError,
)  # fmt: skip
"""What NumPy and zipfile raise for damaged, encrypted and made-up archives."""

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
    _check_keys(path.name, arrays, names)
    for key in ("x_train", "x_test"):
        if key in arrays:
            arrays[key] = _images(path.name, arrays[key])
    return from_arrays(path.name, *map(arrays.get, _KEYS))


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


def _check_keys(name: str, arrays: Mapping[str, Array], names: list[str]) -> None:
    """Refuse a file without x and y, or with one of the two for testing."""
    missing = [key for key in _KEYS if key not in arrays]
    if missing and missing != list(_KEYS[2:]):
        others = [name for name in names if name not in arrays]
        raise DataError(
            f"{name}: array {missing[0]!r} is missing",
            got=listed(sorted(names)) or "no arrays",
            expected="x_train and y_train, and both or none of x_test and y_test",
            remedy=did_you_mean(missing[0], others) + "Save with np.savez(file, x_train=…, …).",
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
