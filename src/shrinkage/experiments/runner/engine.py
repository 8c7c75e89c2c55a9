"""What an engine is, and the one loop that works through chains of jobs on any of them."""

from collections.abc import Callable, Collection, Generator, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self, TypeVar

from shrinkage.errors import RunError, foreign_code

J = TypeVar("J")
Result = TypeVar("Result")
Ticket = Any
"""What an engine gives for a job that it was handed: hashable."""


class Engine(Protocol):
    """Where jobs are computed: ``function(shared, job)``, with what all jobs share held there.

    Results depend on the function, what is shared and the job alone, not on the engine. Starts
    what it needs with the first job.
    """

    def submit(self, function: Callable[[Any, J], Any], job: J) -> Hashable:
        """Hand over a job; a ticket for its result."""

    def wait(self, tickets: Collection[Ticket]) -> Collection[Ticket]:
        """Wait until some of these jobs, at least one, are finished; their tickets."""

    def result(self, ticket: Ticket) -> Any:
        """The result of a finished job; raises what the job raised."""

    def close(self) -> None:
        """Stop what was started."""


@contextmanager
def packing() -> Iterator[None]:
    """What cannot be pickled, and so not be sent to another process, is told in one line."""
    with foreign_code(
        lambda got: RunError(
            "the work cannot be sent to other processes",
            got=got,
            expected="functions, networks and data that cloudpickle can pickle",
            remedy="Repeat with --jobs 1 (jobs=1), or make locks, files and connections inside "
            "your functions.",
        )
    ):
        yield


class Workers:
    """An engine at work; a context manager, which stops the engine at its end."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()

    def work(
        self,
        function: Callable[[Any, J], Result],
        jobs: Sequence[J],
        then: Callable[[J, Result], J | None] = lambda _job, _result: None,
    ) -> Generator[tuple[J, Result], None, None]:
        """Yield (job, function(shared, job)) as jobs finish.

        ``then(job, result)`` is the job that follows in the same chain, or None at its end; it is
        asked after the result has been yielded. Raises whatever a job raises, and
        :class:`RunError` where a worker dies for good.
        """
        waiting = {self.engine.submit(function, job): job for job in jobs}
        while waiting:
            for ticket in self.engine.wait(waiting):
                job, result = waiting.pop(ticket), self.engine.result(ticket)
                yield job, result
                following = then(job, result)
                if following is not None:  # first of all, as its seed's data are at hand
                    waiting = {self.engine.submit(function, following): following, **waiting}
