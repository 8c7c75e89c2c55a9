"""certify: right by hand, right for every kind of batch, and not fooled."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, Dataset, TensorDataset

import shrinkage as sh
from shrinkage.analysis import gaps
from shrinkage.data import load
from shrinkage.errors import DataError, FitError, PlanError


def cancer() -> tuple[Tensor, Tensor]:
    data = load("breast_cancer")
    x = data.x.double()
    return (x - x.mean(dim=0)) / x.std(dim=0), data.y


def linear(x: Tensor, outputs: int = 2) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(x.shape[1], outputs).double()


def descend(net: nn.Module, plan: sh.Plan, x: Tensor, y: Tensor, steps: int = 4000) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    handle = sh.attach(optimizer, plan, method="prox")
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        optimizer.step()
    handle.remove()


# ------------------------------------------------------------------------------------- by hand


def test_every_figure_by_hand() -> None:
    net = nn.Linear(2, 1).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[2.0, 0.0]]))
        net.bias.fill_(1.0)
    x = torch.tensor([[1.0, 1.0], [0.0, 2.0]], dtype=torch.float64)
    y = torch.tensor([[2.0], [1.0]], dtype=torch.float64)
    found = sh.certify(net, sh.Plan(net, sh.L1(0.5)), (x, y))
    # predictions 3 and 1, residuals 1 and 0: loss ½, ∂loss/∂w = (1, 1), ∂loss/∂b = 1
    assert found.loss == pytest.approx(0.5)
    assert found.penalty == pytest.approx(1.0)
    assert found.objective == pytest.approx(1.5)
    assert found.null_objective == pytest.approx(0.25)  # the best constant is 1.5
    weight, bias = found.per_parameter["weight"], found.per_parameter["bias"]
    assert weight.residual == pytest.approx(1.5)  # |1 + ½| at w = 2, 1 − ½ at w = 0
    assert weight.gap == pytest.approx(3.0)
    assert bias.residual == pytest.approx(1.0)
    assert bias.gap == pytest.approx(2.0)  # over the smallest slope of the plan
    assert (found.gap, found.residual) == (pytest.approx(3.0), pytest.approx(1.5))
    assert (found.nonzeros, found.penalised, weight.size) == (1, 2, 2)
    assert found.kink_gap is None


def test_groups_divide_by_their_own_slope() -> None:
    net = nn.Linear(4, 1, bias=False).double()
    nn.init.zeros_(net.weight)
    x = torch.eye(4, dtype=torch.float64)
    y = torch.ones(4, 1, dtype=torch.float64)
    found = sh.certify(net, sh.Plan(net, sh.GroupL1(0.1)), (x, y))
    # ∇loss = −½ each, norm 1; slope 0.1·√4 = 0.2
    assert found.residual == pytest.approx(0.8)
    assert found.gap == pytest.approx(4.0)


def test_a_smooth_plan_divides_by_the_gradient() -> None:
    net = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(net.weight)
    one = torch.ones(1, 1, dtype=torch.float64)
    found = sh.certify(net, sh.Plan(net, sh.L2(0.25)), (one, 2 * one))
    assert found.residual == pytest.approx(1.5)  # |−2 + ½|
    assert found.gap == pytest.approx(0.75)


def test_strength_zero_is_allowed() -> None:
    x, y = cancer()
    net = linear(x)
    found = sh.certify(net, sh.Plan(net, sh.L1(0.0)), (x, y))
    assert found.penalty == 0
    assert found.gap == pytest.approx(1.0)


def test_it_prints_what_it_found() -> None:
    x, y = cancer()
    net = linear(x)
    found = sh.certify(net, sh.Plan(net, sh.L1(1e-2)), (x, y), samples=2)
    for part in ("objective", "best constant", "gap", "kink-aware gap", "weight", "bias", "60"):
        assert part in str(found)
    table = [line.split() for line in str(found).splitlines() if line.startswith("weight ")]
    row = found.per_parameter["weight"]
    counts = [str(row.nonzeros), "of", str(row.size)]
    assert table == [["weight", f"{row.gap:.3g}", f"{row.residual:.3g}", *counts]]


@pytest.mark.parametrize(("layers", "shown"), [(2, "0.weight, 3.weight."), (7, "and 1 more.")])
def test_rows_on_spheres_are_named(layers: int, shown: str) -> None:
    blocks = [m for _ in range(layers) for m in (nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU())]
    net = nn.Sequential(*blocks, nn.Linear(3, 1))
    plan = sh.Plan(net, sh.L1(1e-2), rescale=True)
    notes = sh.certify(net, plan, (torch.randn(9, 3), torch.randn(9, 1))).notes
    (told,) = [note for note in notes if note.startswith("Judged at the norms they have")]
    assert told.endswith(shown)
    assert ("more" in told) == (layers > 6)


# ------------------------------------------------------------------------------- not to be fooled


@pytest.fixture(scope="module")
def solved() -> tuple[nn.Linear, Tensor, Tensor]:
    x, y = cancer()
    net = linear(x)
    descend(net, sh.Plan(net, sh.L1(0.01)), x, y)
    return net, x, y


def test_a_minimiser_passes(solved: Any) -> None:
    net, x, y = solved
    found = sh.certify(net, sh.Plan(net, sh.L1(0.01)), (x, y))
    assert found.gap < 1e-3
    assert 0 < found.nonzeros < 40
    assert found.objective < 0.7 * found.null_objective


def test_a_dead_network_with_a_fitted_bias_is_exposed_by_the_null_objective() -> None:
    x, y = cancer()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net[2].bias.copy_((torch.bincount(y).double() / len(y)).log())
    found = sh.certify(net, sh.Plan(net, sh.L1(0.01)), (x, y))
    assert found.gap < 1e-6
    assert found.nonzeros == 0
    assert found.objective == pytest.approx(found.null_objective, rel=1e-6)


def _unfit(net: nn.Linear) -> sh.L1:
    with torch.no_grad():
        net.bias.add_(torch.tensor([0.2, -0.2], dtype=torch.float64))
    return sh.L1(0.01)


SABOTEURS: dict[str, Callable[[nn.Linear], sh.Penalty]] = {
    "unfitted bias": _unfit,
    "doubled penalty": lambda _: sh.L1(0.005),
    "wrong strength": lambda _: sh.L1(0.011),
    "another penalty": lambda _: sh.ElasticNet(0.01, 0.01),
}


@pytest.mark.parametrize("saboteur", SABOTEURS)
def test_what_was_not_minimised_fails(saboteur: str, solved: Any) -> None:
    net, x, y = solved
    net = copy.deepcopy(net)
    penalty = SABOTEURS[saboteur](net)
    assert sh.certify(net, sh.Plan(net, penalty), (x, y)).gap > 0.04


# ------------------------------------------------------------------------------ any data, any loss


class Rows(Dataset[Any]):
    """A dataset that is no TensorDataset, with a random shift if asked."""

    def __init__(self, x: Tensor, y: Tensor, noise: float = 0.0) -> None:
        self.x, self.y, self.noise = x, y, noise

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index] + self.noise * torch.randn(()), self.y[index]


@pytest.mark.parametrize(
    "serve",
    [
        TensorDataset,
        lambda x, y: DataLoader(TensorDataset(x, y), batch_size=100, shuffle=True),
        lambda x, y: DataLoader(Rows(x, y), batch_size=7),
        lambda x, y: (x.numpy(), y.numpy()),
    ],
)
def test_ragged_batches_weigh_what_they_hold(serve: Any, solved: Any) -> None:
    net, x, y = solved
    plan = sh.Plan(net, sh.L1(0.02))
    whole, parts = sh.certify(net, plan, (x, y)), sh.certify(net, plan, serve(x, y))
    assert parts.objective == pytest.approx(whole.objective, rel=1e-12)
    assert parts.gap == pytest.approx(whole.gap, rel=1e-9)
    assert parts.null_objective == pytest.approx(whole.null_objective, rel=1e-9)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0], dtype=torch.float64)),
        nn.CrossEntropyLoss(ignore_index=1),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda prediction, y: mse_loss(prediction[:, 1], y.double()),
    ],
)
def test_losses_are_taken_as_they_are(loss: Any) -> None:
    x, y = cancer()
    order = y.argsort(stable=True)  # whole batches of one class
    x, y = x[order], y[order]
    net = linear(x)
    value = loss(net(x), y)
    (weight, bias) = torch.autograd.grad(value, (net.weight, net.bias))
    found = sh.certify(
        net, sh.Plan(net, sh.L1(0.01)), DataLoader(TensorDataset(x, y), batch_size=50), loss
    )
    assert found.loss == pytest.approx(float(value.detach()), rel=1e-9)
    expected = (weight + 0.01 * net.weight.detach().sign()).abs().max()
    assert found.per_parameter["weight"].residual == pytest.approx(float(expected), rel=1e-6)
    assert found.per_parameter["bias"].residual == pytest.approx(float(bias.abs().max()), rel=1e-6)
    constants = (torch.zeros(1, 2).double() + shift for shift in np.linspace(-2, 2, 9))
    assert found.null_objective <= min(float(loss(c.expand(len(y), 2), y)) for c in constants)


def test_the_network_stays_as_it_is() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(30, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2)
    )
    x, y = cancer()
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    with pytest.warns(sh.ShrinkageWarning, match="normalisation"):
        plan = sh.Plan(net, sh.L1(0.01))
    one, again = (sh.certify(net, plan, (x, y), samples=5) for _ in range(2))
    assert one == again
    assert net.training
    assert torch.equal(torch.get_rng_state(), state)
    after = net.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(p.grad is None for p in net.parameters())
    assert any("Dropout is off" in note for note in one.notes)
    assert any("running statistics" in note for note in one.notes)
    assert set(one.per_parameter) == {name for name, _ in net.named_parameters()}


def test_frozen_and_tied_parameters() -> None:
    x, y = cancer()
    net = nn.Sequential(
        nn.Linear(30, 30, bias=False), nn.Linear(30, 30, bias=False), nn.Linear(30, 2)
    )
    net = net.double()
    net[1].weight = net[0].weight
    net[2].requires_grad_(requires_grad=False)
    found = sh.certify(net, sh.Plan(net, {"0": sh.L1(0.01)}), (x, y))
    assert list(found.per_parameter) == ["0.weight"]


# ------------------------------------------------------------------------------------------- kinks


class Fold(nn.Module):
    """|w − 1|·x: its minimiser is a kink, where neither side's gradient vanishes."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([[at]], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (torch.relu(self.w - 1) + torch.relu(1 - self.w)) * x


