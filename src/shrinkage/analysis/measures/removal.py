"""What is lost when the strongest connections are cut."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shrinkage.analysis.measures.evaluation import Evaluation, evaluate_forward
from shrinkage.analysis.measures.losses import Loss
from shrinkage.arguments import check_type
from shrinkage.data import examples
from shrinkage.errors import PlanError, ShrinkageError
from shrinkage.graph.untouched import home, untouched
from shrinkage.graph.wrappers import check_network
from shrinkage.plans import Plan


def without_largest(
    model: nn.Module,
    plan: Plan,
    share: float,
    data: object,
    loss: Loss | None = None,
) -> Evaluation:
    """The evaluation of ``model`` with its largest penalised weights set to 0.

    ``share`` (0…1) of the *nonzero* penalised weights is cut: the largest by |w| over all layers
    together, the nearest whole number of them, at least one where ``share`` > 0. The network
    itself stays as it is. ``data``: Examples, a pair (X, y), a Dataset or a loader. Otherwise as
    :func:`evaluate`. Raises :class:`ShrinkageError` for a
    share outside 0…1 and :class:`PlanError` for a plan of another network.
    """
    if not 0 <= share <= 1:
        raise ShrinkageError(
            "share is out of range",
            got=share,
            expected="a part of the weights, 0 to 1",
            remedy="0.01 cuts the largest 1 %.",
        )
    check_same(model, plan)
    with untouched(model), torch.no_grad():
        cut = _cut(model, plan, share)
        return evaluate_forward(
            lambda x: functional_call(model, cut, (x,)), home(model), examples(data), loss
        )


def check_same(model: nn.Module, plan: Plan) -> None:
    """Raise :class:`PlanError` unless ``plan`` is of ``model``, or of what it wraps."""
    check_network(model, "The order is (model, plan, data, loss).")
    held = getattr(plan, "plan", None)
    check_type(
        "this is no plan",
        plan,
        Plan,
        expected="a Plan for the network",
        remedy="Pass the plan that it holds: handle.plan."
        if isinstance(held, Plan)
        else "Make one: plan = Plan(model, L1(1e-4)); the order is (model, plan, data, loss).",
        error=PlanError,
    )
    own = {id(parameter) for parameter in model.parameters()}
    strange = [entry.name for entry, _, parameter in plan.blocks() if id(parameter) not in own]
    if strange:
        raise PlanError(
            "the plan belongs to another network",
            got=f"a plan whose {strange[0]!r} is another network's",
            expected="a plan made for the network that is measured",
            remedy=_right(model, plan),
        )
    plan.check_placed()


def _right(model: nn.Module, plan: Plan) -> str:
    """What to pass instead; a plan for this network only where its rules fit."""
    if own := {id(parameter) for parameter in model.parameters()}:
        whole = {id(parameter) for parameter in plan.model.parameters()}
        if own <= whole:
            return "Pass the whole network, plan.model; or make a plan for this part of it."
    by_hand = "Make a plan for this network, with rules that name its own layers."
    try:
        again = plan.anew(model)
    except ShrinkageError:
        return by_hand
    inputs = ", example_inputs=x" if again.coupled else ""
    return f"Make the plan again: Plan(model, plan.rules{inputs})."


def _cut(model: nn.Module, plan: Plan, share: float) -> dict[str, Tensor]:
    """The penalised parameters by the names that ``model`` has for them, the largest cut."""
    blocks = [parameter.detach() for _, _, parameter in plan.blocks()]
    sizes = torch.cat([weight.reshape(-1).abs().double().cpu() for weight in blocks])
    nonzeros = int(sizes.count_nonzero())
    count = max(1, round(share * nonzeros)) if share and nonzeros else 0
    keep = torch.ones_like(sizes, dtype=torch.bool)
    keep[sizes.topk(count).indices] = False
    masks = torch.split(keep, [weight.numel() for weight in blocks])
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        names[id(parameter)]: torch.where(
            mask.view(parameter.shape).to(parameter.device),
            parameter.detach(),
            torch.zeros_like(parameter),
        )
        for (_, _, parameter), mask in zip(plan.blocks(), masks, strict=True)
    }
