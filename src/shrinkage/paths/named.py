"""Penalties by name, at scale 1, for the command line."""

from collections.abc import Mapping
from types import MappingProxyType

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


def named(penalty: str) -> Penalty:
    """The penalty of this name; :class:`FitError` for an unknown one."""
    if penalty not in PENALTIES:
        raise FitError(
            "penalty is unknown",
            got=repr(penalty),
            expected=", ".join(PENALTIES),
            remedy=did_you_mean(penalty, PENALTIES) + "In Python, pass an instance or rules.",
        )
    return PENALTIES[penalty]
