"""What the numbers of a column need: float64 or not, and whether they differ at all."""

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from shrinkage.errors import DataError

Array = NDArray[Any]

_MOVED = 1e-6
"""Of a column's spread: so far may rounding to float32 move a value."""
_ROUNDING = 8
"""Units in the last place by which the same number may differ, computed in two ways."""
_EXACT = 2**53
"""Beyond it float64 has not every whole number."""


def needs_double(x: Array) -> bool:
    """Whether a column of x (n, m) loses differences in float32.

    Whole numbers (times, dates, ids) must stay what they are; others may move by a millionth of
    their column's spread. Numbers too large for float32 are left to be reported.

    >>> needs_double(np.array([[0.1], [0.2]])), needs_double(np.array([[1e8], [1e8 + 1]]))
    (False, True)
    """
    if x.dtype.kind == "b" or (x.dtype.itemsize <= 4 and x.dtype.kind == "f") or not x.size:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        wide = x.astype(np.float64, copy=False)
        moved = np.abs(wide.astype(np.float32) - wide)
        moved = np.where(np.isfinite(moved), moved, 0.0).max(axis=0)
        some, moved = wide[:, moved > 0], moved[moved > 0]
        if not len(moved):
            return False
        varies = ~never_varies(torch.from_numpy(some)).numpy()
        whole = (np.isnan(some) | (some == np.round(some))).all(axis=0)
        spread = np.nanmax(some, axis=0) - np.nanmin(some, axis=0)
    return bool((varies & (whole | (moved > _MOVED * spread))).any())


def as_tensor(x: Array, *, double: bool) -> Tensor:
    """A copy in float64 or float32; what float32 cannot hold is inf in both, which Data reports."""
    with np.errstate(over="ignore"):
        short = np.array(x, dtype=np.float32, order="C")
    if not double:
        return torch.from_numpy(short)
    return torch.from_numpy(np.where(np.isinf(short), short, np.array(x, dtype=np.float64)))


def never_varies(x: Tensor) -> Tensor:
    """Which columns of x (n, m) hold one value, NaN aside, but for rounding in their dtype.

    Whole numbers do not come about by rounding: any difference between them counts.

    >>> never_varies(torch.tensor([[0.1 + 0.2, 1e9], [0.3, 1e9 + 1]], dtype=torch.float64))
    tensor([ True, False])
    """
    holes = x.isnan()
    low = torch.where(holes, torch.inf, x).amin(dim=0)
    high = torch.where(holes, -torch.inf, x).amax(dim=0)
    size = torch.maximum(low.abs(), high.abs())
    constant = low >= high
    if not x.is_floating_point():
        return constant
    close = high - low <= _ROUNDING * torch.finfo(x.dtype).eps * size
    for k in (close & ~constant).nonzero().flatten().tolist():
        values = x[~holes[:, k], k]
        constant[k] = not bool((values == values.round()).all())
    return constant


def check_whole(name: str, series: pl.Series) -> None:
    """Raise :class:`DataError` for whole numbers of which float64 makes several one."""
    if not series.dtype.is_integer() or series.null_count() == len(series):
        return
    ends = [int(v) for v in (series.min(), series.max())]  # type: ignore[arg-type]
    if max(map(abs, ends)) <= _EXACT:
        return
    if series.cast(pl.Float64).n_unique() < series.n_unique():
        raise DataError(
            f"{name}: column {series.name!r} holds whole numbers that float64 cannot tell apart",
            got=f"{ends[0]} to {ends[1]}",
            expected="whole numbers up to 2⁵³, or such as differ by more than rounding",
            remedy="Subtract the smallest of them, or drop the column if it is an identifier.",
        )