def mean(prediction: Tensor, y: Tensor) -> Tensor:
    return (prediction + 0 * y).mean()


def test_a_minimiser_on_a_kink_passes_only_the_kink_aware_gap() -> None:
    one = torch.ones(1, 1, dtype=torch.float64)
    for at, stationary in ((1.0, True), (1.0 + 1e-5, True), (1.1, False)):
        net = Fold(at)
        found = sh.certify(net, sh.Plan(net, {"w": sh.L1(0.1)}), (one, one), mean, samples=20)
        assert found.gap > 0.9
        assert found.kink_gap is not None
        assert (found.kink_gap < 1e-3) == stationary
        assert found.samples == 20
        assert found.radius == pytest.approx(1e-3 * at)


def test_the_simplex_is_found_from_however_far() -> None:
    """A long step must not lose the 1 that coordinates add up to in rounding."""
    for far in (1.0, 1e8, 1e20):
        v = torch.tensor([far, far, -far], dtype=torch.float64)
        assert torch.equal(gaps._onto_simplex(v), torch.tensor([0.5, 0.5, 0.0]).double())


def test_the_kink_aware_gap_is_never_larger(solved: Any) -> None:
    net, x, y = solved
    for strength in (0.005, 0.01, 0.02):
        found = sh.certify(net, sh.Plan(net, sh.L1(strength)), (x, y), samples=5)
        assert found.kink_gap is not None
        assert found.kink_gap <= found.gap


