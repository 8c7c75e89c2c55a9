"""Which engine works on a run: checked early, started late."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

from shrinkage.arguments import as_choice, check_type, settle
from shrinkage.errors import FitError, shown
from shrinkage.experiments.options import WorkerOptions
from shrinkage.experiments.runner.cluster import Cluster, has_ray
from shrinkage.experiments.runner.engine import Engine
from shrinkage.experiments.runner.here import Here
from shrinkage.experiments.runner.processes import Processes
from shrinkage.experiments.studies import device_named, jobs_on, workers

EngineName = Literal["auto", "process", "ray"]


@dataclass(frozen=True)
class Staff:
    """Who works on a run: ``jobs`` workers (one per core) of an ``engine``; not yet at work.

    ``"process"``: processes on this machine. ``"ray"``: a Ray cluster, the one at ``address`` or
    one started here. ``"auto"``: Ray where there is an address; else processes, or this process
    alone where there is work for one. All give the same results. Raises :class:`FitError` for an
    unknown engine, an address that nobody would use, and Ray where it is not installed.
    """

    jobs: int | None = None
    engine: str = "auto"
    address: str | None = None

    def __post_init__(self) -> None:
        settle(self, jobs=None if self.jobs is None else workers(self.jobs))
        as_choice("engine", self.engine, get_args(EngineName), remedy="auto is the default.")
        if self.address is not None:
            check_type("address is no text", self.address, str, expected="host:port, or auto",
                       remedy="Leave it out to work on this machine.")  # fmt: skip
        if self.address is not None and self.engine == "process":
            raise _idle("address", self.address, "the engine ray", "processes are on this machine")
        if self.address is not None and self.jobs is not None:
            raise _idle("jobs", self.jobs, "an engine on this machine", "a cluster has its own")
        if self.on_ray and not has_ray():
            raise FitError(
                "the engine ray needs Ray",
                got="no module named ray",
                expected="Ray to be installed",
                remedy="Install it: pip install 'shrinkage[ray]'.",
            )

    @classmethod
    def of(cls, options: WorkerOptions) -> Self:
        """Who is asked for; on a GPU one worker unless a number is given."""
        return cls(
            jobs_on(device_named(options.device), options.jobs), options.engine, options.address
        )

    @property
    def on_ray(self) -> bool:
        """Is it a Ray cluster that works?"""
        return self.engine == "ray" or self.address is not None

    def engine_for(self, shared: object, *, threads: int, chains: int | None = None) -> Engine:
        """The engine for jobs that share ``shared``, each on ``threads``; ``chains`` at once."""
        most = workers(self.jobs) if chains is None else min(workers(self.jobs), chains)
        if self.on_ray:
            return Cluster(shared, most, threads, self.address)
        if self.engine == "auto" and most == 1:
            return Here(shared, threads)
        return Processes(shared, most, threads)


def _idle(name: str, value: object, expected: str, why: str) -> FitError:
    return FitError(
        f"{name} has no meaning here",
        got=f"{name}={shown(value)}",
        expected=expected,
        remedy=f"Leave it out: {why}.",
    )
