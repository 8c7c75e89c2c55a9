from .chosen import Point
from .predicting import predict
from .public import Compact, compact
from .reporting import Report
from .running import Outcome, compact_run
from .saving import load_compact

__all__ = [
    "Compact",
    "Outcome",
    "Point",
    "Report",
    "compact",
    "compact_run",
    "load_compact",
    "predict",
]
