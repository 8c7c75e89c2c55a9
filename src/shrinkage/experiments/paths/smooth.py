"""Minimising where the cost is smooth: over the support, and over what has no penalty."""

import torch
from torch import Tensor, nn

from shrinkage.analysis.measures import loss_for
from shrinkage.analysis.measures.losses import Loss
from shrinkage.data import Examples
from shrinkage.experiments.fit import zeros_held
from shrinkage.plans import Plan

_STEPS = 500


def minimise_on_support(model: nn.Module, plan: Plan, train: Examples, loss: Loss | None) -> None:
    """Minimise loss + penalty over all weights that are not zero, by L-BFGS on all data.

    For networks that are affine in their parameters, in float64.
    """
    criterion = loss_for(loss, train.y)
    x, y = train.x.double(), train.y.double() if train.y.is_floating_point() else train.y
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=_STEPS,
        tolerance_grad=1e-9,
        tolerance_change=1e-13,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        cost: Tensor = criterion(model(x), y) + plan.penalty()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    with zeros_held(plan):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
