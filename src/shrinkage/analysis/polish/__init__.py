"""Drives a network to a stationary point of loss + penalty on all its data: proximal Newton."""

from shrinkage.analysis.polish.newton import polish
from shrinkage.analysis.polish.rounds import Round, quiet

__all__ = ["Round", "polish", "quiet"]
