"""What undoes the scale of a layer: norms behind it, and what scaling passes through on the way.

f(a·x) = a·f(x) for a > 0, channel by channel.
"""

from collections.abc import Iterator

from torch import Tensor, fx, nn

from shrinkage.graph.functions import look_up, named

Kinds = tuple[type[nn.Module], ...]
Norm = tuple[str | None, bool]
"""Its name, None for anything else; and whether it comes directly."""


def norms_behind(
    graph: fx.Graph, modules: dict[str, nn.Module], layers: Kinds, norms: Kinds
) -> Iterator[tuple[str, set[Norm]]]:
    """For each of ``layers``, what all its outputs run into, by the name of its first use.

    Layers whose weight is also read by itself are left out.
    """
    read = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    calls: dict[int, list[fx.Node]] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls.setdefault(id(modules[str(node.target)]), []).append(node)
    for nodes in calls.values():
        name = str(nodes[0].target)
        if isinstance(modules[name], layers) and f"{name}.weight" not in read:
            yield name, {n for node in nodes for n in _ends(node, modules, norms, direct=True)}


def _ends(
    node: fx.Node, modules: dict[str, nn.Module], norms: Kinds, *, direct: bool
) -> Iterator[Norm]:
    if not node.users:
        yield None, direct
    for user in node.users:
        module = modules.get(str(user.target)) if user.op == "call_module" else None
        if isinstance(module, norms):
            yield str(user.target), direct
        elif keeps_scale(module) if module is not None else _passes_scale(user):
            yield from _ends(user, modules, norms, direct=False)
        else:
            yield None, direct


def keeps_scale(module: nn.Module) -> bool:
    """Whether scaling passes through a module of torch's."""
    kinds = [kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn")]
    is_homogeneous = any(named(kind.__name__).is_homogeneous for kind in kinds)
    return is_homogeneous or isinstance(module, nn.Identity)


def _passes_scale(node: fx.Node) -> bool:
    """Whether it passes through a function of a lone input."""
    name = str(node.target)
    func = getattr(Tensor, name, None) if node.op == "call_method" else node.target
    is_alone = len(node.all_input_nodes) == 1
    return is_alone and callable(func) and look_up(func)[0].is_homogeneous
