"""Datasets and loaders of PyTorch: whether their rows can be had, and all of them at once."""

from collections.abc import Sized
from contextlib import AbstractContextManager
from typing import Any, cast

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    default_collate,
)

from shrinkage.errors import DataError, foreign_code, shown, told


def plain_dataset(loader: DataLoader[Any]) -> Dataset[Any]:
    """The dataset of a loader that serves its rows as they are; :class:`DataError` otherwise."""
    if is_iterable(loader.dataset):
        return loader.dataset
    n_rows(loader.dataset)
    changes = {
        "sampler": not _serves_all_once(loader),
        "batch_sampler": type(loader.batch_sampler) not in (BatchSampler, type(None)),
        "collate_fn": loader.batch_size is not None and loader.collate_fn is not default_collate,
    }
    for part, is_own in changes.items():
        if is_own:
            raise DataError(
                f"the DataLoader has a {part} of its own",
                got=shown(getattr(loader, part)),
                expected="a DataLoader that serves every row of its dataset once, as it is",
                remedy="Pass a Dataset that holds exactly the rows to learn from "
                "(torch.utils.data.Subset picks some).",
            )
    return loader.dataset


def _serves_all_once(loader: DataLoader[Any]) -> bool:
    """Does the sampler draw every row of the loader's dataset exactly once?"""
    sampler, n = loader.sampler, n_rows(loader.dataset)
    if type(sampler) is RandomSampler:
        return not sampler.replacement and sampler.num_samples == len(sampler.data_source) == n
    return type(sampler) is SequentialSampler and len(sampler) == n


def reading(dataset: object) -> AbstractContextManager[None]:
    """What a user's dataset raises when it is read comes out as :class:`DataError`."""
    return foreign_code(
        lambda got: DataError(
            f"{type(dataset).__name__} cannot be read",
            got=got,
            expected="a length, and a pair (x, y) at each index below it",
            remedy="Read dataset[0] by itself to see the traceback.",
        )
    )


def n_rows(dataset: object) -> int:
    """The length of a user's dataset."""
    with reading(dataset):
        return len(cast("Sized", dataset))


def is_iterable(dataset: object) -> bool:
    """Whether a dataset has no length and index, and can only be read through."""
    return isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__")


def check_indexed(dataset: Dataset[Any], what: str) -> None:
    """Raise :class:`DataError` for an iterable dataset, of which ``what`` says what it cannot."""
    if is_iterable(dataset):
        raise DataError(
            f"an iterable dataset cannot be {what}",
            got=type(dataset).__name__,
            expected="a map-style Dataset, with a length and an index",
            remedy="Read its rows once and pass the pair (X, y).",
        )


def is_pair(row: object) -> bool:
    """Whether these are two things, such as an input and its target."""
    return isinstance(row, tuple | list) and len(row) == 2


def stacked(dataset: Dataset[Any]) -> tuple[Any, Any]:
    """All rows of a map-style dataset as one x and one y."""
    check_indexed(dataset, "split")
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2:
        return dataset.tensors[0], dataset.tensors[1]
    rows = _pairs(dataset)
    try:
        x, y = default_collate(rows)
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(
            f"{type(dataset).__name__}: rows cannot be stacked",
            got=told(error),
            expected="tensors, arrays or numbers of one shape in all rows",
            remedy="Give the dataset a transform to tensors of one size.",
        ) from error
    return x, y


def _pairs(dataset: Dataset[Any]) -> list[Any]:
    """All rows; :class:`DataError` unless they are pairs."""
    with reading(dataset):
        rows = [dataset[i] for i in range(n_rows(dataset))]
    wrong = next((row for row in rows if not is_pair(row)), None)
    if wrong is not None or not rows:
        length = f" and length {len(wrong)}" if isinstance(wrong, tuple | list) else ""
        raise DataError(
            f"{type(dataset).__name__} does not hold pairs (x, y)",
            got=f"a row of type {type(wrong).__name__}{length}" if rows else "no rows",
            expected="an input and a target in each row",
            remedy="Wrap it in a Dataset that returns (x, y).",
        )
    return rows
