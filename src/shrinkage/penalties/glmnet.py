"""glmnet's elastic net for a gaussian response, whose L2 part depends on the targets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Never, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shrinkage.errors import PenaltyError, shown, told
from shrinkage.penalties.base import Penalty, check_factor, check_strength
from shrinkage.penalties.elastic_net import ElasticNet
from shrinkage.penalties.steps import Step


@dataclass(frozen=True)
class GlmnetElasticNet(Penalty):
    """l1·Σ|w| + l2/sd(y)·Σw², where the targets y are not known yet.

    glmnet brings a gaussian response to unit variance before it penalises, and its λ back
    afterwards: by that the L2 part is divided by sd(y), the population standard deviation.
    :func:`certify`, :func:`polish`, :func:`path` and :func:`contrast` know the targets and put
    :meth:`for_targets` in its place; whatever else needs its value raises :class:`PenaltyError`.
    Source: help page of glmnet 4.1, "lambda" and "Details".
    """

    l1: float
    l2: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", check_strength("l1", self.l1))
        object.__setattr__(self, "l2", check_strength("l2", self.l2))

    def for_targets(self, targets: Callable[[], Tensor]) -> ElasticNet:
        """The elastic net for these targets."""
        return ElasticNet(l1=self.l1, l2=self.l2 / deviation(targets()))

    def value(self, w: Tensor) -> Tensor:  # noqa: ARG002
        """Unknown without the targets."""
        self._unknown()

    def prox(self, w: Tensor, step: Step) -> Tensor:  # noqa: ARG002
        """Unknown without the targets."""
        self._unknown()

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:  # noqa: ARG002
        """Unknown without the targets."""
        self._unknown()

    @property
    def parts(self) -> tuple[Penalty, ...]:
        """Unknown without the targets."""
        self._unknown()

    @property
    def slope(self) -> float:
        """l1."""
        return self.l1

    def scaled(self, factor: float) -> Self:
        """Both strengths multiplied by ``factor``."""
        factor = check_factor(factor)
        return type(self)(l1=self.l1 * factor, l2=self.l2 * factor)

    def _unknown(self) -> Never:
        raise PenaltyError(
            "the strength of glmnet's L2 part is not known",
            got="from_glmnet with alpha < 1 and without the targets",
            expected="the targets, because glmnet divides that part by their standard deviation",
            remedy="Write from_glmnet(lambda_, alpha, y=y) with the training targets.",
        )


def deviation(y: object) -> float:
    """The population standard deviation of one column of targets, in float64.

    Raises :class:`PenaltyError` for labels, several columns, a constant, and what is not finite.
    """
    values = _array(y)
    is_one = values.ndim >= 1 and values.size == values.shape[0] and values.size > 0
    is_labels = isinstance(y, Tensor) and not y.is_floating_point()
    if is_labels or values.dtype.kind not in "fiu" or not is_one:
        raise _no_response(f"{values.dtype} of shape {values.shape}")
    found = float(values.astype(np.float64).std())
    if not 0 < found < np.inf:
        raise PenaltyError(
            "y has no standard deviation to divide by",
            got=f"{found:g}",
            expected="finite targets that differ",
            remedy="glmnet cannot be run on them either.",
        )
    return found


def _array(y: object) -> NDArray[Any]:
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise _no_response("a masked array, some of whose values are hidden")
    if not isinstance(y, Tensor | Sequence) and not hasattr(y, "__array__"):
        raise _no_response(shown(y))
    try:
        if isinstance(y, Tensor):
            return (y.detach().cpu().double() if y.is_floating_point() else y.cpu()).numpy()
        return np.asarray(y)
    except Exception as error:  # an array of somebody else's may raise anything
        raise _no_response(f"{shown(y)} ({told(error)})") from error


def _no_response(got: str) -> PenaltyError:
    return PenaltyError(
        "y is no gaussian response",
        got=got,
        expected="one column of numbers, (n,) or (n, 1)",
        remedy="For class labels say family='binomial' or family='multinomial'.",
    )
