"""The penalty that drops inputs, for networks whose first layer is dense."""

from torch import nn

from shrinkage.analysis.features.first_layers import first_layers
from shrinkage.arguments import as_shape
from shrinkage.errors import PlanError
from shrinkage.graph.wrappers import canonical, check_network
from shrinkage.penalties import L1, GroupL1, Penalty
from shrinkage.penalties.base import check_strength
from shrinkage.plans import Rules
from shrinkage.plans.rules import Key

DEEPER = 1.0
"""Strength of L1 behind the first layer, as a share of that of the inputs' groups."""


def feature_rules(model: nn.Module, input_shape: tuple[int, ...], strength: float = 1.0) -> Rules:
    """Rules under which whole inputs leave: GroupL1 by input on the first layer, L1 behind it.

    cost = loss + s·Σ_k √m·‖W_k‖₂ + s·Σ|v|, with W_k the m weights that leave input k and v the
    weights of all deeper layers. Without the second term the first could be dodged: a ReLU network
    computes the same with W/c and c·v, so its penalty would have no minimum. A network that is
    linear has the first term alone, the (grouped) lasso. Raises :class:`PlanError` for a network
    without a dense first layer. Source: Feng & Simon, Sparse-Input Neural Networks (2017).

    >>> from torch.nn import Linear, ReLU, Sequential
    >>> network = Sequential(Linear(8, 4), ReLU(), Linear(4, 1))
    >>> [str(rule.penalty) for rule in feature_rules(network, (8,)).rules]
    ["GroupL1(strength=1.0, by='input')", 'L1(strength=1.0)']
    """
    check_network(model, "Call feature_rules(model, input_shape).")
    input_shape, strength = as_shape(input_shape), check_strength("strength", strength)
    first = first_layers(model, input_shape)
    if not first:
        raise PlanError(
            "the network has no dense first layer whose columns are its inputs",
            got=type(model).__name__,
            expected=f"a linear layer of {nn.Flatten.__name__.lower()}ed inputs {input_shape}",
            remedy="Write rules by hand: Rules({'first*': GroupL1(1.0, by=\"input\"), …}).",
        )
    group = GroupL1(strength, by="input")
    rules: dict[Key, Penalty | None] = {canonical(name): group for name in first}
    weights = [name for name, p in model.named_parameters() if p.ndim > 1]
    if all(name.rpartition(".")[0] in first for name in weights):
        return Rules(group)
    return Rules({**rules, "*": L1(DEEPER * strength)})
