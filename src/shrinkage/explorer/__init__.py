"""The live page: the dial in the hand while networks train, side by side."""

from shrinkage.explorer.exploring import explore

__all__ = ["explore"]
