"""How a penalty acts while a network trains: metrics of the optimizers, methods, attach."""

from shrinkage.proximal.acting import MethodName
from shrinkage.proximal.attach import Handle, attach
from shrinkage.proximal.metrics import Metric, register_metric

__all__ = ["Handle", "MethodName", "Metric", "attach", "register_metric"]
