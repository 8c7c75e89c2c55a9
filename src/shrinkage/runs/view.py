"""What a run folder holds, for readers; no lock, nothing is written."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from shrinkage.errors import RunError
from shrinkage.runs.configuration import ContrastConfig, PathConfig, StudyConfig
from shrinkage.runs.consistency import check_together
from shrinkage.runs.decisions import Decisions
from shrinkage.runs.failures import START_ANEW, again, damaged, lost
from shrinkage.runs.kinds import check_header, record_of
from shrinkage.runs.records import FolderLine, Header, Json, keeps_promise, read_lines
from shrinkage.runs.schema import LineRecord, Record
from shrinkage.runs.weights import WeightStore

R = TypeVar("R", bound=LineRecord)
H = TypeVar("H", bound=Record)


class RunView:
    """A run folder, read only: configuration, decisions, points, weights."""

    def __init__(
        self,
        folder: Path,
        config: Json,
        decisions: Json,
        points: tuple[Json, ...],
        weights: WeightStore | None = None,
        records: tuple[LineRecord, ...] | None = None,
    ) -> None:
        self.folder, self.config, self.decisions, self.points = folder, config, decisions, points
        self._weights = WeightStore(folder) if weights is None else weights
        self._known = records

    @property
    def command(self) -> object:
        """The command that has made the run, which says what is in it."""
        return self.config.get("command")

    @cached_property
    def _records(self) -> tuple[LineRecord, ...]:
        if self._known is not None:
            return self._known
        try:
            return tuple(record_of(point, self.command) for point in self.points)
        except ValueError as error:
            raise damaged(self.folder / "points.jsonl", str(error)) from None

    @cached_property
    def study(self) -> StudyConfig:
        """What the run was asked, as far as all runs are asked it."""
        return self._header(StudyConfig, self.config, "config")

    @cached_property
    def contrast(self) -> ContrastConfig:
        """What a contrast was asked."""
        return self._header(ContrastConfig, self.config, "config")

    @cached_property
    def path(self) -> PathConfig:
        """What a path was asked."""
        return self._header(PathConfig, self.config, "config")

    @cached_property
    def decided(self) -> Decisions:
        """What was decided on the way."""
        return self._header(Decisions, self.decisions, "decisions")

    def _header(self, kind: type[H], told: Json, name: str) -> H:
        try:
            return kind.from_json(told, name)
        except ValueError as error:
            raise damaged(self.folder / "run.json", str(error)) from None

    def of_kind(self, kind: str) -> dict[str, Json]:
        """The points of one kind by their key."""
        return {point["key"]: point for point in self.points if point["kind"] == kind}

    def records(self, kind: type[R]) -> Mapping[str, R]:
        """The records of one kind by their key."""
        return {record.key: record for record in self._records if isinstance(record, kind)}

    def weights(self, key: str) -> dict[str, Tensor]:
        """The tensors stored under ``key``.

        Raises :class:`RunError` where they are missing, or not those that were stored.
        """
        return self._weights.load(key)

    def weights_left(self, key: str) -> dict[str, Tensor] | None:
        """The same; None where nothing is there, and nothing tells of any."""
        return self._weights.load(key) if self._weights.is_known(key) else None


def read(folder: str | Path) -> RunView:
    """Read a run folder without locking it.

    Raises :class:`RunError` where there is none, where it is damaged, and where points were lost.
    """
    folder = Path(folder)
    path, points = folder / "run.json", folder / "points.jsonl"
    if not path.is_file():
        raise RunError(
            "not a run folder",
            got=str(folder),
            expected="a folder with a run.json",
            remedy="Give the folder that path or contrast printed at its end.",
        )
    header = Header.read(path)
    check_types(path, header)
    remedy = again(folder, header.config, header.decisions.get("command"))
    try:
        lines = read_lines(points, header)
    except OSError as error:
        raise damaged(points, error.strerror or str(error)) from None
    if not keeps_promise(header, lines):
        raise lost(folder, remedy)
    weights = WeightStore(folder, f"{remedy} {START_ANEW}")
    for line in lines:
        weights.checksums |= line.files
    return checked_view(view_of(folder, header, lines, weights))


def checked_view(view: RunView) -> RunView:
    """The view; :class:`RunError` where its records do not go together."""
    try:
        check_together(view)
    except ValueError as error:
        raise damaged(view.folder / "points.jsonl", str(error)) from None
    return view


def view_of(
    folder: Path, header: Header, lines: Sequence[FolderLine], weights: WeightStore
) -> RunView:
    """What has been read of a folder."""
    return RunView(
        folder,
        header.config,
        header.decisions,
        tuple(line.point for line in lines),
        weights,
        tuple(line.record for line in lines),
    )


def check_types(path: Path, header: Header) -> None:
    """Raise :class:`RunError` for a configuration or decisions with values of another type."""
    try:
        check_header(header.config, header.decisions)
    except ValueError as error:
        raise damaged(path, str(error)) from None
