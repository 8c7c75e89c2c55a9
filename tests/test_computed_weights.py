"""Weights that a layer computes from others: weight_norm, prune, parametrizations."""

import warnings
from collections.abc import Callable
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import shrinkage as sh
from shrinkage.errors import PlanError, ShrinkageError, ShrinkageWarning
from shrinkage.plans import Plan

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")

FORMS: dict[str, Callable[..., Any]] = {
    "hook": nn.utils.weight_norm,
    "parametrization": parametrizations.weight_norm,
}
BOTH = pytest.mark.parametrize("wrap", FORMS.values(), ids=FORMS)


def network(wrap: Callable[[nn.Module], nn.Module]) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(wrap(nn.Linear(10, 16)), nn.ReLU(), nn.Linear(16, 1))


def table() -> tuple[Tensor, Tensor]:
    x = torch.randn(256, 10, generator=torch.Generator().manual_seed(0))
    return x, x[:, :1] - x[:, 1:2]


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> float:
    x, y = table()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


def chosen(plan: Plan) -> list[str]:
    return [entry.name for entry in plan.penalised]


def effective(layer: nn.Module, name: str = "weight") -> Tensor:
    """The weight that the layer computes with."""
    for hook in layer._forward_pre_hooks.values():
        hook(layer, ())
    return getattr(layer, name).detach()


# -------------------------------------------------------------------------------- weight_norm


@BOTH
@pytest.mark.parametrize(
    "rules",
    [
        sh.L1(0.05),
        {nn.Linear: sh.L1(0.05)},
        {"0": sh.L1(0.05), "2": sh.L1(0.05)},
        {"0.weight": sh.L1(0.05), "2.weight": sh.L1(0.05)},
        {"*.weight": sh.L1(0.05)},
        sh.ElasticNet(0.05, 0.01),
        sh.GroupL1(0.02),
        sh.SparseGroupL1(0.02, 0.01),
    ],
    ids=str,
)
def test_the_magnitude_is_penalised_and_its_zeros_are_rows(wrap: Any, rules: Any) -> None:
    net = network(wrap)
    plan = Plan(net, rules)
    magnitude, second = chosen(plan)
    assert magnitude in ("0.weight_g", "0.parametrizations.weight.original0")
    assert second == "2.weight"
    assert "the magnitude of weight_norm" in str(plan).replace("\n", " ")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    sh.attach(optimizer, plan)
    assert train(net, optimizer, 200) < 1
    rows = effective(net[0])
    assert rows.isfinite().all()
    dead = net.get_parameter(magnitude).flatten() == 0
    assert 0 < int(dead.sum()) < 16
    assert torch.equal(dead, (rows == 0).all(dim=1))
    assert int(sh.measure(net, plan).weights.layers[0].zero_units or 0) == int(dead.sum())


LAYERS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "linear": (lambda: nn.Linear(5, 4), "weight"),
    "one output": (lambda: nn.Conv1d(6, 1, 3), "weight"),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), "weight"),
    "recurrent": (lambda: nn.LSTM(3, 5), "weight_hh_l0"),
}


@BOTH
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("penalty", [sh.GroupL1(0.3), sh.L2(0.3)], ids=["group", "l2"])
def test_groups_and_squares_are_those_of_the_weight(
    wrap: Any, kind: str, penalty: sh.Penalty
) -> None:
    make, name = LAYERS[kind]
    torch.manual_seed(0)
    layer = make().double()
    rules = {f"*{name}*": penalty}
    expected = Plan(layer, rules).value()
    wrap(layer, name)
    assert Plan(layer, rules).value() == pytest.approx(expected, rel=1e-12)


@BOTH
def test_l1_on_the_magnitude_is_a_sum_of_norms(wrap: Any) -> None:
    layer = nn.Linear(5, 4).double()
    norms = layer.weight.detach().norm(dim=1).sum()
    assert Plan(wrap(layer), sh.L1(0.3)).value() == pytest.approx(0.3 * float(norms), rel=1e-12)


