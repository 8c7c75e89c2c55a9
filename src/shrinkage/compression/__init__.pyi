from ._compact import Compact, compact
from ._compact_run import CompactedRun, compact_run
from ._predict import predict
from .chosen import Point
from .files import load_compact
from .report import Report

__all__ = [
    "Compact",
    "CompactedRun",
    "Point",
    "Report",
    "compact",
    "compact_run",
    "load_compact",
    "predict",
]
