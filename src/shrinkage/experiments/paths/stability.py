"""The stages of stability selection: half samples, the stable set, the networks of its features."""

from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict

from shrinkage.analysis.features import Features, Stability, StableSet, frequencies
from shrinkage.errors import FitError
from shrinkage.experiments.paths.setting import PathSetting
from shrinkage.experiments.paths.stable import StableJob, fit_stable
from shrinkage.experiments.paths.stacked import Walks, in_stacks, stack_size, walk_together
from shrinkage.experiments.paths.subsamples import Walk
from shrinkage.experiments.runner import JobRow, Stages, Workers
from shrinkage.progress import Progress
from shrinkage.runs import (
    FailedHalfSampleRecord,
    FailedStableRecord,
    HalfSampleRecord,
    LineRecord,
    PathFitRecord,
    Run,
    RunView,
    StableRecord,
)
from shrinkage.runs.chains import stable_key

_FAR = 2.0
"""How many times as many features as can count are far too many."""


def select_stable(stages: Stages[PathSetting], workers: Workers, scales: Sequence[float]) -> None:
    """Walk every half sample's chain, decide which features are stable, fit them alone."""
    stability, run = stages.setting.stability, stages.folder
    if stability is None:
        return
    _walk(stages, stability, workers, scales)
    if run.view().decided.stable is None:
        run.decide(stable=asdict(_stable(stability, run.view())))
    kinds, seeds = (StableRecord, FailedStableRecord), range(stages.setting.seeds)
    rows = [JobRow((stable_key(seed),), kinds, _job(seed)) for seed in seeds]
    stages.work(workers, fit_stable, "stable", rows)


def _job(seed: int) -> Callable[[RunView, str], StableJob]:
    return lambda view, _: stable_job(view, seed)


def _walk(
    stages: Stages[PathSetting], stability: Stability, workers: Workers, scales: Sequence[float]
) -> None:
    setting, run, show = stages.setting, stages.folder, stages.progress
    view = run.view()
    known = {*view.records(HalfSampleRecord), *view.records(FailedHalfSampleRecord)}
    counted = tuple(scales) if setting.ascending else _counted(stability, view, scales)
    names = {number: Walk(number, counted).key for number in range(stability.subsamples)}
    done, total = sum(name in known for name in names.values()), len(names)
    show(Progress("half samples", done, total))
    if done == total:
        return
    # Stacks are the same whatever is known of them, so that the last bits are: a stack that was
    # recorded in part is walked again.
    stacks = in_stacks(tuple(names), _stack_size(setting, run))
    left = [stack for stack in stacks if not known.issuperset(names[number] for number in stack)]
    with closing(workers.work(walk_together, [Walks(numbers, counted) for numbers in left])) as got:
        for _, points in got:
            done += _append_new(run, points, known)
            show(Progress("half samples", done, total))


def _append_new(run: Run, points: Iterable[LineRecord], known: Container[str]) -> int:
    """How many were new."""
    new = [point for point in points if point.key not in known]
    for point in new:
        run.append(point)
    return len(new)


def _stack_size(setting: PathSetting, run: Run) -> int:
    """How many half samples are walked together: what was decided stays."""
    size = run.view().decided.stack
    if size is None:
        size = stack_size(setting)
        run.decide(stack=size)
    return size


def _counted(stability: Stability, view: RunView, scales: Sequence[float]) -> tuple[float, ...]:
    """The scales of a convex path that can count: where it uses not far too many features.

    In the order of the chain. There the densest points are the dearest, and nothing hangs on them;
    a network must pass by all of them, because the fewer steps lead to a sparse one, the more
    features are lost that only fit together with others.
    """
    features, fits = Features.of(view), view.records(PathFitRecord).values()
    most = _FAR * stability.most_used(len(features))
    few = {fit.scale for fit in fits if sum(features.used(fit.features or ())) <= most}
    return tuple(scale for scale in scales if scale in few) or (max(scales),)


def _stable(stability: Stability, view: RunView) -> StableSet:
    found = frequencies(view)
    if found is None:
        raise FitError(
            "no pair of half samples could be trained",
            got="training that diverged in each",
            expected="at least one pair of chains of finite losses",
            remedy="Lower the learning rate (--lr).",
        )
    return found.stable(stability.threshold, stability.errors)


def stable_job(view: RunView, seed: int) -> StableJob:
    """A seed's densest network, which has all its weights: a sparse one may lack a feature.

    None to start from where all of the seed's fits failed.
    """
    features, stable = Features.of(view), view.decided.stable
    assert stable is not None  # noqa: S101  (select_stable)
    usable = [fit for fit in view.records(PathFitRecord).values() if fit.seed == seed]
    key = min(usable, key=lambda fit: fit.scale).key if usable else None
    inputs = [
        number
        for name, mine in zip(features.names, features.inputs, strict=True)
        if name in stable.names
        for number in mine
    ]
    start = None if key is None else view.weights(key)
    return StableJob(seed, stable.scale, start, tuple(inputs))
