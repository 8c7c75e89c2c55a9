"""Training, validation and test parts that do not leak into each other."""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shrinkage.arguments import BELOW_ONE, as_int, as_number, check_type
from shrinkage.data.examples import Examples
from shrinkage.data.precision import never_varies
from shrinkage.data.source import Data
from shrinkage.errors import DataError, listed

TEST = 0.2
"""The share of all rows that is kept for testing where nothing else is said."""

_TINY = 1e-100
"""Squares of smaller numbers are lost."""

_FEW_CLASSES = 20
_FEW = "5 or 10 folds are usual."
RowNumbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Three parts of one data set, and how columns and a regression target were scaled.

    Columns in the units of the data = x·``x_scale`` + ``x_mean``, float64 (n_columns,); None where
    none was. ``x_constant`` says which columns of a table hold one value in the training part: they
    are 0 in all parts, because how the target depends on them cannot be learnt. Target in the units
    of the data = y·``y_scale`` + ``y_mean``, and mean squared errors there are ``y_scale``² times
    those here. Several targets share one mean and one scale, so that their weights against each
    other stay. For a classification they are 0 and 1.
    """

    train: Examples
    validation: Examples
    test: Examples
    y_mean: float = 0.0
    y_scale: float = 1.0
    x_mean: Tensor | None = None
    x_scale: Tensor | None = None
    x_constant: Tensor | None = None

    def to(self, device: torch.device) -> "Split":
        """The same parts in the memory of ``device``."""
        parts = {name: getattr(self, name).to(device) for name in ("train", "validation", "test")}
        return replace(self, **parts)


def split(
    data: Data,
    seed: int,
    *,
    train_size: int | None = None,
    validation: float = 0.2,
    test: float | None = None,
    folds: int | None = None,
    as_given: bool = False,
) -> Split:
    """Cut ``data`` into disjoint parts, stratified by class.

    The test part is the same for every seed: the one that came with the data, or the fraction
    ``test`` of the rows (0.2 unless given), drawn once and for all. ``seed`` draws the fraction
    ``validation`` of the rest; what remains is for training, or ``train_size`` rows of it. Columns
    to be standardised become (x − mean)/std with mean and (population) std of *these* training
    rows, in all three parts, in float32; a column of a table that is constant there, number or not,
    is 0 in all three, so that a network's weights for it, which nothing has trained, do no harm.
    Missing values are left out of mean and std and become the mean, 0. A regression target is
    standardised in the same way, unless targets are to be left ``as_given``, which a loss of the
    user's own may need. The tensors of ``data`` are not written to.

    With ``folds`` = k the seeds 0 … k−1 are the folds of a cross-validation: what is not for
    testing is cut once into k parts, and the part ``seed`` is for validation.

    Raises :class:`DataError` for a fraction outside 0…1, fewer than two folds, a seed
    outside 0…2³²−1, an empty part,
    ``test`` beside a test part that came with the data,
    a ``train_size`` below the number of classes or above the training part, and classes with
    too few rows to be in every part that needs them.
    """
    check_type("this is no data set", data, Data, expected="a Data", error=DataError,
               remedy="Make one: data = sh.data.from_user((X, y)).")  # fmt: skip
    drawn = share_for_test(data, test)
    share = _share("test", 0 if drawn is None else drawn)
    validation, seed = _share("validation", validation), _checked_seed(seed)
    labels = data.y.cpu().numpy() if data.task == "classification" else None
    cut = _Cut(data.name, labels, data.classes)
    rest, held = _held_out(data, cut, share)
    if folds is None:
        train, valid = cut.draw(rest, ceil(validation * len(rest)), seed, "validation")
    else:
        train, valid = cut.fold(rest, folds, seed)
    if train_size is not None:
        train = cut.keep(train, train_size, seed)
    cut.check_train(train)
    parts = _take(data, train), _take(data, valid), held
    return _standardised(data, parts, target=data.task == "regression" and not as_given)


def share_for_test(data: Data, test: float | None) -> float | None:
    """The fraction to draw for testing, 0.2 unless given; None where the data bring the part.

    Raises :class:`DataError` for a fraction beside a test part that came with the data.
    """
    if data.test is None:
        return TEST if test is None else test
    if test is not None:
        raise DataError(
            "test has no meaning for data with a test part of their own",
            got=f"test={test} for {data.name}, which brings {len(data.test)} rows for testing",
            expected="no share to draw",
            remedy="Leave test out.",
        )
    return None


@dataclass(frozen=True, eq=False)
class _Cut:
    """Draws rows, stratified where there are labels."""

    name: str
    labels: RowNumbers | None
    classes: tuple[str, ...]

    def draw(
        self, rows: RowNumbers, size: int, seed: int, part: str
    ) -> tuple[RowNumbers, RowNumbers]:
        """(The other rows, ``size`` rows for ``part``)."""
        left = len(rows) - size
        least = 1 if self.labels is None else len(self.classes)
        if self.labels is not None and 2 * least > max(_FEW_CLASSES, len(rows)):
            raise DataError(
                f"{self.name}: the target is no classification",
                got=f"{least} classes in {len(rows)} rows: {listed(list(self.classes), 4)}",
                expected="classes that two rows or more share",
                remedy="Of a quantity make a regression (--task regression; float targets in "
                "Python). An identifier says nothing about new rows: name another target.",
            )
        if size < least or left < least:
            raise DataError(
                f"{self.name}: too few rows for a {part} part",
                got=f"{size} of {len(rows)} rows, and {left} for the others",
                expected=f"at least {least} in each"
                + ("" if self.labels is None else ", one per class"),
                remedy=f"Change the fraction {part}, or bring more rows.",
            )
        labels = None if self.labels is None else self.labels[rows]
        if labels is not None:
            self._check_pairs(labels, part)
        return _shared_out(rows, left, labels, seed)

    def fold(self, rows: RowNumbers, folds: int, number: int) -> tuple[RowNumbers, RowNumbers]:
        """(The other rows, the rows of fold ``number`` of ``folds``)."""
        labels = None if self.labels is None else self.labels[rows]
        least = len(rows) if labels is None else int(np.bincount(labels).min())
        folds = as_int("folds", folds, remedy=_FEW, error=DataError)
        if not 2 <= folds <= least or not number < folds:
            raise DataError(
                f"{self.name}: folds do not fit",
                got=f"{folds} folds, fold {number}",
                expected=f"2 to {least} folds"
                + ("" if labels is None else ", because every class must be in each"),
                remedy="Take fewer folds, or bring more rows"
                + ("." if labels is None else " of the rarest class."),
            )
        return _folds(rows, folds, labels)[number]

    def keep(self, rows: RowNumbers, size: int, seed: int) -> RowNumbers:
        """``size`` of the training rows."""
        least = 1 if self.labels is None else len(self.classes)
        remedy = "Leave train_size out to train on all of them."
        size = as_int("train_size", size, remedy=remedy, error=DataError)
        if not least <= size <= len(rows):
            raise DataError(
                f"{self.name}: train_size does not fit",
                got=size,
                expected=f"between {least} and {len(rows)}, the rows left for training",
                remedy=remedy,
            )
        if size == len(rows):
            return rows
        labels = None if self.labels is None else self.labels[rows]
        if len(rows) - size < least:  # too few rows to leave one of each class aside
            labels = None
        if labels is not None:
            self._check_pairs(labels, "training")
        return _shared_out(rows, size, labels, seed)[0]

    def check_train(self, rows: RowNumbers) -> None:
        """Every class must have a row to learn from."""
        if self.labels is None:
            return
        counts = np.bincount(self.labels[rows], minlength=len(self.classes))
        lost = [repr(self.classes[i]) for i in np.flatnonzero(counts == 0)]
        if lost:
            raise DataError(
                f"{self.name}: classes without a row for training",
                got=listed(lost),
                expected="at least one row of every class",
                remedy="Raise train_size, drop these classes, or bring more rows of them.",
            )

    def _check_pairs(self, labels: RowNumbers, part: str) -> None:
        counts = np.bincount(labels, minlength=len(self.classes))
        small = [f"{self.classes[i]!r} ({counts[i]})" for i in np.flatnonzero(counts < 2)]
        if small:
            raise DataError(
                f"{self.name}: classes too small to be shared out for a {part} part",
                got=f"{listed(small)} rows left",
                expected="at least 2 rows of every class",
                remedy="Drop or merge these classes, or bring more rows of them; "
                "a target that is a quantity should be of a float type (of a table: "
                "load(…, task='regression')).",
            )


def _shared_out(
    rows: RowNumbers, size: int, labels: RowNumbers | None, seed: int
) -> tuple[RowNumbers, RowNumbers]:
    """(``size`` of the rows, the others); scikit-learn takes a second to import: only here."""
    from sklearn.model_selection import train_test_split

    first, second = train_test_split(
        rows, train_size=size, test_size=len(rows) - size, random_state=seed, stratify=labels
    )
    return first, second


def _folds(
    rows: RowNumbers, folds: int, labels: RowNumbers | None
) -> list[tuple[RowNumbers, RowNumbers]]:
    """(Training rows, validation rows) of each fold, the same for every call."""
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = KFold if labels is None else StratifiedKFold
    cutter = kind(n_splits=folds, shuffle=True, random_state=0)
    return [(rows[a], rows[b]) for a, b in cutter.split(rows, labels)]


def _share(part: str, share: object) -> float:
    expected = "a part of the rows, above 0 and below 1"
    return as_number(f"the fraction {part}", share, least=0, most=BELOW_ONE, expected=expected,
                     remedy="The default is 0.2.", error=DataError)  # fmt: skip


def _checked_seed(seed: object) -> int:
    expected = "a whole number from 0 to 2³²−1"
    return as_int(
        "seed", seed, most=2**32 - 1, expected=expected, remedy="Use 0, 1, 2, …", error=DataError
    )


def _held_out(data: Data, cut: _Cut, share: float) -> tuple[RowNumbers, Examples]:
    """The rows that are not for testing, and the test part: the data's own, or drawn."""
    rows: RowNumbers = np.arange(len(data), dtype=np.int64)
    if data.test is not None:
        return rows, data.test
    rest, drawn = cut.draw(rows, ceil(share * len(rows)), 0, "test")
    return rest, _take(data, drawn)


