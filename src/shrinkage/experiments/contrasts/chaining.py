"""Which fit follows which: each by itself, or a column's tries warm from one another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from torch import Tensor

from shrinkage.experiments.contrasts.settings import Job, Setting, key
from shrinkage.runs import FailedFitRecord, RunView, TrialRecord

Chain = Sequence[Job]
Weights = Mapping[str, Tensor]
_NONE: Mapping[str, Weights] = MappingProxyType({})


def chains(setting: Setting, jobs: Sequence[Job]) -> list[Chain]:
    """The fits in chains: one by one, or per column and seed, from its first try to its last."""
    rows: dict[object, list[Job]] = {}
    for job in jobs:
        row = (job.column, job.seed) if _is_chained(setting, job) else job.key
        rows.setdefault(row, []).append(job)
    return [sorted(row, key=lambda job: job.index) for row in rows.values()]


def first(
    setting: Setting, chain: Chain, view: RunView, at_hand: Mapping[str, Weights] = _NONE
) -> Job | None:
    """The first fit of a chain that is not in the run folder; None where all are.

    ``at_hand``: weights that need not be read, by name.
    """
    known = view.records(TrialRecord)

    def weights(name: str) -> Weights:
        return at_hand[name] if name in at_hand else view.weights(name)

    before: TrialRecord | None = None
    for job in chain:
        if job.key not in known:
            return _following(setting, before, job, weights)
        before = known[job.key]
    return None


def _following(
    setting: Setting, before: TrialRecord | None, job: Job, weights: Callable[[str], Weights]
) -> Job:
    """The fit as it goes on after the point ``before`` of its chain, ``weights`` by name.

    After a fit that failed it goes on from where that one did: the last that worked, or the
    beginning.
    """
    if before is None:
        return job
    worked = not isinstance(before, FailedFitRecord)
    after = before.index if worked else before.after
    if after is None:
        return job
    begun = before.begun
    if worked:
        begun += epochs(setting, replace(job, after=before.after))
    return replace(job, after=after, begun=begun, start=weights(key(job.column, after, job.seed)))


def epochs(setting: Setting, job: Job) -> int:
    """How long a try trains: all epochs, or those of a point that goes on from another.

    Learning rates have no order in which one leads on to the next, so that their tries begin anew:
    each has as many epochs as a chain has had at its end, so that none is at a disadvantage.
    """
    more = setting.point_epochs or 0
    if not _is_chained(setting, job):
        return setting.epochs + (len(setting.strengths) - 1) * more
    return setting.epochs if job.after is None else more


def way(fits: Mapping[str, TrialRecord], name: str) -> Chain:
    """The fits on whose weights one of them stands, from the beginning up to itself."""
    fit = fits[name]
    job = Job(fit.column, fit.index, fit.knob, fit.seed, fit.keep)
    if fit.after is None:
        return (job,)
    warm = replace(job, after=fit.after, begun=fit.begun)
    return (*way(fits, key(job.column, fit.after, job.seed)), warm)


def _is_chained(setting: Setting, job: Job) -> bool:
    return setting.point_epochs is not None and setting.by_name[job.column].is_ordered
