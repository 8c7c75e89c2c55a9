"""Which inputs matter: rules that drop them, the order in which they leave, and how surely."""

from shrinkage.features.bound import expected_false
from shrinkage.features.first_layers import first_layers
from shrinkage.features.leaving import Leaving, leaving
from shrinkage.features.naming import Features
from shrinkage.features.rules import feature_rules
from shrinkage.features.stability import (
    ASSUMED,
    Frequencies,
    Stability,
    StableSet,
    frequencies,
)
from shrinkage.features.weights import input_weights

__all__ = [
    "ASSUMED",
    "Features",
    "Frequencies",
    "Leaving",
    "Stability",
    "StableSet",
    "expected_false",
    "feature_rules",
    "first_layers",
    "frequencies",
    "input_weights",
    "leaving",
]
