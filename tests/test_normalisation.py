"""Weights before a normalisation layer: who they are, how their norm is kept, what is certified."""

import copy
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import shrinkage as sh
from shrinkage.data import Spec
from shrinkage.optim import spheres
from shrinkage.plans.grouping import Grouping
from shrinkage.plans.normalisation import invariances


@pytest.fixture(autouse=True)
def _free_norms_are_no_surprise() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sh.ShrinkageWarning)
        yield


# ------------------------------------------------------------------------------ who is invariant


class Residual(nn.Module):
    """The norm comes right behind the convolution, but a branch goes around it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(2)
        self.conv2 = nn.Conv2d(2, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y + self.norm2(self.conv2(x))


class Untraceable(nn.Module):
    """The forward asks for a value: nothing is known of it, but of its children."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2))
        self.conv = nn.Conv2d(2, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(2)
        self.seen: Any = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return self.norm(self.conv(self.block(x))) if x.sum() > 0 else x


def conv(*, bias: bool = False, groups: int = 1) -> nn.Module:
    return nn.Conv2d(2, 4, 1, bias=bias, groups=groups)


@pytest.mark.parametrize(
    ("net", "rows"),
    [
        (nn.Sequential(conv(), nn.BatchNorm2d(4)), 4),
        (nn.Sequential(conv(bias=True), nn.BatchNorm2d(4)), 4),
        (nn.Sequential(conv(groups=2), nn.ReLU(), nn.BatchNorm2d(4)), 4),
        (nn.Sequential(nn.ConvTranspose2d(2, 4, 1), nn.InstanceNorm2d(4)), 4),
        (nn.Sequential(conv(), nn.GroupNorm(2, 4)), 2),
        (nn.Sequential(nn.Linear(2, 4, bias=False), nn.LayerNorm(4)), 1),
        (nn.Sequential(nn.Linear(2, 4, bias=False), nn.RMSNorm(4)), 1),
        # no: a bias before a nonlinearity or a joint norm, other shapes, no norm
        (nn.Sequential(conv(bias=True), nn.ReLU(), nn.BatchNorm2d(4)), None),
        (nn.Sequential(conv(bias=True), nn.GroupNorm(2, 4)), None),
        (nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4)), None),
        (nn.Sequential(conv(), nn.Tanh(), nn.BatchNorm2d(4)), None),
        (nn.Sequential(conv(), nn.ReLU()), None),
    ],
)
def test_who_is_invariant(net: nn.Sequential, rows: int | None) -> None:
    found = invariances(net).get("0")
    assert (found and found.rows.n_groups) == rows
    if found:  # and the network agrees: every row scaled by its own factor, the same output
        net.double()
        net[-1].eps = 1e-14  # type: ignore[assignment]
        torch.manual_seed(0)
        x = torch.randn(50, 2, 5, 5, dtype=torch.float64)
        x = x[:, :, 0, 0] if isinstance(net[0], nn.Linear) else x
        before = net(x)
        with torch.no_grad():
            factors = torch.rand(found.rows.n_groups, 1, dtype=torch.float64) + 1
            weight = net[0].weight
            assert isinstance(weight, Tensor)
            weight.copy_(found.rows.restore(found.rows.view(weight) * factors))
        assert torch.allclose(net(x), before, atol=1e-6)


def test_what_is_not_certain_is_left_alone() -> None:
    assert set(invariances(Residual())) == {"conv2"}
    net = Untraceable()
    assert set(invariances(net)) == {"block.0"}
    assert net.seen is None  # no traced value is left behind
    hooked = nn.Sequential(conv(), nn.BatchNorm2d(4))
    hooked[0].register_forward_hook(lambda *_: None)
    assert invariances(hooked) == {}
    shared = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2))
    both = nn.ModuleDict({"a": shared, "b": nn.Conv2d(2, 2, 1, bias=False)})
    both["b"].weight = shared[0].weight
    assert sh.Plan(both, sh.L1(1.0)).entries[0].sphere is None


