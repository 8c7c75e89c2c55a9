"""The engine over this machine's cores: worker processes by loky."""

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from time import sleep
from typing import Any, Protocol

import torch

from shrinkage.errors import RunError
from shrinkage.experiments.paths.engines.engine import packing

_Ticket = Future[Any]

_shared: Any = None
"""What all jobs of a worker process have in common; sent once per worker."""


class Processes:
    """Worker processes, each computing on ``threads``, started with the first job.

    Functions and data travel by cloudpickle, so lambdas and notebook cells work. A worker that
    dies breaks the others' work off, with a :class:`RunError`.
    """

    def __init__(self, shared: object, workers: int, threads: int) -> None:
        self.shared, self.workers, self.threads = shared, workers, threads
        self._pool: Executor | None = None

    def submit(self, function: Callable[[Any, Any], Any], job: object) -> _Ticket:
        """Send the job to the pool."""
        with packing(), _worker_deaths_told(), _interrupts_held():
            return self._made().submit(_call, function, job)

    def wait(self, tickets: Collection[_Ticket]) -> Collection[_Ticket]:
        """Wait for the first."""
        return wait(tickets, return_when=FIRST_COMPLETED).done

    def result(self, ticket: _Ticket) -> Any:
        """What came back from the worker."""
        with _worker_deaths_told():
            return ticket.result()

    def close(self) -> None:
        """Stop the workers, at work or not."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None

    def _made(self) -> "Executor":
        from loky import ProcessPoolExecutor

        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=self.workers,
                initializer=_begin,
                initargs=(self.shared, self.threads, os.getpid()),
            )
        return self._pool


@contextmanager
def _worker_deaths_told() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died",
            got=str(error).splitlines()[0],
            expected="workers that live as long as their jobs",
            remedy="Memory may be short: repeat with --jobs 1. Finished fits are kept.",
        ) from None


class Executor(Protocol):
    """The part of loky's executor that is used here."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Call ``function`` in a worker."""

    def shutdown(self, wait: bool, kill_workers: bool) -> None:
        """Stop the workers."""


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
    from loky.backend import resource_tracker as lokys

    came: list[int] = []
    for tracker in (resource_tracker, lokys):  # which start with a worker, and lift the block
        tracker.ensure_running()
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


def _call(function: Callable[[Any, Any], Any], job: object) -> Any:
    return function(_shared, job)
