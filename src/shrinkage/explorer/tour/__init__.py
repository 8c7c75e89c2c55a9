"""The lesson's claims as a guided tour."""

from shrinkage.explorer.tour.steps import TOUR, tour_of
from shrinkage.explorer.tour.view import Check, Scope, Step, View

__all__ = ["TOUR", "Check", "Scope", "Step", "View", "tour_of"]
