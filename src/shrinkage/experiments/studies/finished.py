"""A run from its first line to what is handed back: opened, worked on, finished."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from shrinkage.arguments import as_int, as_path, check_type
from shrinkage.errors import RunError
from shrinkage.experiments.options import RunOptions
from shrinkage.experiments.studies.study import Study
from shrinkage.progress import check_progress
from shrinkage.runs import Run, RunView, default_folder, has_points

S = TypeVar("S", bound=Study)


@dataclass(frozen=True, eq=False, repr=False)
class Finished(Generic[S]):
    """A finished run: what its folder holds, and the study that its networks are built by."""

    view: RunView
    setting: S

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self.folder}>"

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.view.folder

    @property
    def report(self) -> Path:
        """The report, a self-contained page."""
        return self.folder / "report.html"

    def checked_seed(self, seed: object) -> int:
        """The seed of a network; :class:`FitError` for one that was not run."""
        remedy = "Each seed, or fold, has a network of its own."
        return as_int("seed", seed, most=self.setting.seeds - 1, remedy=remedy)


def check_options(options: RunOptions) -> None:
    """Raise the package's errors for wrong types of what every call takes, before it begins."""
    if options.run is not None:
        as_path("run", options.run, error=RunError)
    if options.command is not None:
        check_type("command is no text", options.command, str, expected="a command line, or None",
                   remedy="Leave it out.")  # fmt: skip
    check_progress(options.progress)


@contextmanager
def opened(
    options: RunOptions, config: dict[str, Any], rehearse: Callable[[], None]
) -> Iterator[Run]:
    """The run folder, locked; a new one after the rehearsal, so that bad input writes nothing."""
    where, command = Path(options.run or default_folder(config)), options.command
    if not has_points(where):
        rehearse()
    with Run(where, config) as run:
        if command is not None or "command" not in run.decisions:
            run.decide(command=command)  # going on from Python leaves the line it was begun with
        yield run
