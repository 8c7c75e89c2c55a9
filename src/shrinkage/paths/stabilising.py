"""The stages of stability selection: half samples, the stable set, the networks of its features."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from shrinkage.errors import FitError
from shrinkage.features import Features, Stability, StableSet, frequencies
from shrinkage.paths.engines import Workers
from shrinkage.paths.setting import Setting
from shrinkage.paths.stable import StableJob, fit_stable
from shrinkage.paths.subsamples import Walk, walk
from shrinkage.progress import Progress
from shrinkage.runs import Run, RunView
from shrinkage.studies import stable_key

Show = Callable[[Progress], None]

_FAR = 4.0
"""How many times as many features as can count are far too many."""


def select_stable(
    setting: Setting, run: Run, workers: Workers, show: Show, scales: Sequence[float]
) -> None:
    """Walk every half sample's chain, decide which features are stable, fit them alone."""
    stability = setting.stability
    if stability is None:
        return
    _walk(setting, stability, run, workers, show, scales)
    if "stable" not in run.decisions:
        run.decide(stable=asdict(_stable(stability, run.view())))
    _fit(setting, run, workers, show)


def _walk(
    setting: Setting,
    stability: Stability,
    run: Run,
    workers: Workers,
    show: Show,
    scales: Sequence[float],
) -> None:
    known = run.view().of_kind("subsample")
    counted = tuple(scales) if setting.ascending else _counted(stability, run.view(), scales)
    walks = [Walk(number, counted) for number in range(stability.subsamples)]
    left = [job for job in walks if job.key not in known]
    done = len(walks) - len(left)
    show(Progress("half samples", done, len(walks)))
    results = workers.work(walk, left)
    with closing(results):
        for _, point in results:
            run.append(point)
            done += 1
            show(Progress("half samples", done, len(walks)))


def _counted(stability: Stability, view: RunView, scales: Sequence[float]) -> tuple[float, ...]:
    """The scales of a convex path that can count: where it uses not far too many features.

    In the order of the chain. There the densest points are the dearest, and nothing hangs on them;
    a network must pass by all of them, because the fewer steps lead to a sparse one, the more
    features are lost that only fit together with others.
    """
    features, fits = Features.of(view), view.of_kind("fit").values()
    most = _FAR * stability.most_used(len(features))
    few = {
        fit["scale"]
        for fit in fits
        if "failed" not in fit and sum(features.used(fit["features"])) <= most
    }
    return tuple(scale for scale in scales if scale in few) or (max(scales),)


def _stable(stability: Stability, view: RunView) -> StableSet:
    found = frequencies(view)
    if found is None:
        raise FitError(
            "no half sample could be trained",
            got="training that diverged in each",
            expected="at least one chain of finite losses",
            remedy="Lower the learning rate (--lr).",
        )
    return found.stable(stability.threshold, stability.errors)


def _fit(setting: Setting, run: Run, workers: Workers, show: Show) -> None:
    view = run.view()
    known = view.of_kind("stable")
    seeds = [seed for seed in range(setting.seeds) if stable_key(seed) not in known]
    done = setting.seeds - len(seeds)
    show(Progress("stable", done, setting.seeds))
    results = workers.work(fit_stable, [_job(view, seed) for seed in seeds])
    with closing(results):
        for _, (point, weights) in results:
            for name, tensors in weights.items():
                run.save_weights(name, tensors)
            run.append(point)
            done += 1
            show(Progress("stable", done, setting.seeds))


def _job(view: RunView, seed: int) -> StableJob:
    """The sparsest network of a seed that uses all stable features, else its densest."""
    features, stable = Features.of(view), set(view.decisions["stable"]["names"])
    fits = [fit for fit in view.of_kind("fit").values() if fit["seed"] == seed]
    fits = sorted((fit for fit in fits if "failed" not in fit), key=lambda fit: -fit["scale"])
    start = next((fit for fit in fits if stable <= _names(features, fit)), fits[-1])
    inputs = [
        number
        for name, mine in zip(features.names, features.inputs, strict=True)
        if name in stable
        for number in mine
    ]
    return StableJob(seed, start["scale"], view.weights(start["key"]), tuple(inputs))


def _names(features: Features, fit: dict[str, Any]) -> set[str]:
    used = features.used(fit["features"])
    return {name for name, is_used in zip(features.names, used, strict=True) if is_used}
