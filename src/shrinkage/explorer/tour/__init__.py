"""The lesson's claims as a guided tour."""

from shrinkage.explorer.tour.claims import Check, Claim, Scope, View
from shrinkage.explorer.tour.steps import TOUR, tour_of

__all__ = ["TOUR", "Check", "Claim", "Scope", "View", "tour_of"]