def _take(data: Data, rows: RowNumbers) -> Examples:
    index = torch.from_numpy(rows)
    return Examples(data.x[index], data.y[index])


def _standardised(data: Data, parts: tuple[Examples, Examples, Examples], *, target: bool) -> Split:
    train = parts[0]
    numbers = data.standardise or (False,) * len(data.columns)
    x_mean, x_scale = _moments(train.x, numbers)
    is_table = bool(data.columns or data.standardise) and train.x.is_floating_point()
    constant = never_varies(train.x) if is_table else torch.zeros((), dtype=torch.bool)
    y_mean, y_scale = 0.0, 1.0
    if target:
        mean, scale = _moments(train.y.reshape(-1, 1), (True,))
        y_mean, y_scale = float(mean), float(scale)
    is_scaled = any(numbers) or bool(constant.any())

    def scaled(part: Examples) -> Examples:
        x, y = part.x, part.y
        if is_scaled:
            x = ((x.double() - x_mean) / x_scale).float()
            x = torch.where(constant | (x.isnan() if data.holes else constant), 0.0, x)
        if target:
            y = ((y.double() - y_mean) / y_scale).float()
        return Examples(x, y)

    first, second, third = (scaled(part) for part in parts)
    if not is_scaled:
        return Split(first, second, third, y_mean, y_scale)
    return Split(first, second, third, y_mean, y_scale, x_mean, x_scale, constant)


