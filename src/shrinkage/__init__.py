"""L1 / L2 regularization for PyTorch networks that does what it says.

>>> import shrinkage as sh, torch
>>> model = torch.nn.Linear(4, 2)
>>> plan = sh.Plan(model, sh.L1(1e-4))
>>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
>>> handle = sh.attach(optimizer, plan)
"""

from shrinkage.certificates import Certificate, certify
from shrinkage.compaction import Compact, compact, load_compact
from shrinkage.contrasts import Contrast, contrast
from shrinkage.errors import ShrinkageError, ShrinkageWarning
from shrinkage.explorer import explore
from shrinkage.features import Stability, StableSet, feature_rules
from shrinkage.fitting import Budget, Training
from shrinkage.measures import Measures, measure
from shrinkage.paths import PathPoint, RegularizationPath, path
from shrinkage.penalties import (
    L1,
    L2,
    MCP,
    ElasticNet,
    GroupL1,
    LogSum,
    Penalty,
    SparseGroupL1,
    from_glmnet,
    from_sklearn,
    from_weight_decay,
)
from shrinkage.plans import Plan, Rules
from shrinkage.polishing import polish
from shrinkage.proximal import Handle, Metric, attach, register_metric

__all__ = [
    "L1",
    "L2",
    "MCP",
    "Budget",
    "Certificate",
    "Compact",
    "Contrast",
    "ElasticNet",
    "GroupL1",
    "Handle",
    "LogSum",
    "Measures",
    "Metric",
    "PathPoint",
    "Penalty",
    "Plan",
    "RegularizationPath",
    "Rules",
    "ShrinkageError",
    "ShrinkageWarning",
    "SparseGroupL1",
    "Stability",
    "StableSet",
    "Training",
    "attach",
    "certify",
    "compact",
    "contrast",
    "explore",
    "feature_rules",
    "from_glmnet",
    "from_sklearn",
    "from_weight_decay",
    "load_compact",
    "measure",
    "path",
    "polish",
    "register_metric",
]
