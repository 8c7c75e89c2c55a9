"""Which fit follows which: each by itself, or every try warm from the one before it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from torch import Tensor

from shrinkage.contrasts.settings import Job, Setting, key
from shrinkage.runs import RunView
from shrinkage.studies import Point

Chain = Sequence[Job]
Weights = Mapping[str, Tensor]


def chains(setting: Setting, jobs: Sequence[Job]) -> list[Chain]:
    """The fits in chains: one by one, or per column and seed, from its first try to its last."""
    if setting.point_epochs is None:
        return [(job,) for job in jobs]
    ordered = sorted(jobs, key=lambda job: (job.seed, _place(setting, job), job.index))
    return [
        tuple(chain)
        for _, chain in groupby(ordered, key=lambda job: (job.seed, _place(setting, job)))
    ]


def first(setting: Setting, chain: Chain, view: RunView) -> Job | None:
    """The first fit of a chain that is not in the run folder; None where all are."""
    known = view.of_kind("fit")
    before: Point | None = None
    for job in chain:
        if job.key not in known:
            return following(setting, before, job, view.weights)
        before = known[job.key]
    return None


def following(
    setting: Setting, before: Point | None, job: Job, weights: Callable[[str], Weights]
) -> Job:
    """The fit as it goes on after the point ``before`` of its chain, ``weights`` by name.

    After a fit that failed it goes on from where that one did: the last that worked, or the
    beginning.
    """
    if before is None:
        return job
    worked = "failed" not in before
    after = before["index"] if worked else before["after"]
    if after is None:
        return job
    begun = before["begun"] + (epochs(setting, before["after"]) if worked else 0)
    return replace(job, after=after, begun=begun, start=weights(key(job.column, after, job.seed)))


def epochs(setting: Setting, after: int | None) -> int:
    """How long a try trains: all epochs, or those of a point that goes on from another."""
    return setting.epochs if after is None or not setting.point_epochs else setting.point_epochs


def way(fits: Mapping[str, Point], name: str) -> Chain:
    """The fits on whose weights one of them stands, from the beginning up to itself."""
    fit = fits[name]
    job = Job(fit["column"], fit["index"], fit["knob"], fit["seed"], fit["keep"])
    after = fit.get("after")  # runs of before there were chains have none
    if after is None:
        return (job,)
    warm = replace(job, after=after, begun=fit["begun"])
    return (*way(fits, key(job.column, after, job.seed)), warm)


def _place(setting: Setting, job: Job) -> int:
    return list(setting.by_name).index(job.column)