def _moments(x: Tensor, chosen: tuple[bool, ...]) -> tuple[Tensor, Tensor]:
    """(mean, scale) of each column in float64, NaN left out; 0 and 1 where not chosen.

    Of a constant column the scale is 1; of one without a value the mean is 0 too. Numbers that need
    float64 are counted from the first of them: sums of numbers far from zero lose what tells them
    apart.
    """
    if not chosen:
        return torch.zeros(()), torch.ones(())
    mask, constant = torch.tensor(chosen, device=x.device), never_varies(x)
    first, unit = _first_present(x).double(), _unit(x)
    start = first if x.dtype == torch.float64 else torch.zeros_like(first)
    wide = (x.double() - start) / unit
    mean, std = (
        _moments_of_present(wide)
        if bool(wide.isnan().any())
        else (wide.mean(dim=0), wide.std(dim=0, correction=0))
    )
    mean = torch.where(constant, first, start + mean * unit)
    return torch.where(mask, mean, 0.0), torch.where(mask & ~constant, std * unit, 1.0)


def _unit(x: Tensor) -> Tensor:
    """1 for each column; its largest number where that is so small that squares would be 0."""
    largest = x.nan_to_num(0.0).abs().amax(dim=0).double()
    return torch.where((largest > 0) & (largest < _TINY), largest, 1.0)


def _first_present(x: Tensor) -> Tensor:
    """The first number of each column that is not NaN; 0 where there is none."""
    first = (~x.isnan()).int().argmax(dim=0)
    return x[first, torch.arange(x.shape[1], device=x.device)].nan_to_num(0.0)


def _moments_of_present(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of what is not NaN."""
    count = (~x.isnan()).sum(dim=0).clamp(min=1)
    mean = x.nansum(dim=0) / count
    return mean, ((x - mean).square().nansum(dim=0) / count).sqrt()
