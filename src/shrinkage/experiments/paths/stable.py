"""The networks of the stable features: the densest one without its other inputs, refit."""

from dataclasses import dataclass

import torch
from torch import nn

from shrinkage.analysis.features import first_layers
from shrinkage.analysis.measures import reach
from shrinkage.compression import copies
from shrinkage.errors import FitError
from shrinkage.experiments.fit import DivergedError
from shrinkage.experiments.paths.points import copied, refit_on_support, used_inputs
from shrinkage.experiments.paths.setting import PathSetting, PointJob
from shrinkage.experiments.runner import Outcome, Weights
from shrinkage.experiments.studies import outcome
from shrinkage.plans import Plan
from shrinkage.runs import FailedStableRecord, ScaleRecord, StableRecord
from shrinkage.runs.chains import stable_key

_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class StableJob:
    """The weights of a dense network (None: all failed), the inputs to keep, and their scale."""

    seed: int
    scale: float
    start: Weights | None
    inputs: tuple[int, ...]

    @property
    def key(self) -> str:
        """The name of the fit in the run folder."""
        return stable_key(self.seed)


def fit_stable(setting: PathSetting, job: StableJob) -> Outcome[ScaleRecord]:
    """Set the first layers' weights of all other inputs to zero, and refit what is left."""
    if job.start is None:
        return _failed(job, "no network of this seed could be trained"), {}
    model, _ = setting.network(job.seed, job.scale)
    model.load_state_dict(dict(job.start))
    keep_inputs(model, setting.data.spec.input_shape, job.inputs)
    check_reads_only(model, setting.data.spec.input_shape, job.inputs)
    split = setting.split(job.seed)
    parts = {"train": split.train, "validation": split.validation}
    try:
        again, plan, last = refit_on_support(setting, PointJob(job.seed, job.scale), model, parts)
    except DivergedError as error:
        return _failed(job, error.briefly), {}
    point = StableRecord(
        key=job.key,
        seed=job.seed,
        scale=job.scale,
        **vars(outcome(again, plan, last, setting.data.spec)),
        features=used_inputs(setting, again, job.seed),
    )
    return point, {job.key: copied(again)}


def _failed(job: StableJob, why: str) -> FailedStableRecord:
    return FailedStableRecord(key=job.key, seed=job.seed, scale=job.scale, failed=why)


@torch.no_grad()
def keep_inputs(model: nn.Module, input_shape: tuple[int, ...], inputs: tuple[int, ...]) -> None:
    """Set the weights of all inputs but these to zero, in the layers that the inputs enter.

    Those of the kept inputs that are zero become tiny: a zero would be held at zero by the refit.
    """
    for name in first_layers(model, input_shape):
        weight = model.get_parameter(f"{name}.weight".strip("."))
        others = torch.ones(weight.shape[1], dtype=torch.bool, device=weight.device)
        others[list(inputs)] = False
        weight[:, others] = 0.0
        weight[(weight == 0) & ~others] = _TINY


def check_reads_only(
    model: nn.Module, input_shape: tuple[int, ...], inputs: tuple[int, ...]
) -> None:
    """Raise :class:`FitError` where a network uses others than these inputs."""
    paths = reach(model, input_shape)
    if paths is None:
        return
    others = set(paths.inputs.flatten().nonzero().flatten().tolist()) - set(inputs)
    if others:
        raise FitError(
            "a network cannot be confined to the stable features",
            got=f"another layer that reads the inputs too, {len(others)} of those to be dropped",
            expected="inputs that enter dense first layers alone, each by a column of its own",
            remedy="Leave out the way past the first layer, or stability selection.",
        )


def check_selects_inputs(plan: Plan, input_shape: tuple[int, ...]) -> None:
    """Raise :class:`FitError` unless the plan can drop inputs, and these leave nothing behind."""
    first = [f"{name}.weight".strip(".") for name in first_layers(plan.model, input_shape)]
    kinked = [entry.path for entry, penalty, _ in plan.blocks() if penalty.slope]
    missing = [name for name in first if name not in kinked]
    if missing:
        got = f"no penalty with a kink on {missing[0]}"
    elif not first:
        got = "no dense first layer"
    elif reach(plan.model, input_shape) is None:
        got = "a forward pass whose wiring is not known"
    else:
        got = None
    if got is not None:
        raise FitError(
            "stability selection needs a penalty that drops inputs",
            got=got,
            expected="a network whose first layer is dense, penalised by L1 or GroupL1",
            remedy='Pass "features" for the penalty (--penalty features).',
        )
    bare = copies.copied(plan.model)
    keep_inputs(bare, input_shape, ())
    check_reads_only(bare, input_shape, ())
