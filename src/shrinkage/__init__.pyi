"""What ``import shrinkage`` offers, loaded when it is first asked for: PyTorch takes seconds."""

from .analysis.certificates import Certificate, certify
from .analysis.features import Stability, StableSet, feature_rules
from .analysis.measures import Measures, measure
from .analysis.polish import polish
from .compression import Compact, compact, load_compact, predict
from .errors import ShrinkageError, ShrinkageWarning
from .experiments.contrasts import Contrast, contrast
from .experiments.fit import Budget, Training
from .experiments.paths import PathPoint, RegularizationPath, path
from .explorer import explore
from .optim import Handle, Metric, Warmup, attach, register_metric
from .penalties import (
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
from .plans import Plan, Rules, register_layer

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
    "Warmup",
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
    "predict",
    "register_layer",
    "register_metric",
]
