"""The penalties: one file each, pure mathematics on tensors."""

from shrinkage.penalties.base import Penalty
from shrinkage.penalties.converters import from_glmnet, from_sklearn, from_weight_decay
from shrinkage.penalties.elastic_net import ElasticNet
from shrinkage.penalties.group_l1 import GroupL1
from shrinkage.penalties.l1 import L1
from shrinkage.penalties.l2 import L2
from shrinkage.penalties.log_sum import LogSum
from shrinkage.penalties.mcp import MCP
from shrinkage.penalties.sparse_group_l1 import SparseGroupL1

__all__ = [
    "L1",
    "L2",
    "MCP",
    "ElasticNet",
    "GroupL1",
    "LogSum",
    "Penalty",
    "SparseGroupL1",
    "from_glmnet",
    "from_sklearn",
    "from_weight_decay",
]
