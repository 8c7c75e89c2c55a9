"""The engine over this machine's cores: worker processes by loky."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from shutil import rmtree
from time import sleep
from typing import Any, Protocol

import cloudpickle
import torch

from shrinkage.errors import RunError
from shrinkage.experiments.runner.desk import desk, left, taken
from shrinkage.experiments.runner.engine import packing

_Ticket = Future[Any]

_shared: Any = None
"""What all jobs of a worker process have in common; read once per worker."""
_desk = Path()
"""Where a worker process leaves its results."""
_SHARED = "shared.pickle"


class Processes:
    """Worker processes, each computing on ``threads``, started with the first job.

    Functions and data travel by cloudpickle, so lambdas and notebook cells work. A worker that
    dies breaks the others' work off, with a :class:`RunError`.
    """

    def __init__(self, shared: object, workers: int, threads: int) -> None:
        self.shared, self.workers, self.threads = shared, workers, threads
        self._pool: Executor | None = None
        self._desk: Path | None = None

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
            return taken(ticket.result())

    def close(self) -> None:
        """Stop the workers, at work or not."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None
        if self._desk is not None:
            rmtree(self._desk, ignore_errors=True)
            self._desk = None

    def _made(self) -> "Executor":
        from loky import ProcessPoolExecutor
        from loky.backend.context import LokyContext

        if self._pool is None:
            data = cloudpickle.dumps(self.shared)
            self._desk = desk()
            (self._desk / _SHARED).write_bytes(data)
            self._pool = ProcessPoolExecutor(
                max_workers=self.workers,
                context=LokyContext(),  # by name it is joblib's copy of loky once that is imported
                initializer=_begin,
                initargs=(self._desk, self.threads, os.getpid()),
            )
        return self._pool


@contextmanager
def _worker_deaths_told() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died",
            got=str(error).splitlines()[0].partition(". ")[0],
            expected="workers that are left to finish their jobs",
            remedy="Finished fits are kept: repeat the same call, with --jobs 1 (jobs=1) where "
            "memory may be short.",
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


def _begin(desk: Path, threads: int, parent: int) -> None:
    global _shared, _desk
    _shared = pickle.loads((desk / _SHARED).read_bytes())  # noqa: S301  (the parent has written it)
    _desk = desk
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_leave_with, args=(parent, desk), daemon=True).start()


def _leave_with(parent: int, desk: Path) -> None:
    """End this worker soon after its parent: one that was killed cannot stop its workers."""
    while os.getppid() == parent:
        sleep(1.0)
    rmtree(desk, ignore_errors=True)
    os._exit(1)


def _call(function: Callable[[Any, Any], Any], job: object) -> Path:
    return left(_desk, partial(function, _shared, job))