# ------------------------------------------------------------------------------------------ errors


def certify_with(**changes: Any) -> sh.Certificate:
    x, y = cancer()
    net = linear(x)
    given = {"data": (x, y), "loss": None, "samples": 0, "plan": sh.Plan(net, sh.L1(0.01))}
    given |= {k: v(x, y) if callable(v) and k == "data" else v for k, v in changes.items()}
    return sh.certify(net, given["plan"], given["data"], given["loss"], samples=given["samples"])


def total(prediction: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(prediction, y, reduction="sum")


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"loss": nn.CrossEntropyLoss(reduction="sum")}, FitError, "not a mean.*reduction='sum'"),
        ({"loss": total}, FitError, "not a mean.*same batch twice.*Divide"),
        (
            {"loss": nn.CrossEntropyLoss(weight=torch.zeros(2).double())},
            FitError,
            "no example counts",
        ),
        ({"data": lambda x, y: (x[:0], y[:0])}, DataError, "no examples"),
        ({"data": lambda x, y: (x * float("nan"), y)}, FitError, "not finite"),
        (
            {"data": lambda x, y: DataLoader(Rows(x, y, 0.1), batch_size=50, shuffle=True)},
            DataError,
            "another example every time.*augmentation",
        ),
        (
            {"data": lambda x, y: DataLoader(TensorDataset(x, y), batch_size=50, drop_last=True)},
            DataError,
            "drops its last batch: got drop_last=True, which leaves out 19 of 569",
        ),
        ({"data": [1, 2]}, DataError, "unknown kind"),
        ({"data": lambda x, y: (x, y + 9)}, FitError, "do not fit together.*out of bounds"),
        ({"data": lambda x, y: (x[:, :3], y)}, FitError, "do not fit together.*shapes"),
        ({"samples": 51}, FitError, "samples is out of range"),
        ({"samples": -1}, FitError, "samples is out of range"),
        ({"plan": sh.Plan(nn.Linear(3, 3), sh.L1(0.1))}, PlanError, "another network"),
    ],
)
def test_errors(changes: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"(?s){text}"):
        certify_with(**changes)


