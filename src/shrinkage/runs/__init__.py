"""The run folder, safe against being killed, and whether two calls are the same run."""

from shrinkage.runs.atomic import write_atomic
from shrinkage.runs.folder import Json, Run, RunView, finite, has_points, read
from shrinkage.runs.identity import default_folder, describe, fingerprint

__all__ = [
    "Json",
    "Run",
    "RunView",
    "default_folder",
    "describe",
    "fingerprint",
    "finite",
    "has_points",
    "read",
    "write_atomic",
]
