"""The lesson's claims as a guided tour."""

from shrinkage.explorer.tour.claims import Check, Claim, View
from shrinkage.explorer.tour.steps import TOUR, for_data

__all__ = ["TOUR", "Check", "Claim", "View", "for_data"]
