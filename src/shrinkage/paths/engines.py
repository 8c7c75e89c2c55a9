"""Working through many independent jobs: in this process, or over the cores."""

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from time import sleep
from typing import Any, Protocol, Self, TypeVar

import torch

from shrinkage.errors import RunError

S = TypeVar("S")
J = TypeVar("J")
R = TypeVar("R")

_shared: Any = None
"""What all jobs of a worker process have in common; sent once per worker."""


def _nothing(_job: object, _result: object) -> None:
    """No job follows."""


def work(
    function: Callable[[S, J], R], shared: S, jobs: Sequence[J], *, workers: int, threads: int
) -> Generator[tuple[J, R], None, None]:
    """:meth:`Workers.work` on workers of its own, which stop at the end."""
    with Workers(shared, min(workers, len(jobs)), threads) as staff:
        yield from staff.work(function, jobs)


class Workers:
    """Worker processes that share ``shared``, started when first needed; a context manager.

    Each computes on ``threads``. One worker is this process. Functions and data travel by
    cloudpickle, so lambdas and notebook cells work. Leaving the context stops the workers.
    """

    def __init__(self, shared: object, workers: int, threads: int) -> None:
        self.shared, self.workers, self.threads = shared, workers, threads
        self._pool: Executor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None

    def work(
        self,
        function: Callable[[Any, J], R],
        jobs: Sequence[J],
        then: Callable[[J, R], J | None] = _nothing,
    ) -> Generator[tuple[J, R], None, None]:
        """Yield (job, function(shared, job)) as jobs finish.

        ``then(job, result)`` is the job that follows in the same chain, or None at its end; it is
        asked after the result has been yielded. Results do not depend on the number of workers,
        only on the threads of each. Raises whatever a job raises, and :class:`RunError` where a
        worker dies.
        """
        if self.workers <= 1 or not jobs:
            with _computing_on(self.threads):
                yield from _one_by_one(lambda job: function(self.shared, job), jobs, then)
            return
        try:
            with _interrupts_held():
                pool = self._made()
                waiting = {pool.submit(_call, function, job): job for job in jobs}
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    job, result = waiting.pop(future), future.result()
                    yield job, result
                    following = then(job, result)
                    if following is not None:
                        waiting[pool.submit(_call, function, following)] = following
        except BrokenProcessPool as error:
            raise RunError(
                "a worker process died",
                got=str(error).splitlines()[0],
                expected="workers that live as long as their jobs",
                remedy="Memory may be short: repeat with --jobs 1. Finished fits are kept.",
            ) from None

    def _made(self) -> "Executor":
        from loky import ProcessPoolExecutor

        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=self.workers,
                initializer=_begin,
                initargs=(self.shared, self.threads, os.getpid()),
            )
        return self._pool


def _one_by_one(
    function: Callable[[J], R], jobs: Sequence[J], then: Callable[[J, R], J | None]
) -> Iterator[tuple[J, R]]:
    for first in jobs:
        job: J | None = first
        while job is not None:
            result = function(job)
            yield job, result
            job = then(job, result)


class Executor(Protocol):
    """The part of loky's executor that is used here."""

    def submit(self, function: Callable[..., R], /, *args: Any) -> "Future[R]":
        """Call ``function`` in a worker."""

    def shutdown(self, wait: bool, kill_workers: bool) -> None:
        """Stop the workers."""


@contextmanager
def _computing_on(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C while workers start: the parent gets it after, they never do.

    New processes inherit the block. The parent's other threads do not block the signal, so it is
    noted by a handler until the workers stand.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "pthread_sigmask") or not in_main:  # pragma: no cover - Windows
        yield
        return
    came: list[int] = []
    resource_tracker.ensure_running()  # would lift the block when a worker's start starts it
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


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