def test_the_plan_says_so() -> None:
    net = nn.Sequential(conv(), nn.BatchNorm2d(4))
    assert "norm free: followed by 1" in str(sh.Plan(net, sh.L1(1.0)))
    assert "norm kept: followed by 1" in str(sh.Plan(net, sh.L1(1.0), rescale=True))
    rules = sh.Rules(sh.L1(1.0), rescale=True)
    assert sh.Plan(net, rules).scaled(2.0).rules.rescale
    with warnings.catch_warnings():
        warnings.simplefilter("error", sh.ShrinkageWarning)
        sh.Plan(net, rules)  # nothing to warn of
        for inert in (sh.L2(1.0), sh.GroupL1(1.0, by="filter")):
            with pytest.raises(
                sh.ShrinkageWarning, match=r"regularizes nothing.*norms=True"
            ) as told:
                sh.Plan(net, inert, rescale=True)
            assert "coupled=True" in str(told.value)
            with pytest.raises(sh.ShrinkageWarning, match="regularizes nothing") as told:
                sh.Plan(net, inert, norms=True)
            assert "norms=True" not in str(told.value)  # which was followed
        with pytest.raises(sh.ShrinkageWarning, match="rescale=True keeps the norms"):
            sh.Plan(net, sh.L1(1.0))


# ---------------------------------------------------------------------------- how norms are kept


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Tanh(),
        nn.Flatten(), nn.Linear(3 * 9, 3),
    ).double()  # fmt: skip


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    x = torch.randn(90, 1, 5, 5, dtype=torch.float64)
    return x, torch.randint(0, 3, (90,))


RULES = sh.Rules({nn.Conv2d: sh.L1(0.1), nn.Linear: sh.L2(0.002)}, rescale=True)
Make = Callable[[Any], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.03),
}
METHODS: Any = ("prox", "averaged")


def norms(net: nn.Sequential) -> Tensor:
    weight = net[0].weight
    assert isinstance(weight, Tensor)
    return weight.detach().flatten(1).norm(dim=1)


def train(net: nn.Sequential, handle: sh.Handle, steps: int) -> None:
    x, y = batch()
    for _ in range(steps):
        handle.optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        handle.optimizer.step()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_zeros_are_exact_and_norms_are_kept_at_every_step(kind: str, method: Any) -> None:
    net = small()
    before = norms(net)
    handle = sh.attach(OPTIMIZERS[kind](net.parameters()), sh.Plan(net, RULES), method=method)
    zeros = 0
    for step in range(60):
        handle.scale = 1.0 if step < 40 else 5.0
        train(net, handle, 1)
        assert torch.allclose(norms(net), before, rtol=1e-12)
        zeros += int((net[0].weight == 0).sum())  # type: ignore[arg-type]
    assert zeros > 0


def _exact_statistics(net: nn.Sequential) -> None:
    """Running statistics of all data, with the variance that training divides by."""
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.momentum = 1.0
    with torch.no_grad():
        net(batch()[0])
    assert norm.running_var is not None
    norm.running_var.mul_((90 * 9 - 1) / (90 * 9))


def _gap(kind: str, method: Any) -> float:
    net = small()
    plan = sh.Plan(net, RULES)
    handle = sh.attach(OPTIMIZERS[kind](net.parameters()), plan, method=method)
    for _ in range(3):
        train(net, handle, 1000)
        for group in handle.optimizer.param_groups:
            group["lr"] /= 5
    handle.remove()
    _exact_statistics(net)
    found = sh.certify(net, plan, batch())
    assert 0 < found.per_parameter["0.weight"].nonzeros < 27
    assert any("0.weight" in note and "tangent" in note for note in found.notes)
    return found.gap


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_fixed_points_are_stationary_in_the_tangent(kind: str) -> None:
    assert _gap(kind, "prox") < 0.1  # 0.05 and 0.03 after these steps


def test_the_multiplier_is_the_same_for_every_weight_of_a_row() -> None:
    """What makes fixed points stationary where every weight has its own step."""
    torch.manual_seed(0)
    w = torch.randn(20, 30, dtype=torch.float64)
    w[:, ::3] = 0.0
    step = torch.rand(20, 30, dtype=torch.float64) + 0.01
    norm = w.norm(dim=1, keepdim=True)
    for factor in (0.98, 1.0, 1.02):
        pulled = spheres._pulled(w, step, norm * factor)
        assert torch.allclose(pulled.norm(dim=1, keepdim=True), norm * factor, rtol=1e-9)
        mu = ((w / pulled - 1) / step)[:, 1::3]
        assert torch.allclose(mu, mu[:, :1].expand(mu.shape), atol=1e-9)
        assert bool((pulled[:, ::3] == 0).all())


def test_norms_of_the_whole_layer_are_caught() -> None:
    net = small()
    before, plan = norms(net), sh.Plan(net, RULES)
    handle = sh.attach(OPTIMIZERS["sgd"](net.parameters()), plan, method="prox")
    (sphere,) = handle._methods["0.weight"]
    assert isinstance(sphere, spheres.Sphere)
    rows = sphere.rows
    sphere.rows = Grouping(rows.shape, rows.split, rows.order, 1, 27)
    train(net, handle, 50)
    assert not torch.allclose(norms(net), before, rtol=1e-3)


