"""A data set: inputs, targets, their names; not yet cut into parts."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from shrinkage.arguments import as_choice
from shrinkage.data.examples import Examples, Spec, check_lengths, swapped
from shrinkage.data.precision import never_varies
from shrinkage.errors import DataError, listed, shown

_ONE_HOT = re.compile(r"(.+?)(?<![<>!])=", re.DOTALL)
"""``name=value``; ``<=``, ``>=`` and ``!=`` are comparisons, and a feature each."""

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Data:
    """Everything that may be cut into parts, checked when it is made.

    ``x`` is float (n, *input_shape); ``y`` is int64 (n,) with values 0…k−1 for the k ``classes``,
    or float (n, n_targets) for regression. Float64 holds numbers that differ by less than float32
    can tell: they are standardised before a network sees them. ``columns`` names the input features
    of a table (``"age"``, ``"colour=red"``), and is empty for images. ``standardise`` says which
    columns are numbers to be centred and scaled on the training part; empty: none. ``origins`` says
    which column of a table each of them was made from; empty: what stands before the ``=`` of those
    that are not standardised. ``holes``: whether NaN in such columns is a missing value, which
    becomes the mean of the training part. ``integers``: x was given so, and may be ids
    (:meth:`as_ids`). ``test`` is a test part that came with the data; without one, :func:`split`
    draws it.

    Raises :class:`DataError` for lengths or shapes that do not agree, no rows, NaN or infinite
    values, labels outside 0…k−1, fewer than two classes, a regression target of one value, and
    a label in the test part that the other rows do not have.
    """

    name: str
    x: Tensor
    y: Tensor
    task: Task
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    standardise: tuple[bool, ...] = ()
    origins: tuple[str, ...] = ()
    holes: bool = False
    integers: bool = False
    test: Examples | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        check_lengths(f"{self.name}: x and y", self.x, self.y)
        _check_task(self)
        _check_size(self)
        _check_columns(self)
        _check_values(self, self.x, self.y, "")
        if self.test is not None:
            _check_same_shape(self, self.test)
            _check_values(self, self.test.x, self.test.y, " (test part)")
        (_check_labels if self.task == "classification" else _check_targets)(self)

    def __len__(self) -> int:
        return len(self.x)

    def first(self, count: int) -> Tensor:
        """Inputs of the first rows, as a network may see them: 0 where a value is missing."""
        x = self.x[:count].float() if any(self.standardise) else self.x[:count]
        return x.nan_to_num(0.0) if self.holes else x

    @property
    def spec(self) -> Spec:
        """What a factory of networks needs to know: sizes of input and output."""
        shape = tuple(self.x.shape[1:])
        outputs = len(self.classes) if self.task == "classification" else self.y.shape[1]
        return Spec(n_inputs=prod(shape), input_shape=shape, n_outputs=outputs)

    @property
    def features(self) -> tuple[str, ...]:
        """The feature that each input belongs to: the one-hot columns of one column are one.

        >>> x, y = torch.eye(3), torch.tensor([0, 1, 0])
        >>> columns = ("age<=9", "hue=blue", "hue=red")
        >>> Data("a", x, y, "classification", ("no", "yes"), columns).features
        ('age<=9', 'hue', 'hue')
        """
        if self.origins:
            return self.origins
        numbers = self.standardise or (False,) * len(self.columns)
        pairs = zip(self.columns, numbers, strict=True)
        return tuple(
            column if number or not (found := _ONE_HOT.match(column)) else found[1]
            for column, number in pairs
        )

    def as_ids(self) -> "Data":
        """The same with x as it was given, int64: numbers of tokens or levels, not quantities."""
        test = self.test and Examples(self.test.x.long(), self.test.y)
        return replace(self, x=self.x.long(), standardise=(), test=test)

    @property
    def is_image(self) -> bool:
        """True where an input is (channels, height, width)."""
        return self.x.ndim == 4

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex) over task, classes, columns, shapes, dtypes and bytes; not over ``name``.

        A file that is moved or renamed is the same data.
        """
        digest = hashlib.sha256()
        digest.update(repr((self.task, self.classes, self.columns, self.standardise)).encode())
        parts = [self.x, self.y]
        parts += [self.test.x, self.test.y] if self.test is not None else []
        for tensor in parts:
            digest.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()


def _check_types(data: Data) -> None:
    texts = {"classes": data.classes, "columns": data.columns, "origins": data.origins}
    for name, value, fits, expected in (
        ("name", data.name, isinstance(data.name, str), "text"),
        *((k, v, _all_of(v, str), "a tuple of texts") for k, v in texts.items()),
        ("standardise", data.standardise, _all_of(data.standardise, bool), "a tuple of flags"),
        ("holes", data.holes, isinstance(data.holes, bool), "True or False"),
        ("test", data.test, isinstance(data.test, Examples | None), "Examples, or None"),
    ):
        if not fits:
            raise DataError(
                f"{name} of the data is of the wrong type",
                got=shown(value),
                expected=expected,
                remedy="from_user((x, y)) makes all of it.",
            )


def _all_of(value: object, kind: type) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(one, kind) for one in value)


