"""A network on the test part."""

from dataclasses import dataclass

from shrinkage.analysis.measures import evaluate
from shrinkage.experiments.paths.setting import PathSetting
from shrinkage.experiments.runner import Outcome, Weights
from shrinkage.runs import MagnitudeRecord, PathFitRecord, RunView, StableRecord, TestRecord
from shrinkage.runs.chains import refit_key


@dataclass(frozen=True, eq=False)
class Testing:
    """A network to be tested: its seed, its name in the run folder, its weights."""

    seed: int
    name: str
    weights: Weights


def networks(view: RunView) -> dict[int, list[str]]:
    """Every network that has been stored, by seed: fits, their refits, and those beside them."""
    names: dict[int, list[str]] = {}
    for fit in view.records(PathFitRecord).values():
        refit = [] if fit.refit is None else [refit_key(fit.key)]
        names.setdefault(fit.seed, []).extend([fit.key, *refit])
    for kind in (MagnitudeRecord, StableRecord):
        for point in view.records(kind).values():
            names.setdefault(point.seed, []).append(point.key)
    return names


def on_test_part(setting: PathSetting, job: Testing) -> Outcome[TestRecord]:
    """Loss and score on the test part."""
    model = setting.build(job.seed)
    model.load_state_dict(dict(job.weights))
    result = evaluate(model, setting.split(job.seed).test, setting.loss, chunks=1)
    return TestRecord(key=job.name, loss=result.loss, score=result.score, n=result.n), {}
