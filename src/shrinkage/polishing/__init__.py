"""Drives a network to a stationary point of loss + penalty on all its data: proximal Newton."""

from shrinkage.polishing.newton import Round, polish

__all__ = ["Round", "polish"]
