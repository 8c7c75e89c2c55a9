"""How a penalty acts while a network trains: metrics of the optimizers, methods, attach."""

from shrinkage.proximal.attach import Handle, MethodName, attach

__all__ = ["Handle", "MethodName", "attach"]
