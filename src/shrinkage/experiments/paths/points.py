"""What one worker does with one point of a path: fit from the point before, refit, measure."""

from dataclasses import dataclass, replace
from typing import Self
from zlib import crc32

import torch
from torch import Tensor, nn

from shrinkage.analysis.measures import evaluate, reach
from shrinkage.analysis.polish import polish, quiet
from shrinkage.compression import copies
from shrinkage.data import Examples
from shrinkage.experiments.fit import (
    DivergedError,
    Epoch,
    Treatment,
    fit,
    look,
    zeros_held,
)
from shrinkage.experiments.paths.setting import PathSetting, PointJob, refit_key
from shrinkage.experiments.paths.shrunk import shrunk
from shrinkage.experiments.paths.smooth import minimise_on_support
from shrinkage.experiments.runner import Outcome
from shrinkage.experiments.studies import evaluated, outcome
from shrinkage.plans import Plan
from shrinkage.runs import FailedPointRecord, PathFitRecord, PointRecord, ShrunkRecord

OBJECTIVE_SETTLED, SUPPORT_SETTLED = 5e-3, 0.02
_TOL = 1e-4
_ROUNDS = 500


@dataclass(frozen=True)
class Rest:
    """What has to come to rest: loss + penalty on the training part, and weights ≠ 0."""

    cost: float
    nonzeros: int

    @classmethod
    def of(cls, epoch: Epoch) -> Self:
        """What a look has seen of it."""
        return cls(epoch.parts["train"].loss + epoch.penalty, epoch.nonzeros)


@dataclass(frozen=True)
class _Fitted:
    """A network at rest: its last look, rounds of training, whether it had settled.

    ``shrunk``: what of the network was trained, see :func:`shrunk`.
    """

    last: Epoch
    rounds: int
    settled: bool
    gap: float | None = None
    shrunk: ShrunkRecord | None = None


def fit_point(setting: PathSetting, job: PointJob) -> Outcome[PathFitRecord | FailedPointRecord]:
    """Fit one point; what it came to, and the weights of the fit and of its refit.

    A fit that diverges gives a point that says so, without weights: its chain ends there.
    """
    model, plan = setting.network(job.seed, job.scale)
    if job.start is not None:
        model.load_state_dict(dict(job.start))
    split = setting.split(job.seed)
    parts = {"train": split.train, "validation": split.validation}
    try:
        found = (_polished if setting.solver == "polish" else _trained)(setting, job, plan, parts)
        weights, refit = {job.key: copied(model)}, None
        measured = outcome(model, plan, found.last, setting.data.spec)
        features = used_inputs(setting, model, job.seed)
        if setting.refit is not None and job.scale:
            again, _, last = refit_on_support(setting, job, model, parts)
            weights[refit_key(job.key)] = copied(again)
            refit = evaluated(last)
    except DivergedError as error:
        failed = FailedPointRecord(
            key=job.key, seed=job.seed, scale=job.scale, failed=error.briefly
        )
        return failed, {}
    point = PathFitRecord(
        key=job.key,
        seed=job.seed,
        scale=job.scale,
        **vars(measured),
        rounds=found.rounds,
        settled=found.settled,
        gap=found.gap,
        shrunk=found.shrunk,
        features=features,
        refit=refit,
    )
    return point, weights


def _trained(
    setting: PathSetting, job: PointJob, plan: Plan, parts: dict[str, Examples]
) -> _Fitted:
    """Train from scratch; or from the point before, in rounds, until it has settled."""
    if job.start is None:
        way = fit(
            plan,
            setting.train,
            parts,
            epochs=setting.epochs,
            seed=job.seed,
            loss=setting.loss,
            looks=1,
        )
        return _Fitted(list(way)[-1], 1, settled=True)
    small = shrunk(setting, plan, parts)
    train = {"train": small.parts["train"]}
    before = begun(setting, job, small.model, small.plan, train)
    for number in range(setting.most_rounds):
        way = fit(
            small.plan,
            setting.train,
            train,
            epochs=setting.point_epochs,
            seed=round_seed(job, number),
            treatment=Treatment(warm=True),
            loss=setting.loss,
            looks=1,
        )
        last = list(way)[-1]
        if (at_rest := settled(before, Rest.of(last))) or number + 1 == setting.most_rounds:
            break
        before = Rest.of(last)
    held = evaluate(small.model, small.parts["validation"], setting.loss)
    last = replace(last, parts={**last.parts, "validation": held})
    small.back()
    return _Fitted(last, number + 1, settled=at_rest, shrunk=small.note)


