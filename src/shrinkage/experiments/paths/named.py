"""Penalties by name, at scale 1."""

from collections.abc import Mapping
from types import MappingProxyType

from shrinkage.analysis.features import feature_rules
from shrinkage.data import Spec
from shrinkage.data.models import Factory, build
from shrinkage.errors import FitError, did_you_mean
from shrinkage.penalties import (
    L1,
    L2,
    MCP,
    ElasticNet,
    GroupL1,
    LogSum,
    Penalty,
    SparseGroupL1,
)
from shrinkage.plans import Rules

FEATURES = "features"
"""Whole inputs, and L1 behind the first layer: depends on the network."""

PENALTIES: Mapping[str, Penalty] = MappingProxyType(
    {
        "l1": L1(1.0),
        "group": GroupL1(1.0, by="filter"),
        "coupled_group": GroupL1(1.0, coupled=True),
        "sparse_group": SparseGroupL1(l1=0.5, group=0.5, by="filter"),
        "elastic_net": ElasticNet(l1=0.5, l2=0.5),
        "log_sum": LogSum(1.0, epsilon=0.1),
        "mcp": MCP(1.0, knee=0.5),
        "l2": L2(1.0),
    }
)


def named(penalty: str, factory: Factory, spec: Spec) -> Rules:
    """The rules of this name for the networks of a factory; :class:`FitError` if unknown."""
    if penalty == FEATURES:
        return feature_rules(build(factory, spec), spec.input_shape)
    if penalty not in PENALTIES:
        names = (*PENALTIES, FEATURES)
        raise FitError(
            "penalty is unknown",
            got=repr(penalty),
            expected=", ".join(names),
            remedy=did_you_mean(penalty, names) + "In Python, pass an instance or rules.",
        )
    return Rules(PENALTIES[penalty])
