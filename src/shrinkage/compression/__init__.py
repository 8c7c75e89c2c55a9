"""A smaller network that computes the same: removal, proof, latency, files."""

from shrinkage.compression.chosen import Point
from shrinkage.compression.predicting import predict
from shrinkage.compression.public import Compact, compact
from shrinkage.compression.reporting import Report
from shrinkage.compression.running import Outcome, compact_run
from shrinkage.compression.saving import load_compact

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
