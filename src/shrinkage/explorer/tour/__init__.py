"""The lesson's claims as a guided tour."""

from shrinkage.explorer.tour.steps import TOUR, tour_of
from shrinkage.explorer.tour.view import Check, Scope, TourStep, View

__all__ = ["TOUR", "Check", "Scope", "TourStep", "View", "tour_of"]
