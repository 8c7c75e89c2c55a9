"""Along which axis of the outputs the classes are that labels number: PyTorch's losses say it.

For somebody's own loss it is found out: the loss is least where outputs speak for the labels.
"""

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import one_hot

from shrinkage.analysis.measures.criterion import Criterion
from shrinkage.analysis.measures.losses import is_own_code
from shrinkage.errors import ShrinkageError

_ROWS, _NUMBERS = 64, 2**20
"""Of the outputs that a loss is tried on, but two rows at least."""
_SURE = 10.0
"""The output that speaks for a label; the others are 0."""


def class_axis(criterion: Criterion, prediction: Tensor, y: Tensor, labels: Tensor) -> int | None:
    """The axis of classes, None where there is none; ``labels``: those of all rows that count."""
    sizes = list(prediction.shape)
    ends = sorted({1, prediction.ndim - 1} - {0, prediction.ndim})
    axes = [axis for axis in ends if sizes[axis] > 1 and _fits(sizes, axis, list(y.shape))]
    if not is_own_code(criterion.loss):
        return next(iter(axes), None)
    if labels.numel():
        low, high = int(labels.min()), int(labels.max())
        axes = [axis for axis in axes if low >= 0 and high < sizes[axis]]
    return _cheapest({axis: _costs(criterion, prediction, y, axis) for axis in axes})


def _fits(sizes: list[int], axis: int, y: list[int]) -> bool:
    """Whether there is a label for everything but the classes; a last axis of 1 does not count."""
    rest = [*sizes[:axis], *sizes[axis + 1 :]]
    return y in (rest, [*rest, 1])


def _cheapest(costs: Mapping[int, list[float]]) -> int | None:
    """The axis along which labels cost least, or the first of those of which nothing is known."""
    known = {axis: found for axis, found in costs.items() if found}
    meant = {axis: own for axis, (own, *others) in known.items() if own < min(others)}
    unknown = (axis for axis in costs if axis not in known)
    return min(meant, key=meant.__getitem__) if meant else next(unknown, None)


def _costs(criterion: Criterion, prediction: Tensor, y: Tensor, axis: int) -> list[float]:
    """The loss of outputs that speak for each label, and for some others; none if it is not known.

    Labels that are left out are class 0 here, which changes nothing.
    """
    count = prediction.shape[axis]
    rows = slice(min(_ROWS, max(2, _NUMBERS // max(1, prediction[:1].numel()))))
    few = y[rows]
    places = few.clamp(min=0, max=count - 1).reshape(
        [size for k, size in enumerate(prediction[rows].shape) if k != axis]
    )
    found = []
    try:
        for shift in sorted({0, 1, 2, count - 1} & set(range(count))):
            classes = one_hot((places + shift) % count, count).to(prediction.dtype)
            found.append(float(criterion(_SURE * classes.movedim(-1, axis), few)))
    except ShrinkageError:  # a loss that is bound to its rows
        return []
    return found if all(cost == cost for cost in found) else []