def _check_task(data: Data) -> None:
    remedy = "Labels are a classification, numbers a regression."
    as_choice(f"{data.name}: task", data.task, get_args(Task), remedy=remedy, error=DataError)
    x, y = data.x, data.y
    if not (x.is_floating_point() or (data.integers and x.dtype == torch.int64)):
        raise _unfit(data, "x", "a float tensor")
    if data.task == "classification" and (y.dtype != torch.int64 or y.ndim != 1):
        raise _unfit(data, "y", "int64 labels of shape (n,)")
    if data.task == "regression" and not (y.is_floating_point() and y.ndim == 2):
        raise _unfit(data, "y", "float targets of shape (n, n_targets)")


def _unfit(data: Data, what: str, expected: str) -> DataError:
    tensor = getattr(data, what)
    return DataError(
        f"{data.name}: {what} does not fit a {data.task}",
        got=f"{tensor.dtype} of shape {tuple(tensor.shape)}",
        expected=expected,
        remedy="from_user((x, y)) converts arrays and tensors.",
    )


def _check_size(data: Data) -> None:
    if data.x.ndim < 2 or data.x.numel() == 0:
        raise DataError(
            f"{data.name} holds nothing to learn from",
            got=f"x of shape {tuple(data.x.shape)}",
            expected="at least one row, and one feature or pixel in each",
            remedy=swapped(data.x, data.y)
            or "x needs a row per example: reshape a single feature to (n, 1).",
        )


def _check_columns(data: Data) -> None:
    twice = [column for column, count in Counter(data.columns).items() if count > 1]
    if twice:
        raise DataError(
            f"{data.name}: two inputs have one name",
            got=listed(map(repr, twice)),
            expected="a name of its own for every input; levels of a column are COLUMN=LEVEL",
            remedy="Rename the column, or the level.",
        )
    for what in ("columns", "standardise", "origins"):
        names = getattr(data, what)
        if names and (data.x.ndim != 2 or len(names) != data.x.shape[1]):
            raise DataError(
                f"{data.name}: {what} does not fit x",
                got=f"{len(names)} entries for x of shape {tuple(data.x.shape)}",
                expected="one entry per feature of a table, or none",
                remedy=f"Leave {what} empty for images.",
            )


def _check_same_shape(data: Data, test: Examples) -> None:
    for what, ours, theirs in (("x", data.x, test.x), ("y", data.y, test.y)):
        if ours.shape[1:] != theirs.shape[1:] or ours.dtype != theirs.dtype:
            raise DataError(
                f"{data.name}: {what} of the test part has another shape",
                got=f"rows of shape {tuple(theirs.shape[1:])}, {theirs.dtype}",
                expected=f"{tuple(ours.shape[1:])}, {ours.dtype} as in the other rows",
                remedy="Prepare both parts in the same way.",
            )
    if not len(test):
        raise DataError(
            f"{data.name}: the test part is empty",
            got="0 rows",
            expected="at least one",
            remedy="Leave the test part out: split() draws one.",
        )


def _check_values(data: Data, x: Tensor, y: Tensor, where: str) -> None:
    for what, tensor, names in (("x", x, data.columns), ("y", y, ())):
        wrong = ~tensor.isfinite()
        if what == "x" and data.holes and data.standardise:
            wrong &= ~(tensor.isnan() & torch.tensor(data.standardise, device=tensor.device))
        if wrong.any():
            counts = wrong.sum(dim=0).tolist() if names else []
            named = [f"{name!r} ({n})" for name, n in zip(names, counts, strict=False) if n]
            raise DataError(
                f"{data.name}: {what} holds NaN or infinite values{where}",
                got=f"{int(wrong.sum())} of {tensor.numel()}"
                + (f", in {listed(named)}" if named else ""),
                expected="finite float32 numbers",
                remedy="Drop those rows or fill the values in before; divide those beyond 3.4e38.",
            )


def _check_labels(data: Data) -> None:
    found, k = _distinct(data.y), len(data.classes)
    if found[0] < 0 or found[-1] >= k:
        raise DataError(
            f"{data.name}: labels outside the classes",
            got=f"labels {found[0]} to {found[-1]} with {k} classes",
            expected="labels 0 to k−1 for k classes",
            remedy="from_user((x, y)) numbers labels of any value.",
        )
    if len(found) < 2:
        raise DataError(
            f"{data.name}: fewer than two classes",
            got=listed([repr(data.classes[label]) for label in found]),
            expected="a target of at least two classes",
            remedy="There is nothing to tell apart: choose another target.",
        )
    if data.test is not None:
        _check_seen(data, set(_distinct(data.test.y)).difference(found))


def _check_seen(data: Data, unseen: set[int]) -> None:
    """Refuse labels that only the test part has."""
    if unseen:
        known = range(len(data.classes))
        names = [repr(data.classes[i]) if i in known else str(i) for i in sorted(unseen)]
        raise unseen_labels(data.name, names)


def _distinct(labels: Tensor) -> list[int]:
    return [int(label) for label in np.unique(labels.cpu().numpy())]


def _check_targets(data: Data) -> None:
    if bool(never_varies(data.y).all()):
        raise DataError(
            f"{data.name}: the regression target is constant",
            got=f"{data.y[0].tolist()} in every row",
            expected="a target that varies",
            remedy="There is nothing to predict: choose another target.",
        )


def unseen_labels(name: str, labels: list[str]) -> DataError:
    """The error for labels (already as text) that only the test part has."""
    return DataError(
        f"{name}: test labels that never occur in training",
        got=listed(labels),
        expected="the labels of the training part",
        remedy="Drop those test rows, or put examples of them into the training part.",
    )
