"""Which fit follows which: each by itself, or a column's tries warm from one another."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace

from shrinkage.experiments.contrasts.settings import ContrastSetting, TrialJob, key
from shrinkage.experiments.runner import Weights
from shrinkage.runs import FailedFitRecord, RunView, TrialRecord


@dataclass(frozen=True, eq=False)
class Tries:
    """Fits in a chain: one by itself, or those of a column and seed, from its first try on."""

    setting: ContrastSetting
    jobs: Sequence[TrialJob]

    @property
    def names(self) -> Sequence[str]:
        """The keys of the fits."""
        return [job.key for job in self.jobs]

    def known(self, view: RunView) -> Container[str]:
        """The fits that are in the run folder."""
        return view.records(TrialRecord)

    def first(self, view: RunView, at_hand: Mapping[str, Weights]) -> TrialJob | None:
        """The first fit that is not in the run folder; None where all are."""
        known = view.records(TrialRecord)

        def weights(name: str) -> Weights:
            return at_hand[name] if name in at_hand else view.weights(name)

        before: TrialRecord | None = None
        for job in self.jobs:
            if job.key not in known:
                return _following(self.setting, before, job, weights)
            before = known[job.key]
        return None


def in_chains(setting: ContrastSetting, jobs: Sequence[TrialJob]) -> list[Tries]:
    """The fits in chains, as the setting has them."""
    rows: dict[object, list[TrialJob]] = {}
    for job in jobs:
        row = (job.column, job.seed) if _is_chained(setting, job) else job.key
        rows.setdefault(row, []).append(job)
    return [Tries(setting, sorted(row, key=lambda job: job.index)) for row in rows.values()]


def _following(
    setting: ContrastSetting,
    before: TrialRecord | None,
    job: TrialJob,
    weights: Callable[[str], Weights],
) -> TrialJob:
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


def epochs(setting: ContrastSetting, job: TrialJob) -> int:
    """How long a try trains: all epochs, or those of a point that goes on from another.

    Learning rates have no order in which one leads on to the next, so that their tries begin anew:
    each has as many epochs as a chain has had at its end, so that none is at a disadvantage.
    """
    more = setting.point_epochs or 0
    if not _is_chained(setting, job):
        return setting.epochs + (len(setting.strengths) - 1) * more
    return setting.epochs if job.after is None else more


def way(fits: Mapping[str, TrialRecord], name: str) -> tuple[TrialJob, ...]:
    """The fits on whose weights one of them stands, from the beginning up to itself."""
    fit = fits[name]
    job = TrialJob(fit.column, fit.index, fit.knob, fit.seed, fit.keep)
    if fit.after is None:
        return (job,)
    warm = replace(job, after=fit.after, begun=fit.begun)
    return (*way(fits, key(job.column, fit.after, job.seed)), warm)


def _is_chained(setting: ContrastSetting, job: TrialJob) -> bool:
    return setting.point_epochs is not None and setting.by_name[job.column].is_ordered
