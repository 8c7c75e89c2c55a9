"""A point's training in a network without what nobody reads any more, and the way back.

Along an ascending path units and inputs leave. A point then trains what is left, which is cut out
physically, and its weights are written back to where they came from. That is the training of the
whole network with the zeros of what has left held at zero. A unit without weights on either side
gets no gradient anyway; for an input, and for a unit that others no longer read, it is the
sequential strong rule read upwards: where gradients change no faster than λ does, what the
penalty holds at zero at one λ it holds at every larger one. Source: Tibshirani et al., Strong
Rules for Discarding Predictors in Lasso-type Problems (2012), §2 and §5.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from shrinkage.compression.unread import leaving
from shrinkage.data import Examples
from shrinkage.errors import CompactionError, PlanError
from shrinkage.experiments.fit import Training
from shrinkage.experiments.paths.setting import PathSetting
from shrinkage.graph.cut import Cuts
from shrinkage.graph.scatter import scatter_back, zero_removed
from shrinkage.plans import Plan
from shrinkage.plans.remainder import remaining
from shrinkage.runs import ShrunkRecord

ExamplesByPart = dict[str, Examples]

LEAST = 0.2
"""The share of the parameters that must go, so that it pays to look and to copy the data."""
_ROWS = 8
"""Examples that the network is run on to see what it reads."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What is trained in the place of a whole network: itself, or what is left of it.

    ``note``: what a point says of it, see :func:`shrunk`.
    """

    whole: nn.Module
    model: nn.Module
    plan: Plan
    parts: ExamplesByPart
    note: ShrunkRecord | None = None
    cuts: Cuts = field(default_factory=lambda: Cuts({}, {}))

    def back(self) -> None:
        """Write what was trained into the whole network; may be called again and again."""
        if self.model is not self.whole:
            scatter_back(self.model, self.whole, self.cuts)


def shrunk(
    setting: PathSetting, plan: Plan, parts: ExamplesByPart, *, zeros_held: bool = False
) -> Trained:
    """What to train in the place of the plan's network.

    ``zeros_held``: all penalised zeros are held in training, not by a kink of the penalty alone.
    What leaves is set to zero where the penalty acts, which does not reach it any more; else it
    stays as it is. The network is trained whole where less than a fifth of its parameters would
    go, and where it cannot be cut.

    The note is None where nothing was cut; else it has the share of the parameters and the number
    of inputs that are left, or why the network was trained whole.
    """
    model = plan.model
    whole = Trained(model, model, plan, parts)
    held = {entry.path for entry, penalty, _ in plan.blocks() if zeros_held or penalty.slope}
    if not setting.shrink or not _has_shrunk(model, held):
        return whole
    try:
        return _cut(setting, whole, held)
    except (CompactionError, PlanError) as error:
        return replace(whole, note=ShrunkRecord(whole=str(error)))


def _cut(setting: PathSetting, whole: Trained, held: Collection[str]) -> Trained:
    model, plan, parts = whole.model, whole.plan, whole.parts
    x = parts["train"].x[:_ROWS]
    acts = any(penalty != penalty.scaled(0) for _, penalty, _ in plan.blocks())
    found = leaving(model, (x,), held, drop_inputs=_may_drop(setting, model))
    small = found.small(model)
    left = _size(small) / _size(model)
    if left > 1 - LEAST:
        return whole
    small_parts = {name: _reading(part, found.inputs) for name, part in parts.items()}
    example = setting.example if found.inputs is None else _columns(setting.example, found.inputs)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if acts:
        zero_removed(model, found.cuts)
    try:
        small_plan = remaining(plan, small, example)
    except PlanError:
        model.load_state_dict(before)
        raise
    n_inputs = x[0].numel() if found.inputs is None else len(found.inputs)
    note = ShrunkRecord(parameters=left, inputs=n_inputs)
    return Trained(model, small, small_plan, small_parts, note, found.cuts)


def _may_drop(setting: PathSetting, model: nn.Module) -> bool:
    """Whether inputs may leave: a dense layer takes them, and no code of the user's the batches."""
    return isinstance(setting.train, Training) and any(
        isinstance(module, nn.Linear) and module.in_features == setting.data.spec.n_inputs
        for module in model.modules()
    )


def _has_shrunk(model: nn.Module, held: Collection[str]) -> bool:
    """A quick look: has a weight so many zero slices that a fifth of all parameters may go?

    Where every weight keeps more than √0.8 of its inputs and of its outputs, less go.
    """
    for name in held:
        weight = model.get_parameter(name).detach()
        for dim in range(min(2, weight.ndim)) if weight.ndim > 1 else ():
            alive = (weight != 0).transpose(0, dim).flatten(1).any(dim=1)
            if float(alive.float().mean()) <= (1 - LEAST) ** 0.5:
                return True
    return False


def _reading(part: Examples, inputs: Tensor | None) -> Examples:
    return part if inputs is None else Examples(_columns(part.x, inputs), part.y)


def _columns(x: Tensor, inputs: Tensor) -> Tensor:
    return x.flatten(1).index_select(1, inputs.to(x.device))


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
