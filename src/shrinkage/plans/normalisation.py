"""Which weights the network ignores the size of, because a normalisation layer follows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from torch import fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from shrinkage.errors import RAISED
from shrinkage.graph.layers import NORMS, describe
from shrinkage.graph.scale import keeps_scale, norms_behind
from shrinkage.plans.grouping import Grouping, grouping


@dataclass(frozen=True)
class Invariance:
    """The network does not change where a row of ``rows.view(w)`` is scaled; ``norm`` undoes it.

    Batch and instance norm: a row is a filter; group norm: the filters of a group; layer and RMS
    norm: the whole layer.
    """

    norm: str
    rows: Grouping


def invariances(model: nn.Module) -> dict[str, Invariance]:
    """The layers of which it is certain, by name: read from the graph of ``torch.fx``.

    Every use of the layer's output must reach a normalisation layer, with nothing between them
    but what scaling passes through. A bias must not matter: batch and instance norm subtract it,
    unless a nonlinearity comes first. Modules that cannot be traced are read child by child;
    of what only they know nothing is certain. Layers with hooks are left out.
    """
    if not any(isinstance(module, NORMS) for module in model.modules()):
        return {}
    attributes = [(module, dict(vars(module))) for module in model.modules()]
    try:
        return dict(_certain(model, ""))
    finally:  # a forward may leave traced values behind
        for module, before in attributes:
            vars(module).clear()
            vars(module).update(before)


def _certain(module: nn.Module, prefix: str) -> Iterator[tuple[str, Invariance]]:
    try:
        graph = fx.Tracer().trace(module)
    except RAISED:  # the user's forward may raise anything on a traced value
        for name, child in module.named_children():
            yield from _certain(child, f"{prefix}{name}.")
        return
    modules = dict(module.named_modules(remove_duplicate=False))
    for name, found in norms_behind(graph, modules, (_ConvNd, nn.Linear), NORMS):
        layer = modules[name]
        kinds = {_invariance(layer, modules, prefix, norm, direct) for norm, direct in found}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is not None:
            yield prefix + name, kind


def _invariance(
    layer: nn.Module,
    modules: dict[str, nn.Module],
    prefix: str,
    norm_name: str | None,
    direct: bool,
) -> Invariance | None:
    if norm_name is None:
        return None
    norm = modules[norm_name]
    hooks = [m for m in (layer, norm) if m._forward_hooks or m._forward_pre_hooks]
    if hooks or "weight" not in layer._parameters or _outputs(layer) != _features(norm):
        return None
    shape = tuple(layer.get_parameter("weight").shape)
    filters = grouping("", shape, describe(layer, "weight").layout, "filter")
    n_rows = _rows(layer, norm, filters.n_groups, direct)
    if n_rows is None:
        return None
    rows = Grouping(shape, filters.split, filters.order, n_rows, prod(shape) // max(1, n_rows))
    return Invariance(prefix + norm_name, rows)


def _rows(layer: nn.Module, norm: nn.Module, n_filters: int, direct: bool) -> int | None:
    """Into how many rows the weight falls, each with a scale of its own; None if uncertain."""
    if isinstance(norm, _NormBase):
        return n_filters if direct or layer.bias is None else None
    if layer.bias is not None:
        return None
    if isinstance(norm, nn.GroupNorm):
        return norm.num_groups
    return 1 if isinstance(layer, nn.Linear) else None


def followed_by_norm(model: nn.Module) -> dict[str, str]:
    """Names of convolutions and linear layers whose output a norm layer seems to rescale.

    Maps the layer's name to the norm's. A guess, for warnings, where :func:`invariances` knows
    nothing for certain: the norm comes next in an ``nn.Sequential``, or a batch, instance or
    group norm is defined right behind a layer with as many outputs.
    """
    pairs: dict[str, str] = {}
    for prefix, module in model.named_modules():
        named = [(f"{prefix}.{name}" if prefix else name, m) for name, m in module.named_children()]
        kinds = NORMS if isinstance(module, nn.Sequential) else (_NormBase, nn.GroupNorm)
        for (name, layer), (norm_name, norm) in _neighbours(named):
            if isinstance(norm, kinds) and _outputs(layer) == _features(norm):
                pairs[name] = norm_name
    return pairs


def _neighbours(
    named: list[tuple[str, nn.Module]],
) -> Iterator[tuple[tuple[str, nn.Module], tuple[str, nn.Module]]]:
    solid = [(name, m) for name, m in named if not keeps_scale(m)]
    yield from pairwise(solid)


def _outputs(layer: nn.Module) -> int | None:
    if isinstance(layer, _ConvNd):
        return layer.out_channels
    return layer.out_features if isinstance(layer, nn.Linear) else None


def _features(norm: nn.Module) -> int | None:
    if isinstance(norm, _NormBase):
        return norm.num_features
    if isinstance(norm, nn.GroupNorm):
        return norm.num_channels
    shape = getattr(norm, "normalized_shape", ())
    return shape[-1] if shape else None
