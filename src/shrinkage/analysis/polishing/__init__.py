"""Drives a network to a stationary point of loss + penalty on all its data: proximal Newton."""

from shrinkage.analysis.polishing.newton import polish
from shrinkage.analysis.polishing.rounds import Round, quiet

__all__ = ["Round", "polish", "quiet"]