def begun(
    setting: PathSetting, job: PointJob, model: nn.Module, plan: Plan, train: dict[str, Examples]
) -> Rest:
    """The warm network under the new scale; its loss is known where it has been measured."""
    if job.loss is None:
        return Rest.of(look(model, plan, train, setting.loss, 0))
    nonzeros = sum(int(parameter.count_nonzero()) for _, _, parameter in plan.blocks())
    return Rest(job.loss + plan.value(), nonzeros)


def settled(before: Rest, after: Rest) -> bool:
    """Have objective (to half a percent) and size of the support (to two) come to rest?"""
    return (
        abs(after.cost - before.cost) <= OBJECTIVE_SETTLED * abs(before.cost)
        and abs(after.nonzeros - before.nonzeros) <= SUPPORT_SETTLED * before.nonzeros
    )


def _polished(
    setting: PathSetting, job: PointJob, plan: Plan, parts: dict[str, Examples]
) -> _Fitted:
    """Solve the point to a gap of 1e-4, in float64, from the sparser point before."""
    if job.start is None:
        empty(plan)
    model = plan.model.double()
    certificate = polish(
        model, plan, parts["train"], setting.loss, tol=_TOL, rounds=_ROUNDS, progress=quiet
    )
    last = look(model, plan, parts, setting.loss, 0)
    model.float()
    return _Fitted(last, 1, settled=certificate.gap <= _TOL, gap=certificate.gap)


@torch.no_grad()
def empty(plan: Plan) -> None:
    """Set every penalised weight to zero."""
    for _, _, parameter in plan.blocks():
        parameter.zero_()


def refit_on_support(
    setting: PathSetting, job: PointJob, model: nn.Module, parts: dict[str, Examples]
) -> tuple[nn.Module, Plan, Epoch]:
    """The network trained once more on its support, under ``refit`` times the penalty; its plan.

    Source: Meinshausen, Relaxed Lasso (2007).
    """
    again = copies.copied(model)
    plan = setting.plan(again, job.seed, job.scale * (setting.refit or 0.0))
    if setting.solver == "polish":
        minimise_on_support(again.double(), plan, parts["train"], setting.loss)
        last = look(again, plan, parts, setting.loss, 0)
        return again.float(), plan, last
    small = shrunk(setting, plan, parts, zeros_held=True)
    with zeros_held(small.plan):
        way = fit(
            small.plan,
            setting.train,
            small.parts,
            epochs=setting.point_epochs,
            seed=round_seed(job, setting.most_rounds),
            treatment=Treatment(warm=True),
            loss=setting.loss,
            looks=1,
        )
        last = list(way)[-1]
    small.back()
    return again, plan, last


def used_inputs(setting: PathSetting, model: nn.Module, seed: int) -> list[int] | None:
    """The inputs that are on a path to an output; None where the wiring is not known.

    An input that is 0 in every training row is not used, whatever its weights, which have no
    gradient: no prediction depends on it.
    """
    paths = reach(model, setting.data.spec.input_shape)
    if paths is None:
        return None
    x, used = setting.split(seed).train.x, paths.inputs.cpu()
    if x.is_floating_point():
        used = used & (x != 0).any(dim=0).cpu()
    return used.flatten().nonzero().flatten().tolist()


def ends(setting: PathSetting, fit: PointRecord) -> bool:
    """Does a chain end here? After a failed fit, and an empty network, which stays so."""
    is_empty = isinstance(fit, PathFitRecord) and not fit.weights.nonzeros
    return isinstance(fit, FailedPointRecord) or (setting.ascending and is_empty)


def copied(model: nn.Module) -> dict[str, Tensor]:
    """The network's state, apart from the network."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def round_seed(job: PointJob, number: int) -> int:
    """A seed for the shuffles of a round: of its own for every point, and the same every time."""
    return crc32(f"{job.key}/{number}".encode())