def test_a_network_that_is_frozen() -> None:
    x, y = cancer()
    net = linear(x)
    plan = sh.Plan(net, sh.L1(0.01))
    net.requires_grad_(requires_grad=False)
    with pytest.raises(sh.ShrinkageError, match="nothing can be trained"):
        sh.certify(net, plan, (x, y))


def test_arguments_in_another_order() -> None:
    x, y = cancer()
    net = linear(x)
    plan = sh.Plan(net, sh.L1(0.01))
    for call in (sh.certify, sh.measure, sh.polish):
        with pytest.raises(PlanError, match="this is no plan: got a tuple of 2"):
            call(net, (x, y), plan)


def test_a_handles_scale_is_told() -> None:
    """The plan counts as written, whatever the handle does with it at present."""
    net = nn.Linear(4, 3)
    data = (torch.randn(20, 4), torch.randint(3, (20,)))
    plan = sh.Plan(net, sh.L1(0.1))
    plain = sh.certify(net, plan, data)
    handle = sh.attach(torch.optim.SGD(net.parameters(), lr=0.1), plan)
    assert sh.certify(net, plan, data).notes == plain.notes == ()
    handle.scale = 0.5
    (note,) = sh.certify(net, plan, data).notes
    assert "× 0.5" in note
    assert "plan.scaled(0.5)" in str(sh.certify(net, plan, data))
    assert sh.certify(net, plan, data).objective == plain.objective
    assert sh.certify(net, plan.scaled(0.5), data).objective < plain.objective
    handle.remove()
    assert sh.certify(net, plan, data).notes == ()