@BOTH
def test_the_group_lasso_has_the_same_minimum_either_way(wrap: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=generator, dtype=torch.float64)
    y = x[:, :1] @ torch.tensor([[1.0, 0.5, 0.0]], dtype=torch.float64)
    y += 0.1 * torch.randn(200, 3, generator=generator, dtype=torch.float64)
    torch.manual_seed(0)
    plain = nn.Linear(6, 3).double()
    exact = sh.polish(plain, Plan(plain, sh.GroupL1(0.05)), (x, y), nn.MSELoss())
    torch.manual_seed(0)
    layer = wrap(nn.Linear(6, 3).double())
    plan = Plan(layer, sh.GroupL1(0.05))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    sh.attach(optimizer, plan)
    for _ in range(1000):
        optimizer.zero_grad()
        nn.functional.mse_loss(layer(x), y).backward()
        optimizer.step()
    found = sh.certify(layer, plan, (x, y), nn.MSELoss())
    assert found.objective == pytest.approx(exact.objective, rel=1e-3)
    assert torch.equal((effective(layer) == 0).all(dim=1), (plain.weight == 0).all(dim=1))
    assert (plain.weight[2] == 0).all()


@BOTH
def test_a_magnitude_has_no_groups_across_its_rows(wrap: Any) -> None:
    for by in ("input", "kernel"):
        with pytest.raises(PlanError, match=f"no {by} axis"):
            Plan(wrap(nn.Linear(4, 3)), sh.GroupL1(1.0, by=by))
    with pytest.raises(PlanError, match="no filter axis"):
        Plan(wrap(nn.Linear(4, 3), dim=None), sh.GroupL1(1.0))
    transposed = wrap(nn.ConvTranspose2d(4, 6, 2, groups=2), dim=0)  # its first axis: the inputs
    by_input = Plan(transposed, sh.GroupL1(1.0, by="input"))
    assert by_input.penalised[0].grouping.n_groups == 4
    assert by_input.value() == pytest.approx(
        sqrt(12) * float(effective(transposed).flatten(1).norm(dim=1).sum()), rel=1e-6
    )


@BOTH
def test_the_magnitude_of_an_embedding_is_an_embedding(wrap: Any) -> None:
    net = nn.Sequential(wrap(nn.Embedding(5, 3)), nn.Linear(3, 1))
    assert chosen(Plan(net, sh.L1(1.0))) == ["1.weight"]
    expected = sqrt(3) * float(effective(net[0]).norm(dim=1).sum())
    plan = Plan(net, {nn.Embedding: sh.GroupL1(1.0, by="input")})
    assert plan.value() == pytest.approx(expected, rel=1e-6)


@BOTH
def test_the_direction_is_left_alone(wrap: Any) -> None:
    net = network(wrap)
    (name,) = (n for n, p in net.named_parameters() if p.shape == (16, 10))
    reasons = {entry.name: entry.reason for entry in Plan(net, sh.L1(1.0)).entries}
    assert reasons[name].startswith("the direction of weight_norm")
    with pytest.warns(ShrinkageWarning, match=r"penalises nothing.*the direction of weight_norm"):
        Plan(net, {name: sh.L1(1.0), "2": sh.L1(1.0)})
    with pytest.raises(PlanError, match=r"penalises nothing.*the direction of weight_norm"):
        Plan(net, {name: sh.L1(1.0), "2": None})


@BOTH
def test_a_norm_behind_a_magnitude_is_seen(wrap: Any) -> None:
    net = nn.Sequential(wrap(nn.Linear(4, 3)), nn.BatchNorm1d(3))
    with pytest.warns(ShrinkageWarning, match="a normalisation layer undoes the size"):
        Plan(net, sh.L1(1.0))


# ----------------------------------------------------------------- what has no size, or no meaning


