"""Which inputs matter: rules that drop them, the order in which they leave, and how surely."""

from shrinkage.analysis.features.bound import expected_false
from shrinkage.analysis.features.exits import Exit, leaving
from shrinkage.analysis.features.first_layers import first_layers
from shrinkage.analysis.features.names import Features
from shrinkage.analysis.features.rules import feature_rules
from shrinkage.analysis.features.stability import (
    ASSUMED,
    Frequencies,
    Stability,
    StableSet,
    frequencies,
)
from shrinkage.analysis.features.weights import input_weights

__all__ = [
    "ASSUMED",
    "Exit",
    "Features",
    "Frequencies",
    "Stability",
    "StableSet",
    "expected_false",
    "feature_rules",
    "first_layers",
    "frequencies",
    "input_weights",
    "leaving",
]
