"""All examples, batch by batch, as often as they are asked for: what sums over the data read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from shrinkage.data._load import examples
from shrinkage.data.datasets import check_indexed, is_pair, n_rows, plain_dataset, reading
from shrinkage.data.examples import Examples
from shrinkage.errors import DataError, shown

NUMBERS = 2**22  # that a batch of tensors holds at most, unless 64 rows hold more
_READ_TWICE = 8  # rows that are read twice to see whether the dataset changes them


@dataclass(frozen=True, eq=False)
class Stream:
    """``n`` examples in a fixed order; :meth:`batches` reads them all, once per call.

    Tensors are cut into batches of at most four million numbers; a DataLoader's dataset is read
    in the loader's batches, with its workers, in order, so that data larger than memory pass.
    """

    n: int
    source: Examples | DataLoader[Any]
    is_one: bool = False

    def at_once(self) -> "Stream":
        """The same examples as one batch."""
        x, y = (torch.cat(rows) for rows in zip(*self.batches(), strict=True))
        return Stream(self.n, Examples(x, y), is_one=True)

    @property
    def rows_at_once(self) -> int:
        """How many examples one may hold with all activations: at least 64."""
        if self.is_one:
            return self.n
        if isinstance(self.source, Examples):
            return max(64, NUMBERS // max(1, self.source.x[:1].numel()))
        return max(64, 16 * (self.source.batch_size or 1))

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, y) of every batch; the last one holds what is left."""
        if isinstance(self.source, Examples):
            yield from self.source.batches(self.rows_at_once)
            return
        for batch in _served(self.source):
            if not is_pair(batch) or not all(isinstance(part, Tensor) for part in batch):
                raise DataError(
                    "the DataLoader does not serve pairs (x, y)",
                    got=shown(batch),
                    expected="a tensor of inputs and one of targets in each batch",
                    remedy="Wrap its dataset in one that returns (x, y).",
                )
            x, y = batch
            yield x, y if y.is_floating_point() else y.long()

    def targets(self) -> Tensor:
        """The targets of all examples."""
        return torch.cat([y for _, y in self.batches()])

    def sample(self, size: int, seed: int = 0) -> "Stream":
        """At most ``size`` of the examples, drawn without replacement; the same for a seed."""
        if size >= self.n:
            return self
        rows = torch.randperm(self.n, generator=torch.Generator().manual_seed(seed))[:size]
        if isinstance(self.source, Examples):
            return Stream(size, Examples(self.source.x[rows], self.source.y[rows]))
        return Stream(size, _in_order(self.source, Subset(self.source.dataset, rows.tolist())))


def _served(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's batches; what its dataset raises comes out as :class:`DataError`."""
    batches = iter(loader)
    while True:
        with reading(loader.dataset):
            try:
                batch = next(batches)
            except StopIteration:
                return
        yield batch


def stream(data: object) -> Stream:
    """A :class:`Stream` of Examples, a pair (X, y), a Dataset or a DataLoader; nothing is changed.

    Raises :class:`DataError` for no examples, a DataLoader that leaves out its last batch or whose
    sampler or collate function is its own, a dataset that gives another example each time it is
    read (augmentation), and as :func:`shrinkage.data.examples` does.
    """
    if isinstance(data, Stream):
        return data
    if isinstance(data, DataLoader):
        found = _of_loader(data)
    else:
        if isinstance(data, Dataset):
            _check_fixed(data)
        rows = examples(data)
        found = Stream(len(rows), rows)
    if not found.n:
        raise DataError(
            "there are no examples",
            got="0 examples",
            expected="at least one",
            remedy="Check how the data was cut into parts.",
        )
    return found


def _of_loader(loader: DataLoader[Any]) -> Stream:
    dataset = plain_dataset(loader)
    check_indexed(dataset, "read in a fixed order")
    n = n_rows(dataset)
    if loader.drop_last and loader.batch_size and n % loader.batch_size:
        raise DataError(
            "the DataLoader drops its last batch",
            got=f"drop_last=True, which leaves out {n % loader.batch_size} of {n} examples",
            expected="every example once",
            remedy="Pass the dataset itself, or a loader with drop_last=False.",
        )
    _check_fixed(dataset)
    return Stream(n, _in_order(loader, dataset))


def _check_fixed(dataset: Dataset[Any]) -> None:
    if _changes(dataset):
        raise DataError(
            "the dataset gives another example every time it is read",
            got=f"two readings of one row of {type(dataset).__name__} that differ",
            expected="fixed examples, without random augmentation",
            remedy="Pass the dataset without its random transforms.",
        )


def _in_order(loader: DataLoader[Any], dataset: Dataset[Any]) -> DataLoader[Any]:
    """The same loading without shuffling."""
    return DataLoader(
        dataset,
        batch_size=loader.batch_size or 64,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        generator=torch.Generator(),  # PyTorch's own is left alone
    )


def _changes(dataset: Dataset[Any]) -> bool:
    """Whether a few rows differ when they are read again, under another random state."""
    for index in range(min(n_rows(dataset), _READ_TWICE)):
        with torch.random.fork_rng(devices=[]), reading(dataset):
            torch.manual_seed(2 * index)
            first = dataset[index]
            torch.manual_seed(2 * index + 1)
            again = dataset[index]
        if isinstance(first, tuple | list) and not all(map(_same, first, again)):
            return True
    return False


def _same(a: object, b: object) -> bool:
    """Whether two are equal; what cannot be compared is for others to refuse."""
    try:
        return bool(torch.equal(torch.as_tensor(a), torch.as_tensor(b)))
    except (TypeError, ValueError, RuntimeError):
        return True
