"""A smaller network that computes the same: removal, proof, latency, files."""

from shrinkage.compaction.chosen import Point
from shrinkage.compaction.predicting import predict
from shrinkage.compaction.public import Compact, compact
from shrinkage.compaction.reporting import Report
from shrinkage.compaction.running import Outcome, compact_run
from shrinkage.compaction.saving import load_compact

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
