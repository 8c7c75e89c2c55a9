"""How a penalty acts while a network trains: metrics of the optimizers, methods, attach."""

from shrinkage.optim.assignment import MethodName
from shrinkage.optim.attach import Handle, attach
from shrinkage.optim.metrics import Metric, register_metric
from shrinkage.optim.warmup import Warmup

__all__ = ["Handle", "MethodName", "Metric", "Warmup", "attach", "register_metric"]
