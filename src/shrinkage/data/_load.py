"""From what a user names or holds to :class:`Data`."""

from pathlib import Path
from typing import Any, TypedDict

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from shrinkage.arguments import as_path, check_type
from shrinkage.data.arrays import Labels, from_arrays, tensor_of
from shrinkage.data.builtin import BUILT_IN
from shrinkage.data.datasets import is_pair, plain_dataset, stacked
from shrinkage.data.examples import Examples, check_dense
from shrinkage.data.images import read_images
from shrinkage.data.missing import Missing
from shrinkage.data.npz import read_npz
from shrinkage.data.openml import read_openml
from shrinkage.data.source import Data, Task
from shrinkage.data.tables import read_table
from shrinkage.errors import DataError, did_you_mean, shown, told

_SUFFIXES = (".npz", ".csv", ".parquet")
_SOURCES = (
    f"one of {', '.join(BUILT_IN)}, an .npz, .csv or .parquet file, "
    "a folder with one sub-folder of images per class, or openml:NAME"
)


class _OfTables(TypedDict):
    """What tables alone are read with."""

    target: str | None
    task: Task | None
    missing: Missing | None


def load(
    source: str | Path,
    *,
    target: str | None = None,
    task: Task | None = None,
    missing: Missing | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Data:
    """A data set by name or path.

    - ``digits``, ``breast_cancer``, ``wine``, ``diabetes`` (a regression): always at hand.
      A file or folder of such a name is reached as ``./digits`` or as a :class:`Path`.
    - ``.npz`` with x_train, y_train and perhaps x_test, y_test. Integer, boolean or string y is a
      classification, **float y a regression even where its values are whole numbers**.
    - ``.csv`` and ``.parquet`` with ``target``, the name of a column. Text and boolean targets,
      and integers of at most 20 distinct values, are a classification; all else a regression;
      unless ``task`` says ``"classification"`` or ``"regression"``. Missing values are refused
      unless ``missing`` says ``"drop"`` (leave their rows out) or ``"fill"`` (text: a level of its
      own; numbers: the mean of the training part, with a column of 0 and 1 that says where).
      Spaces around cells do not count; numbers with a currency or percent sign are refused.
      Whole numbers (dates, times, ids) and others far from zero keep their differences.
    - a folder with one sub-folder of images per class; ``image_size`` (pixels: a side, or height
      and width; at most 4096) resizes them.
    - ``openml:NAME`` from openml.org (needs the extra ``openml``), with or without ``target``.

    Labels of any value are numbered 0…k−1 in sorted order; ``classes`` holds their names.
    Raises :class:`DataError` for anything that cannot be read or learnt from.

    >>> load("digits").spec
    Spec(n_inputs=64, input_shape=(1, 8, 8), n_outputs=10)
    """
    source = source if isinstance(source, str) and source in BUILT_IN else _named(source)
    of_tables = _OfTables(target=target, task=task, missing=missing)
    for name, value in of_tables.items():
        check_type(f"{name} is no text", value, (str, type(None)), expected="text, or None",
                   error=DataError, remedy=f"Leave {name} out, or name it.")  # fmt: skip
    if isinstance(source, Path):
        return _read(source, of_tables, image_size)
    if source.startswith("openml:"):
        _refuse(source, image_size=image_size)
        return read_openml(source.removeprefix("openml:"), **of_tables)
    if source in BUILT_IN:
        _refuse(source, **of_tables, image_size=image_size)
        return BUILT_IN[source]()
    return _read(source, of_tables, image_size)


def from_user(data: object, *, target: str | None = None, labels: Labels = lambda _: True) -> Data:
    """Whatever a user holds, as :class:`Data`.

    A :class:`Data` is returned as it is; text and paths go to :func:`load`; a pair (X, y) of
    tensors or arrays keeps the shape of X (a 2-D X is a table, and its columns are
    standardised on the training part); a map-style torch Dataset of (x, y) pairs is read once,
    so that random augmentation is frozen; of a DataLoader its dataset is taken, and its batches
    are not. ``labels`` says of a pair or a Dataset whether integer targets of a shape are classes.

    Raises :class:`DataError` for an iterable dataset, a DataLoader whose sampler or collate
    function would change the data, and as :func:`load` does.
    """
    if isinstance(data, str | Path):
        return load(data, target=target)
    _refuse("data that is not a file", target=target)
    if isinstance(data, Data):
        return data
    if isinstance(data, DataLoader):
        return _from_dataset(plain_dataset(data), labels)
    if isinstance(data, Dataset):
        return _from_dataset(data, labels)
    if isinstance(data, tuple) and is_pair(data):
        for part in data:
            if isinstance(part, Tensor):
                check_dense("(X, y)", part)
        return from_arrays("arrays", data[0], data[1], labels=labels)
    raise DataError(
        "data of an unknown kind",
        got=shown(data),
        expected=f"{_SOURCES}; or (X, y), a torch Dataset, a DataLoader, a Data",
        remedy="Pass the pair (X, y) of arrays or tensors.",
    )


def examples(data: object) -> Examples:
    """The rows of a Dataset, a DataLoader or a pair (X, y), as they are: labels keep their numbers.

    Examples come back as they are. Raises :class:`DataError` as :func:`from_user` does, and for
    what cannot be made tensors.
    """
    if isinstance(data, Examples):
        return data
    if isinstance(data, DataLoader):
        data = plain_dataset(data)
    x, y = stacked(data) if isinstance(data, Dataset) else _pair_of(data)
    try:
        inputs, targets = tensor_of(x), tensor_of(y)
    except DataError:
        raise
    except Exception as error:  # an array of somebody else's may raise anything
        raise DataError(
            "(X, y) cannot be made tensors",
            got=f"{shown(x)}, {shown(y)} ({told(error)})",
            expected="two tensors or arrays of numbers",
            remedy="Convert them first; labels to integers.",
        ) from error
    are_labels = not (targets.is_floating_point() or targets.is_complex())
    return Examples(inputs, targets.long() if are_labels else targets)


def _named(source: object) -> str | Path:
    """What :func:`load` takes; a str stays one, because only a path is never a built-in name."""
    path = as_path("the source of the data", source, error=DataError)
    return source if isinstance(source, str) else path


def _read(source: str | Path, of_tables: _OfTables, image_size: Any) -> Data:
    """A file or folder."""
    path = _at_home(source)
    if path.is_dir():
        _refuse(str(source), **of_tables)
        return read_images(path, image_size)
    if not path.exists():
        raise _not_found(source, path)
    _refuse(str(source), image_size=image_size)
    match path.suffix.lower():
        case ".npz":
            _refuse(str(source), **of_tables)
            return read_npz(path)
        case ".csv" | ".parquet":
            return read_table(path, **of_tables)
    raise DataError(
        f"{path.name}: unknown type of file",
        got=shown(path.suffix),
        expected=_SOURCES,
        remedy="Save the data as one of these.",
    )


def _at_home(source: str | Path) -> Path:
    """The path of a source, with ~ as the folder that it stands for."""
    try:
        path = Path(source).expanduser()
    except RuntimeError as error:  # there is no such user
        raise DataError(
            "the source of the data cannot be looked for",
            got=f"{shown(str(source))} ({told(error)})",
            expected=_SOURCES,
            remedy="Check the path.",
        ) from None
    return path


def _pair_of(data: object) -> tuple[Any, Any]:
    if isinstance(data, tuple) and is_pair(data):
        return data
    if data is None:
        raise DataError(
            "there are no data",
            got="None",
            expected="a pair (X, y), a Dataset, a DataLoader or Examples",
            remedy="Pass them after the plan: certify(model, plan, (X, y)).",
        )
    raise DataError(
        "data of an unknown kind",
        got=shown(data),
        expected="Examples, a pair (X, y), a Dataset, a DataLoader, a Split, or a mapping of names "
        "to such parts",
        remedy="Pass the pair (X, y) of tensors or arrays.",
    )


def _refuse(source: str, **options: object) -> None:
    for option, value in options.items():
        if value is not None:
            tables = option in _OfTables.__annotations__
            where = ".csv, .parquet and openml:NAME" if tables else "image folders"
            raise DataError(
                f"{option} has no meaning for {source}",
                got=shown(value),
                expected=f"{option} only with {where}",
                remedy=f"Leave {option} out.",
            )


def _not_found(source: str | Path, path: Path) -> DataError:
    looks_like_path = path.suffix.lower() in _SUFFIXES or len(path.parts) > 1
    if isinstance(source, Path) or looks_like_path:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        return DataError(
            "file not found",
            got=repr(str(source)),
            expected="a file or folder that exists",
            remedy=did_you_mean(path.name, beside) + "Check the path.",
        )
    return DataError(
        "unknown data set",
        got=repr(source),
        expected=_SOURCES,
        remedy=did_you_mean(source, BUILT_IN) + "Check the spelling.",
    )


def _from_dataset(dataset: Dataset[Any], labels: Labels) -> Data:
    return from_arrays(type(dataset).__name__, *stacked(dataset), labels=labels)
