"""The engine over a Ray cluster: one that runs already, or one started here for the while."""

import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

import cloudpickle
import torch

from shrinkage.errors import RunError
from shrinkage.experiments.runner.engine import packing

_RETRIES = 5
"""How often a job is begun again whose worker, or machine, died: it depends on nothing else."""
_PATIENCE = 5.0
"""Seconds in which something must listen at the address."""
_Ticket = Any


class Cluster:
    """Tasks on a Ray cluster, each on ``threads`` cores.

    ``address``: ``"auto"``, ``"host:port"`` or ``"ray://host:port"``. Without one: the cluster that
    this process is connected to, or that ``RAY_ADDRESS`` names; else one of ``workers`` is started
    on this machine, and stopped at the end. On other machines this package must be installed, in
    the same version; functions and data travel by cloudpickle. A worker that dies is replaced.
    Raises :class:`RunError` for a cluster that cannot be reached, or where workers die throughout.
    """

    def __init__(self, shared: object, workers: int, threads: int, address: str | None) -> None:
        self.shared, self.workers, self.threads = shared, workers, threads
        self.address = address
        self._submit: Callable[[bytes], _Ticket] | None = None
        self._connected_here = False

    def submit(self, function: Callable[[Any, Any], Any], job: object) -> _Ticket:
        """Send the job to the cluster."""
        if self._submit is None:
            self._submit = self._made()
        with packing():
            task = cloudpickle.dumps((function, job))
        return self._submit(task)

    def wait(self, tickets: Collection[_Ticket]) -> Collection[_Ticket]:
        """Wait for the first."""
        import ray

        done: list[_Ticket] = ray.wait(list(tickets), num_returns=1, fetch_local=False)[0]
        return done

    def result(self, ticket: _Ticket) -> Any:
        """What came back from the cluster."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return cloudpickle.loads(ray.get(ticket))
        except RayTaskError as error:  # the job raised: its own exception, with Ray's traceback
            raise error.cause from error
        except RayError as error:
            raise RunError(
                "a job on the Ray cluster was lost",
                got=_first_line(error),
                expected=f"workers that live as long as their jobs, one time in {_RETRIES}",
                remedy="Memory may be short: give Ray fewer cores. Finished fits are kept.",
            ) from None

    def close(self) -> None:
        """Leave the cluster, and stop it where it was started here."""
        import ray

        if self._connected_here:
            ray.shutdown()
        self._submit, self._connected_here = None, False

    def _made(self) -> Callable[[bytes], _Ticket]:
        import ray

        if self.address or not ray.is_initialized():
            _connect(self.address or os.environ.get("RAY_ADDRESS"), self.workers * self.threads)
            self._connected_here = True
        task = ray.remote(_call).options(num_cpus=self.threads, max_retries=_RETRIES)
        # In a list it stays a reference: each worker fetches and unpacks it once, not per job.
        with packing():
            packed = cloudpickle.dumps(self.shared)
        shared = [ray.put(packed)]
        return partial(task.remote, shared, tuple(sys.path), self.threads)


def has_ray() -> bool:
    """Is Ray installed?"""
    return find_spec("ray") is not None


def _connect(address: str | None, cores: int) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
        with _failures_told("a Ray cluster cannot be started", "this machine"):
            ray.init("local", num_cpus=cores, include_dashboard=False, **quiet)
        return
    with _failures_told("the Ray cluster cannot be reached", address):
        _refuse_silence(address)
        with _one_attempt():
            ray.init(address, **quiet)


@contextmanager
def _failures_told(what: str, where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise RunError(
            what,
            got=f"{where}: {_first_line(error)}",
            expected="a cluster that answers",
            remedy="Look at `ray status`, or leave the address out for a cluster on this machine.",
        ) from None


def _refuse_silence(address: str) -> None:
    """Raise OSError where nothing listens at ``host:port``."""
    known = re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:(\d+)", address)
    if known:
        socket.create_connection((known[1], int(known[2])), timeout=_PATIENCE).close()


@contextmanager
def _one_attempt() -> Iterator[None]:
    """Ray gives a port that never answers 20 attempts of 40 s each, unless told otherwise."""
    name = "RAY_gcs_server_port_wait_time_s"
    before = os.environ.get(name)
    os.environ[name] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _call(shared: list[Any], modules: tuple[str, ...], threads: int, task: bytes) -> bytes:
    sys.path += [folder for folder in modules if folder not in sys.path]  # the user's own
    torch.set_num_threads(threads)
    function, job = cloudpickle.loads(task)
    result: bytes = cloudpickle.dumps(function(_fetched(shared[0]), job))
    return result


@lru_cache(maxsize=1)
def _fetched(reference: Any) -> Any:
    """What all jobs of a run have in common; held by the worker."""
    import ray

    return cloudpickle.loads(ray.get(reference))
