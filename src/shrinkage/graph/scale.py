"""What scaling passes through: f(a·x) = a·f(x) for a > 0, channel by channel."""

from torch import Tensor, fx, nn

from shrinkage.graph.functions import look_up, named


def keeps_scale(module: nn.Module) -> bool:
    """Whether a module of torch's is one such function."""
    kinds = [kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn")]
    is_homogeneous = any(named(kind.__name__).is_homogeneous for kind in kinds)
    return is_homogeneous or isinstance(module, nn.Identity)


def passes_scale(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a step of a traced network, perhaps a call of ``module``, is one of a lone input."""
    if module is not None:
        return keeps_scale(module)
    if len(node.all_input_nodes) > 1:
        return False
    name = str(node.target)
    func = getattr(Tensor, name, None) if node.op == "call_method" else node.target
    return callable(func) and look_up(func)[0].is_homogeneous
