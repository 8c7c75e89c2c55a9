"""Which records a run folder holds: by the run's command, a line's kind, and its fate."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from shrinkage.runs.configuration import ContrastConfig, PathConfig
from shrinkage.runs.contrast_records import (
    CertificateRecord,
    FailedCertificateRecord,
    FailedFitRecord,
    FitRecord,
    StepsRecord,
    TestRecord,
    TraceRecord,
)
from shrinkage.runs.decisions import Decisions
from shrinkage.runs.path_records import (
    FailedHalfSampleRecord,
    FailedMagnitudeRecord,
    FailedPointRecord,
    FailedStableRecord,
    HalfSampleRecord,
    MagnitudeRecord,
    PathFitRecord,
    StableRecord,
)
from shrinkage.runs.schema import LineRecord

_CONTRAST: tuple[type[LineRecord], ...] = (
    FitRecord,
    FailedFitRecord,
    TestRecord,
    CertificateRecord,
    FailedCertificateRecord,
    TraceRecord,
    StepsRecord,
)
_PATH: tuple[type[LineRecord], ...] = (
    PathFitRecord,
    FailedPointRecord,
    MagnitudeRecord,
    FailedMagnitudeRecord,
    StableRecord,
    FailedStableRecord,
    HalfSampleRecord,
    FailedHalfSampleRecord,
    TestRecord,
)


@dataclass(frozen=True, kw_only=True)
class OtherRecord(LineRecord):
    """A line that no known command writes, as it is."""

    point: dict[str, Any]

    @classmethod
    def of(cls, point: Mapping[str, Any]) -> "OtherRecord":
        """The record of a JSON object with a ``kind`` and a ``key``."""
        return cls(key=point["key"], point=dict(point))

    def to_json(self) -> dict[str, Any]:
        """The object."""
        return self.point


def record_of(point: Mapping[str, Any], command: object) -> LineRecord:
    """The record that a JSON object is; :class:`ValueError` for values of another type."""
    known = _TABLES.get(str(command), {}).get((point["kind"], "failed" in point))
    return OtherRecord.of(point) if known is None else known.from_json(point)


def check_header(config: Mapping[str, Any], decisions: Mapping[str, Any]) -> None:
    """Raise :class:`ValueError` for a configuration or decisions with values of another type."""
    known = _CONFIGS.get(str(config.get("command")))
    if known is not None:
        known.from_json(config, "config")
        Decisions.from_json(decisions, "decisions")


def _table(
    records: tuple[type[LineRecord], ...],
) -> Mapping[tuple[str, bool], type[LineRecord]]:
    """By kind, and by whether it is of something that failed."""
    return MappingProxyType(
        {(record.kind, any(one.name == "failed" for one in fields(record))): record
         for record in records}
    )  # fmt: skip


_TABLES: Mapping[str, Mapping[tuple[str, bool], type[LineRecord]]] = MappingProxyType(
    {"contrast": _table(_CONTRAST), "explore": _table(_CONTRAST), "path": _table(_PATH)}
)
_CONFIGS: Mapping[str, type[ContrastConfig | PathConfig]] = MappingProxyType(
    {"contrast": ContrastConfig, "explore": ContrastConfig, "path": PathConfig}
)