def test_a_filter_that_would_vanish_keeps_its_largest_weight() -> None:
    net = small()
    plan, before = sh.Plan(net, sh.Rules(sh.L1(100.0), rescale=True)), norms(net)
    handle = sh.attach(torch.optim.SGD(net.parameters(), lr=0.1), plan, method="prox")
    train(net, handle, 1)
    assert torch.allclose(norms(net), before)
    assert [int(row.count_nonzero()) for row in net[0].weight] == [1, 1, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_training_is_bit_equal(method: Any) -> None:
    net = small()
    optimizer = OPTIMIZERS["adam"](net.parameters())
    handle = sh.attach(optimizer, sh.Plan(net, RULES), method=method)
    train(net, handle, 20)
    states = [copy.deepcopy(part.state_dict()) for part in (net, optimizer, handle)]
    train(net, handle, 20)
    twin = small()
    other = OPTIMIZERS["adam"](twin.parameters())
    again = sh.attach(other, sh.Plan(twin, RULES), method=method)
    for part, state in zip((twin, other, again), states, strict=True):
        part.load_state_dict(state)
    train(twin, again, 20)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)


def test_scale_zero_and_rescale_off_let_norms_move() -> None:
    for rules, scale in ((RULES, 0.0), (sh.Rules(RULES.rules), 1.0)):
        net = small()
        handle = sh.attach(OPTIMIZERS["sgd"](net.parameters()), sh.Plan(net, rules))
        handle.scale, before = scale, norms(net)
        train(net, handle, 20)
        assert not torch.allclose(norms(net), before, rtol=1e-3)


def test_polish_stays_on_the_spheres_and_lowers_the_cost() -> None:
    net = small()
    plan = sh.Plan(net, RULES)
    handle = sh.attach(OPTIMIZERS["sgd"](net.parameters()), plan)
    train(net, handle, 100)
    handle.remove()
    _exact_statistics(net)
    before, first = norms(net), sh.certify(net, plan, batch())
    last = sh.polish(net, plan, batch(), tol=1e-3, rounds=20)
    assert torch.allclose(norms(net), before, rtol=1e-9)
    assert last.objective < first.objective


# --------------------------------------------------------------------------------- by hand


def test_the_tangent_by_hand() -> None:
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1)).double().eval()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[3.0, 4.0]]))  # type: ignore[operator]
        net[1].running_var.fill_(1 - 1e-5)  # type: ignore[union-attr, operator]
    x = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    found = sh.certify(net, sh.Plan(net, sh.L1(5.0)), (x, torch.tensor([[7.0]]).double()))
    # the loss is 0: ∂P = 5·(1, 1), minus its part along (3, 4): 7/25·5·(3, 4) = (4.2, 5.6)
    assert found.residual == pytest.approx(0.8)
    assert found.per_parameter["0.weight"].gap == pytest.approx(0.16)


def normalised(spec: Spec) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(spec.n_inputs, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(),
        nn.Linear(6, spec.n_outputs),
    )  # fmt: skip


def test_contrasts_and_paths_keep_norms_where_asked(tmp_path: Path) -> None:
    few: dict[str, Any] = {"seeds": 1, "epochs": 2, "jobs": 1, "progress": lambda _: None}
    for rescale in (True, False):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            contrast = sh.contrast(
                normalised, "wine", columns=["l1"], grid=[1e-2], run=tmp_path / f"a{rescale}",
                rescale=rescale, **few,
            )  # fmt: skip
            path = sh.path(
                normalised, "wine", sh.L1(1.0), run=tmp_path / f"b{rescale}", points=2,
                weakest=1e-3, strongest=1e-2, refine=0, rescale=rescale, **few,
            )  # fmt: skip
        said = [w for w in caught if "normalisation layer" in str(w.message)]
        assert bool(said) == (not rescale)
        column = contrast.setting.columns[0]
        for _, plan in (contrast.setting.network(column, 1e-2, 0), path.setting.network(0, 1e-2)):
            assert plan.rules.rescale == rescale


def test_a_layer_frozen_before_joins_with_its_norm_kept() -> None:
    net = small()
    net[0].weight.requires_grad_(False)
    plan = sh.Plan(net, sh.Rules(sh.L1(0.01), rescale=True), example_inputs=batch()[0])
    net[0].weight.requires_grad_(True)
    entry = next(e for e in plan.penalised if e.name == "0.weight")
    assert entry.sphere is not None
    assert entry.once_trained.endswith("; norm kept: followed by 1")
