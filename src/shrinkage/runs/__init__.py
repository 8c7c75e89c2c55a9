"""The run folder, safe against being killed, and whether two calls are the same run."""

from shrinkage.runs.atomic import write_atomic
from shrinkage.runs.folder import Run, RunView, has_points, of_records, read
from shrinkage.runs.identity import default_folder, describe, fingerprint
from shrinkage.runs.records import Json, finite

__all__ = [
    "Json",
    "Run",
    "RunView",
    "default_folder",
    "describe",
    "fingerprint",
    "finite",
    "has_points",
    "of_records",
    "read",
    "write_atomic",
]
