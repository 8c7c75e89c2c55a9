"""The engine in this process: one job after the other."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from shrinkage.experiments.runner.threads import threads

_Ticket = partial[Any]


class Here:
    """Computes jobs in this process, each when its result is asked for, on ``threads``."""

    def __init__(self, shared: object, threads: int) -> None:
        self.shared, self.threads = shared, threads

    def submit(self, function: Callable[[Any, Any], Any], job: object) -> _Ticket:
        """The job, yet to be computed."""
        return partial(function, self.shared, job)

    def wait(self, tickets: Collection[_Ticket]) -> Collection[_Ticket]:
        """The first of them."""
        return [next(iter(tickets))]

    def result(self, ticket: _Ticket) -> Any:
        """Compute it now."""
        with threads(self.threads):
            return ticket()

    def close(self) -> None:
        """Nothing was started."""
