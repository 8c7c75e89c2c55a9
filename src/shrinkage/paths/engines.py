"""Working through many independent jobs: in this process, or over the cores."""

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from time import sleep
from typing import Any, TypeVar

import torch

from shrinkage.errors import RunError

S = TypeVar("S")
J = TypeVar("J")
R = TypeVar("R")

_shared: Any = None
"""What all jobs of a worker process have in common; sent once per worker."""


def work(
    function: Callable[[S, J], R], shared: S, jobs: Sequence[J], *, workers: int, threads: int
) -> Generator[tuple[J, R], None, None]:
    """Yield (job, function(shared, job)) as jobs finish; each worker computes on ``threads``.

    Results do not depend on the number of workers, only on the threads of each. Closing the
    iterator or an exception stops the workers. Functions and data travel by cloudpickle, so
    lambdas and notebook cells work. Raises whatever a job raises, and :class:`RunError` where a
    worker dies.
    """
    if workers == 1 or len(jobs) <= 1:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            for job in jobs:
                yield job, function(shared, job)
        finally:
            torch.set_num_threads(before)
        return
    yield from _over_processes(function, shared, jobs, workers, threads)


def _over_processes(
    function: Callable[[S, J], R], shared: S, jobs: Sequence[J], workers: int, threads: int
) -> Generator[tuple[J, R], None, None]:
    from loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(
        max_workers=min(workers, len(jobs)),
        initializer=_begin,
        initargs=(shared, threads, os.getpid()),
    )
    try:
        with _interrupts_held():
            futures = {pool.submit(_call, function, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died",
            got=str(error).splitlines()[0],
            expected="workers that live as long as their jobs",
            remedy="Memory may be short: repeat with --jobs 1. Finished fits are kept.",
        ) from None
    finally:
        pool.shutdown(wait=True, kill_workers=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C while workers start: they inherit that, and the parent gets it after."""
    if not hasattr(signal, "pthread_sigmask"):  # pragma: no cover - Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(shared: object, threads: int, parent: int) -> None:
    global _shared
    _shared = shared
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    """End this worker soon after its parent: one that was killed cannot stop its workers."""
    while os.getppid() == parent:
        sleep(1.0)
    os._exit(1)


def _call(function: Callable[[S, J], R], job: J) -> R:
    return function(_shared, job)