class Symmetric(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w.triu() + w.triu(1).mT


def symmetric(layer: nn.Linear) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", Symmetric())


WITHOUT_MEANING = {
    "spectral hook": (nn.utils.spectral_norm, "spectral_norm undoes its size"),
    "spectral": (parametrizations.spectral_norm, "spectral_norm undoes its size"),
    "orthogonal": (parametrizations.orthogonal, "the weight is orthogonal whatever this is"),
    "own": (symmetric, "a parametrization computes the weight from it"),
}


@pytest.mark.parametrize("kind", WITHOUT_MEANING)
@pytest.mark.parametrize("key", ["*", nn.Linear, "[02]", "*.weight*"], ids=str)
def test_what_has_no_meaning_is_left_out_with_one_warning(kind: str, key: Any) -> None:
    wrap, why = WITHOUT_MEANING[kind]
    net = nn.Sequential(wrap(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plan = Plan(net, {key: sh.L1(1.0)})
    (told,) = (str(w.message) for w in caught)
    assert "leaves out a matrix, 16 of 25 weights: 0." in told
    assert why in told
    assert "{'0.weight': None}" in told
    assert chosen(plan) == ["2.weight"]
    assert chosen(Plan(net, {"0.weight": None, key: sh.L1(1.0)})) == ["2.weight"]
    with pytest.raises(PlanError, match=f"penalises nothing.*{why}"):
        Plan(net, {"0": sh.L1(1.0), "2": None})


def test_an_original_is_penalised_by_its_own_name() -> None:
    net = nn.Sequential(symmetric(nn.Linear(4, 4)), nn.Linear(4, 1))
    name = "0.parametrizations.weight.original"
    assert chosen(Plan(net, {name: sh.L1(1.0)})) == [name]
    assert chosen(Plan(net, {"*.original": sh.L1(1.0)})) == [name]


# -------------------------------------------------------------------------------------- prune


@pytest.mark.parametrize(
    "rules", [sh.L1(1e-2), {nn.Linear: sh.L1(1e-2)}, {"0.weight": sh.L1(1e-2)}], ids=str
)
def test_a_mask_leaves_the_weight_penalised(rules: Any) -> None:
    net = network(lambda layer: layer)
    prune.random_unstructured(net[0], "weight", 0.5)
    plan = Plan(net, rules)
    assert chosen(plan)[0] == "0.weight_orig"
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, plan)
    train(net, optimizer, 400)
    masked = net[0].weight_mask == 0
    assert (net[0].weight_orig[masked] == 0).all()  # zeros in effect, and then zeros
    assert int((net[0].weight_orig[~masked] == 0).sum()) > 0
    groups = Plan(net, {"0": sh.GroupL1(1.0, by="input")}).penalised[0].grouping
    assert (groups.n_groups, groups.group_size) == (10, 16)


# ------------------------------------------------------------------------- after the plan was made


def _tie(net: nn.Sequential) -> None:
    net[2].weight = net[0].weight


CHANGES: dict[str, Callable[[nn.Sequential], Any]] = {
    "pruned": lambda net: prune.l1_unstructured(net[0], "weight", 0.3),
    "weight_norm": lambda net: parametrizations.weight_norm(net[0]),
    "weight_norm hook": lambda net: nn.utils.weight_norm(net[0]),
    "replaced": lambda net: net.__setitem__(0, nn.Linear(10, 10)),
    "reshaped": lambda net: (
        net.__setitem__(0, nn.Linear(10, 7)),
        net.__setitem__(2, nn.Linear(7, 10)),
    ),
    "deleted": lambda net: net.__delitem__(0),
    "tied": _tie,
}


@pytest.mark.parametrize(
    ("make", "remove"),
    [
        (prune.identity, prune.remove),
        (nn.utils.weight_norm, nn.utils.remove_weight_norm),
        (parametrizations.weight_norm, parametrize.remove_parametrizations),
    ],
)
def test_a_mask_or_norm_that_is_removed_after_the_plan_is_refused(make: Any, remove: Any) -> None:
    layer = nn.Linear(3, 2)
    make(layer, "weight")
    plan = Plan(layer, sh.L1(1.0))
    remove(layer, "weight")
    with pytest.raises(PlanError, match="no longer has the parameter"):
        plan.value()
    assert Plan(layer, sh.L1(1.0)).value() > 0


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("steps", [2, 15])  # one by one, and many parameters at once
def test_a_network_that_changes_after_attach_is_refused(change: str, steps: int) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10), nn.Linear(10, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    handle = sh.attach(optimizer, Plan(net, sh.L1(1e-3)))
    train(net, optimizer, steps)
    CHANGES[change](net)
    with pytest.raises(ShrinkageError, match=r"remove\(\)") as caught:
        train(net, optimizer, 1)
    assert "0.weight" in str(caught.value) or "2.weight" in str(caught.value)
    handle.remove()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    plan = Plan(net, sh.L1(3e-2))
    sh.attach(optimizer, plan)
    train(net, optimizer, 100)
    assert any(int((p == 0).sum()) for _, _, p in plan.blocks())


@pytest.mark.parametrize("kind", ["pruned", "weight_norm"])
def test_coupled_groups_of_a_network_that_has_run(kind: str) -> None:
    """A hook leaves the weight that it has computed, which cannot be copied, in the layer."""
    plans = []
    for has_run in (False, True):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
        x = torch.randn(4, 6)
        if kind == "pruned":
            prune.l1_unstructured(net[0], "weight", amount=0.5)
        else:
            nn.utils.weight_norm(net[0])
        if has_run:
            net(x)
        try:
            plans.append(str(sh.Plan(net, sh.GroupL1(0.1, coupled=True), example_inputs=x)))
        except PlanError as error:
            plans.append(str(error))
    assert plans[0] == plans[1]
    assert "parameters penalised" in plans[0]
