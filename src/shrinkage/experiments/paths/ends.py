"""Where a path begins and ends: from the scale that leaves everything to the one that empties."""

from collections.abc import Iterator
from copy import deepcopy
from math import inf

import torch
from torch import nn
from torch.func import functional_call

from shrinkage.analysis.objectives import Objective
from shrinkage.errors import RAISED, FitError, told, warn
from shrinkage.experiments.fit import Treatment, fit
from shrinkage.experiments.paths.points import empty
from shrinkage.experiments.paths.setting import PathSetting
from shrinkage.experiments.paths.smooth import minimise_on_support
from shrinkage.experiments.runner import Weights
from shrinkage.penalties import Penalty
from shrinkage.plans import Plan

_FACTOR = 4.0
_FIRST, _LAST = 1e-8, 1e8
"""Slopes between which a network is searched for its ends."""
_LEFT = 0.99
"""The share of weights that the weakest scale leaves."""
_STEPS = 150
"""Optimizer steps of the sweep at each scale, about: short, and yet a threshold sums up."""
_SHARE = 1e-3
"""The weakest scale of a convex path, as a share of the strongest, as glmnet has it."""
_CLOSE = 1e-6
"""A gradient is rounded: the scale that empties is taken a millionth stronger."""


def is_affine(model: nn.Module, x: torch.Tensor) -> bool:
    """Whether the prediction is an affine function of the parameters, as far as two points tell.

    Then a convex loss + a convex penalty has one minimum. Tested at random parameters:
    f((a + b)/2) = (f(a) + f(b))/2, in float64. A network that is another one while it trains
    (dropout, statistics of a batch) is not taken for affine, nor one that cannot be asked so.
    """
    try:
        return _is_affine(deepcopy(model).double().train(), x.double())
    except RAISED:  # one that casts to float32, say, or is no function of any numbers
        return False


def warn_of_single(model: torch.nn.Module, x: torch.Tensor) -> None:
    """Say so where a network would be solved exactly, did its code take double precision."""
    try:
        deepcopy(model).double()(x.double())
    except RAISED as error:  # a user's forward may raise anything
        why = told(error)
    else:
        return
    try:
        would_be = _is_affine(deepcopy(model).train(), x, 1e-4)
    except RAISED:  # no function of any numbers
        return
    if would_be:
        warn(
            "the network is linear in its parameters and is yet trained, not solved exactly: its "
            f"code does not take double precision ({why}). Let it follow x.dtype",
        )


def _is_affine(copy: torch.nn.Module, x: torch.Tensor, tolerance: float = 1e-9) -> bool:
    generator = torch.Generator().manual_seed(0)
    points = [
        {
            name: torch.randn(p.shape, generator=generator, dtype=torch.float64, device="cpu").to(p)
            for name, p in copy.named_parameters()
        }
        for _ in range(2)
    ]
    middle = {name: (points[0][name] + points[1][name]) / 2 for name in points[0]}
    with torch.no_grad():
        a, b, c = (functional_call(copy, point, (x,)) for point in (*points, middle))
        copy.eval()
        if not isinstance(a, torch.Tensor):
            return False
        used = functional_call(copy, middle, (x,))
    return all(
        torch.allclose(one, other, rtol=tolerance, atol=tolerance)
        for one, other in (((a + b) / 2, c), (c, used))
    )


def convex_ends(setting: PathSetting, seed: int) -> tuple[float, float]:
    """The ends of a convex path: a thousandth of the smallest scale that empties, and that scale.

    At w = 0, with unpenalised parameters fitted, all is stationary from the scale
    max over blocks of ‖∇loss‖ / slope on. Raises :class:`FitError` where that is not a number.
    """
    model, plan = setting.network(seed, 1.0)
    model.double()
    train = setting.split(seed).train
    empty(plan)
    minimise_on_support(model, plan.scaled(0.0), train, setting.loss)
    objective = Objective(model, plan, train, setting.loss)
    with objective.evaluating():
        _, gradient = objective.gradient()
    scale = max(
        _emptying(block.entry.penalty, block.entry.grouping.view(g))
        for block, g in zip(objective.blocks, gradient, strict=True)
        if block.entry.penalty is not None
    )
    if not 0 < scale < inf:
        raise _never_empty(setting)
    return scale * _SHARE, scale * (1 + _CLOSE)


def _emptying(penalty: Penalty, gradient: torch.Tensor) -> float:
    return penalty.strength_max(gradient) / penalty.slope if penalty.slope else inf


def swept_ends(setting: PathSetting, seed: int, dense: Weights) -> tuple[float, float]:
    """The ends of a network's path, by a quick sweep from its trained dense weights.

    The gradient at w = 0 says nothing here: behind a layer of zeros it vanishes, and so does the
    scale it would give. So scales rise by factors of 4, each with a short training: the last one
    that leaves 99 % of the weights is the weakest, the first one that empties the network the
    strongest. Raises :class:`FitError` for rules that no scale empties.
    """
    weakest = None
    for scale, left in _sweep(setting, seed, dense):
        if weakest is None or left >= _LEFT:
            weakest = scale
        if left == 0:
            return weakest, scale
    raise _never_empty(setting)


def _sweep(setting: PathSetting, seed: int, dense: Weights) -> Iterator[tuple[float, float]]:
    """(scale, share of the weights left) from weak to strong."""
    model, plan = setting.network(seed, 1.0)
    model.load_state_dict(dict(dense))
    slopes = [penalty.slope for _, penalty, _ in plan.blocks()]
    split = setting.split(seed)
    epochs = min(1.0, _STEPS * 32 / len(split.train))
    scale, last = _FIRST / min(slopes), _LAST / min(slopes)
    while scale <= last:
        way = fit(
            setting.plan(model, seed, scale),
            setting.train,
            {"train": split.train},
            epochs=epochs,
            seed=seed,
            treatment=Treatment(warm=True),
            loss=setting.loss,
            looks=1,
        )
        yield scale, list(way)[-1].nonzeros / plan.n_penalised
        scale *= _FACTOR


def check_ends(setting: PathSetting, plan: Plan) -> None:
    """Raise :class:`FitError` where ends are to be found and no scale empties the network."""
    grid = setting.grid
    found = grid.weakest is None or grid.strongest is None
    if found and not all(penalty.slope for _, penalty, _ in plan.blocks()):
        raise _never_empty(setting)


def _never_empty(setting: PathSetting) -> FitError:
    return FitError(
        "no scale empties the network",
        got=", ".join(str(rule.penalty) for rule in setting.rules.rules),
        expected="penalties with a kink at zero on the penalised weights",
        remedy="Give both ends (--from, --to), or add an L1 part.",
    )
