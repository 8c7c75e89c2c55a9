"""A click becomes a target: a weight, a filter or a neuron of the networks side by side."""

from collections.abc import Sequence
from math import prod

from shrinkage.errors import ExploreError
from shrinkage.explorer.commands import Select
from shrinkage.explorer.lanes import Lane
from shrinkage.explorer.scene import Scene
from shrinkage.explorer.stories import Target


def chosen(command: Select, scene: Scene, lanes: Sequence[Lane]) -> Target:
    """What a click means; :class:`ExploreError` where there is nothing."""
    if command.kind == "size":
        return _of_size(command, lanes)
    layer = scene.layer(command.parameter)
    if layer is None:
        raise _nothing(command)
    count = layer.units.n_groups if command.kind == "unit" else prod(layer.units.shape)
    if command.kind not in ("unit", "weight") or not 0 <= command.index < count:
        raise _nothing(command)
    units = layer.units if command.kind == "unit" else None
    return Target(layer.path, layer.name, command.index, units)


def _of_size(command: Select, lanes: Sequence[Lane]) -> Target:
    """The middle one, by place, of a column's weights in a bin of the histogram."""
    lane = next((lane for lane in lanes if lane.name == command.column), None)
    found = []
    for entry, _, p in lane.plan.blocks() if lane is not None else ():
        flat = p.detach().flatten()
        inside = (flat >= command.low) & (flat <= command.high)
        at = (inside if command.low == command.high == 0 else inside & (flat != 0)).nonzero()
        found += [(entry, int(place)) for place in at.flatten()]
    if not found:
        raise _nothing(command)
    entry, place = found[len(found) // 2]
    return Target(entry.path, entry.name, place)


def named(target: Target, scene: Scene) -> str:
    """``conv1.weight, filter 3`` or ``out.weight[2, 40]``."""
    layer = scene.layer(target.path)
    shape = () if layer is None else tuple(layer.units.shape)
    if target.is_unit:
        return f"{target.name}, {'filter' if len(shape) > 2 else 'neuron'} {target.index + 1}"
    at, left = [], target.index
    for size in reversed(shape):
        left, here = divmod(left, size)
        at.append(str(here))
    return f"{target.name}[{', '.join(reversed(at)) or target.index}]"


def _nothing(command: Select) -> ExploreError:
    return ExploreError(
        "there is nothing to tell about here",
        got=f"{command.kind} {command.parameter or command.column} {command.index}",
        expected="a weight, a filter or a neuron of a penalised layer",
        remedy="Click another one.",
    )
