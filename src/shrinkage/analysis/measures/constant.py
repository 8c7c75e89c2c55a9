"""The best constant prediction: what a network without weights can do."""

from collections.abc import Callable
from math import inf, isfinite, nan

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from shrinkage.analysis.measures.criterion import Criterion
from shrinkage.analysis.measures.losses import fitting_together
from shrinkage.errors import ShrinkageError

Link = Callable[[Tensor], Tensor]

_LINKS: tuple[tuple[type[nn.Module], Link], ...] = (
    (nn.NLLLoss, lambda c: c.log_softmax(dim=1)),
    (nn.KLDivLoss, lambda c: c.log_softmax(dim=-1)),
    (nn.BCELoss, torch.sigmoid),
)
"""From any number to what the outputs of a network under this loss can be."""
_AT_REST = 1e-4
_FEW = 100
"""Outputs up to which a kinked loss is searched, one by one."""
_FAR = 100.0
"""Times the largest target: constants beyond are running away."""


def best_constant(
    criterion: Criterion, y: Tensor, shape: tuple[int, ...], at: torch.dtype
) -> float:
    """min_c mean loss(c, y) over constants c of this shape, in float64; NaN where none is found.

    By L-BFGS; where its end is no rest (kinks), by Powell's line searches from there. There is no
    minimum where outputs under the loss are not free, such as log-probabilities: those of
    ``nn.NLLLoss``, ``nn.BCELoss`` and ``nn.KLDivLoss`` are taken as what they are. A loss that
    takes no float64 is asked ``at`` the network's dtype.
    """
    try:
        return _minimum(criterion, y, shape, torch.float64)
    except ShrinkageError:  # a loss of somebody's own may fail at constants
        if at == torch.float64:
            return nan
    try:
        return _minimum(criterion, y, shape, at)
    except ShrinkageError:
        return nan


def _minimum(criterion: Criterion, y: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> float:
    constant = torch.zeros((1, *shape), dtype=dtype, device=y.device, requires_grad=True)
    targets = y.to(dtype) if y.is_floating_point() else y
    link = _link(criterion)
    optimizer = torch.optim.LBFGS([constant], max_iter=200, line_search_fn="strong_wolfe")

    def value(constant: Tensor) -> Tensor:
        return criterion(link(constant).expand(len(targets), *shape), targets)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value(constant)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad(), fitting_together():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        found = float(closure().detach())
    slope, far = float(constant.grad.abs().max()), float(constant.detach().abs().max())  # type: ignore[union-attr]
    if isfinite(found) and slope <= _AT_REST:
        return found
    if constant.numel() > _FEW or not isfinite(far):
        return nan
    reach = _FAR * (1 + (float(y.abs().max()) if y.is_floating_point() else 1.0))
    return _searched(value, constant.detach() if far < reach else 0 * constant.detach(), reach)


def _searched(value: Callable[[Tensor], Tensor], start: Tensor, bound: float) -> float:
    """The minimum near ``start``, without derivatives; NaN where it runs away."""

    def of(c: np.ndarray) -> float:
        with torch.no_grad():
            return float(value(torch.as_tensor(c).to(start).reshape(start.shape)))

    at, least = start.flatten().double().cpu().numpy(), inf
    options, bounds = {"xtol": 1e-10, "ftol": 1e-12}, [(-bound, bound)] * at.size
    for _ in range(5):
        found = minimize(of, at, method="Powell", options=options, bounds=bounds)
        at = np.atleast_1d(found.x)
        if not isfinite(found.fun) or float(np.abs(at).max()) > 0.1 * bound:
            return nan
        if least - found.fun <= 1e-9 * abs(found.fun):
            return float(min(found.fun, least))
        least = found.fun
    return nan


def _link(criterion: Criterion) -> Link:
    module = criterion.module
    if isinstance(module, nn.PoissonNLLLoss) and not module.log_input:
        return torch.exp
    return next((link for kind, link in _LINKS if isinstance(module, kind)), lambda c: c)
