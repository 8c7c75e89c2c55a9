"""Training what is left: the same steps as in the whole network, and the way back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import shrinkage as sh
from architectures import ARCHITECTURES, example, with_dead_units
from shrinkage.compression.unread import leaving
from shrinkage.errors import CompactionError, PlanError
from shrinkage.experiments.paths.points import fit_point
from shrinkage.experiments.paths.setting import PointJob
from shrinkage.experiments.paths.shrunk import shrunk
from shrinkage.experiments.studies import quiet_plan
from shrinkage.graph.cut import Cuts
from shrinkage.graph.scatter import places, scatter_back, zero_removed
from shrinkage.plans.remainder import remaining
from shrinkage.runs import PathFitRecord

Return = Callable[[nn.Module, nn.Module, Cuts], None]
PENALTIES = (
    sh.L1(1e-3),
    sh.LogSum(1e-3, epsilon=0.1),
    sh.GroupL1(1e-3),
    sh.GroupL1(1e-3, by="input"),
    sh.SparseGroupL1(1e-3, 1e-3),
)


def mlp() -> nn.Module:
    """Two hidden layers of which units are dead, or read by dead units alone; dead pixels."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 3)
    ).double()
    with torch.no_grad():
        model[1].weight[:, [0, 5, 6]] = 0.0
        model[1].weight[[2, 9]] = 0.0  # dead: one is a constant above 0, the other one 0
        model[1].bias[2], model[1].bias[9] = 0.7, -0.7
        model[5].weight[:, [1, 4]] = 0.0
    return model


def network(name: str) -> tuple[nn.Module, Tensor]:
    if name == "MLP":
        x = torch.randn(16, 3, 4, generator=torch.Generator().manual_seed(1)).double()
        return mlp(), x
    torch.manual_seed(0)
    model = with_dead_units(ARCHITECTURES[name](), 1, zero_shift=True).double()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # masks are drawn by shape
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return model, example(6).double()


NOTHING = Cuts({}, {})


def step(plan: sh.Plan, x: Tensor, y: Tensor, held: Cuts = NOTHING) -> None:
    """One step of SGD with momentum, the penalty attached; what ``held`` cuts gets no gradient."""
    model = plan.model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    handle = sh.attach(optimizer, plan)
    nn.functional.cross_entropy(model.train()(x).flatten(1), y).backward()
    for name, parameter in model.named_parameters():
        at = places(name, parameter, held)
        if at is not None and parameter.grad is not None:
            free = torch.zeros(parameter.numel()).double().index_fill_(0, at, 1.0)
            parameter.grad.mul_(free.view_as(parameter))
    optimizer.step()
    handle.remove()


def compare_steps(name: str, penalty: sh.Penalty, back: Return = scatter_back) -> float:
    """Steps in the whole network, and in what is left of it: the share of the parameters left."""
    whole, x = network(name)
    coupled = x if penalty.coupled else None
    plan = quiet_plan(whole, sh.Rules(penalty), coupled)
    held = {entry.path for entry in plan.penalised}
    found = leaving(whole, (x,), held, drop_inputs=name == "MLP")
    small = found.small(whole)
    seen = x if found.inputs is None else x.flatten(1)[:, found.inputs]
    expected = whole.eval()(x)
    zero_removed(whole, found.cuts)
    back(small, whole, found.cuts)
    torch.testing.assert_close(whole(x), expected, rtol=1e-9, atol=1e-9)
    small_plan = remaining(plan, small, seen if penalty.coupled else None)
    y = torch.arange(len(x)) % 3
    for _ in range(2):
        step(plan, x, y, found.cuts)
        step(small_plan, seen, y)
    again, _ = network(name)
    zero_removed(again, found.cuts)
    back(small, again, found.cuts)
    assert_same_state(again, whole, found.cuts)
    return size(small) / size(whole)


def assert_same_state(one: nn.Module, two: nn.Module, cuts: Cuts) -> None:
    """Equal parameters; statistics are equal where they are left."""
    parameters = dict(one.named_parameters())
    for key, tensor in two.state_dict().items():
        other, at = one.state_dict()[key], places(key, tensor, cuts)
        if key not in parameters and at is not None:
            other, tensor = other.flatten()[at], tensor.flatten()[at]
        torch.testing.assert_close(other, tensor, rtol=1e-9, atol=1e-12)


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["MLP", "plain CNN", "VGG with batch norm"])
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_a_step_is_that_of_the_whole_network(name: str, penalty: sh.Penalty) -> None:
    assert compare_steps(name, penalty) < 0.8


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_step_in_every_architecture(name: str) -> None:
    assert compare_steps(name, sh.L1(1e-3)) <= 1


@pytest.mark.parametrize("name", ["VGG with batch norm", "ResNet, basic blocks"])
def test_coupled_groups_weigh_what_they_weighed(name: str) -> None:
    assert compare_steps(name, sh.GroupL1(1e-3, coupled=True)) < 0.8


def test_units_without_weights_on_either_side_need_not_be_held() -> None:
    """They get no gradient once their bias is at rest; here two of ten units, no input."""
    model, x = network("MLP")
    with torch.no_grad():
        model[1].weight[:] = torch.where(model[1].weight == 0, 0.1, model[1].weight)
        model[5].weight[:] = torch.where(model[5].weight == 0, 0.1, model[5].weight)
        model[1].weight[[2, 9]] = 0.0
        model[3].weight[:, [2, 9]] = 0.0
    plan = sh.Plan(model, sh.L1(1e-3))
    found = leaving(model, (x,), {e.path for e in plan.penalised})
    small = found.small(model)
    assert small[1].out_features == 8
    zero_removed(model, found.cuts)
    small_plan = remaining(plan, small)
    for _ in range(3):
        step(plan, x, torch.arange(len(x)) % 3)
        step(small_plan, x, torch.arange(len(x)) % 3)
    before = {k: t.clone() for k, t in model.state_dict().items()}
    scatter_back(small, model, found.cuts)
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[key], rtol=1e-9, atol=1e-12)


def in_another_order(small: nn.Module, whole: nn.Module, cuts: Cuts) -> None:
    """The last unit first."""
    turned = {
        name: replace(part, outputs=part.outputs[::-1]) for name, part in cuts.weights.items()
    }
    scatter_back(small, whole, Cuts(turned, cuts.vectors))


def without_biases(small: nn.Module, whole: nn.Module, cuts: Cuts) -> None:
    """The biases stay what they were."""
    before = {k: p.clone() for k, p in whole.named_parameters() if k.endswith("bias")}
    scatter_back(small, whole, cuts)
    with torch.no_grad():
        for name, value in before.items():
            whole.get_parameter(name).copy_(value)


def without_statistics(small: nn.Module, whole: nn.Module, cuts: Cuts) -> None:
    """The buffers stay what they were."""
    before = {k: b.clone() for k, b in whole.named_buffers()}
    scatter_back(small, whole, cuts)
    for name, value in before.items():
        whole.get_buffer(name).copy_(value)


@pytest.mark.parametrize(
    ("saboteur", "name"),
    [(in_another_order, "MLP"), (in_another_order, "plain CNN"), (without_biases, "MLP"),
     (without_statistics, "VGG with batch norm")],
)  # fmt: skip
def test_a_wrong_way_back_is_seen(saboteur: Return, name: str) -> None:
    with pytest.raises(AssertionError):
        compare_steps(name, sh.L1(1e-3), saboteur)


def test_another_factor_for_a_smaller_group_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sh.GroupL1, "of_part", lambda self, share: self)
    with pytest.raises(PlanError, match="has other groups: got a penalty of"):
        compare_steps("MLP", sh.GroupL1(1e-3))


@pytest.mark.parametrize("name", ["MLP", *ARCHITECTURES])
def test_there_and_back_is_where_it_was(name: str) -> None:
    whole, x = network(name)
    found = leaving(whole, (x,), {k for k, p in whole.named_parameters() if p.ndim > 1})
    before = {k: t.clone() for k, t in whole.state_dict().items()}
    scatter_back(found.small(whole), whole, found.cuts)
    assert all(torch.equal(t, before[k]) for k, t in whole.state_dict().items())


@pytest.mark.parametrize(
    "penalty",
    [*PENALTIES, sh.L2(0.3), sh.ElasticNet(0.2, 0.1), sh.MCP(0.3, knee=1.0),
     sh.SparseGroupL1(0.0, 0.3)],
    ids=str,
)  # fmt: skip
def test_a_part_has_the_penalty_of_the_whole_group(penalty: sh.Penalty) -> None:
    w = torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).double()
    whole = torch.cat([w, torch.zeros(5, 4).double()], dim=1)
    part = penalty.of_part(8 / 12)
    torch.testing.assert_close(part.value(w), penalty.value(whole))
    torch.testing.assert_close(part.prox(w, 0.2), penalty.prox(whole, 0.2)[:, :8])


def test_weights_whose_zeros_nobody_holds_are_read() -> None:
    model, x = network("MLP")
    found = leaving(model, (x,), {"3.weight"}, drop_inputs=True)
    assert found.inputs is None
    assert not found.cuts.weights


@pytest.mark.parametrize(("shift", "mean", "left"), [(0.0, 0.3, 3), (0.0, -0.3, 4), (0.5, 0.5, 4)])
def test_a_constant_must_be_the_same_in_both_modes(shift: float, mean: float, left: int) -> None:
    """A dead filter is its norm's shift in training, and shift − scale·mean/σ in eval mode."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)
    )
    with torch.no_grad():
        model[0].weight[1] = 0.0
        model[1].bias[1], model[1].running_mean[1] = shift, mean
    found = leaving(model, (example(),), {"0.weight", "3.weight"})
    assert found.small(model)[0].out_channels == left


class Auxiliary(nn.Module):
    """A second head that is there in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.other = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.body(x))
        return self.head(h) + self.other(h) if self.training else self.head(h)


def test_what_is_read_in_training_alone_stays() -> None:
    torch.manual_seed(0)
    model = Auxiliary()
    with torch.no_grad():
        model.head.weight[:, :3] = 0.0
    with pytest.raises(CompactionError):
        leaving(model, (torch.randn(5, 4),), {"body.weight", "head.weight", "other.weight"})


# ------------------------------------------------------------------------------- along a path


def walked(folder: Path, *, shrink: bool) -> sh.RegularizationPath:
    return sh.path(
        "mlp", "digits", sh.L1(1.0), run=folder, shrink=shrink, points=5, seeds=1, epochs=12,
        weakest=4e-3, strongest=2e-2, point_epochs=1.0, refine=0, jobs=1, train_size=400,
    )  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> sh.RegularizationPath:
    return walked(tmp_path_factory.mktemp("shrunk") / "run", shrink=True)


def cut(path: sh.RegularizationPath) -> list[dict[str, Any]]:
    """The points of which something was cut."""
    fits = path.view.of_kind("fit").values()
    return [f for f in fits if f["scale"] and f["shrunk"] and "parameters" in f["shrunk"]]


def test_a_path_with_and_without(small: sh.RegularizationPath, tmp_path: Path) -> None:
    whole = walked(tmp_path / "whole", shrink=False)
    assert len(cut(small)) >= 2
    assert not cut(whole)
    for kind in ("fit", "magnitude"):
        theirs = whole.view.of_kind(kind)
        for key, ours in small.view.of_kind(kind).items():
            score = theirs[key]["validation"]["score"]
            assert ours["validation"]["score"] == pytest.approx(score, abs=0.011)  # three images
            one, two = nonzeros(small, key), nonzeros(whole, key)
            assert one == pytest.approx(two, rel=0.05, abs=3)


def nonzeros(path: sh.RegularizationPath, key: str) -> int:
    """Weights of a stored network, which are those that its point tells of."""
    points = {**path.view.of_kind("fit"), **path.view.of_kind("magnitude")}
    told = points[key]["weights"] if "weights" in points[key] else points[key]
    state = path.view.weights(key)
    assert sum(int(t.count_nonzero()) for t in state.values() if t.ndim > 1) == told["nonzeros"]
    return int(told["nonzeros"])


class Choosy(nn.Module):
    """Its way depends on its input."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(64, 30), nn.Linear(30, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.body(x.flatten(1)))
        return self.head(h if h.sum() >= 0 else -h)


def test_what_cannot_be_followed_is_trained_whole_and_says_so(small: sh.RegularizationPath) -> None:
    model = Choosy()
    with torch.no_grad():
        model.body.weight[:, :40] = 0.0
    split = small.setting.split(0)
    parts = {"train": split.train, "validation": split.validation}
    found = shrunk(small.setting, sh.Plan(model, sh.L1(1e-3)), parts)
    assert found.model is model
    assert found.parts is parts
    assert found.note is not None
    assert found.note.whole is not None
    assert "reads values" in found.note.whole


def own_training(model: nn.Module, plan: sh.Plan, budget: sh.Budget) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    sh.attach(optimizer, plan, method=budget.method)
    for x, y in budget.batches(32):
        assert x.shape[1:] == (1, 8, 8)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_training_of_ones_own_sees_whole_inputs(small: sh.RegularizationPath) -> None:
    last = cut(small)[-1]
    assert last["shrunk"]["inputs"] < 64
    job = PointJob(0, 2 * last["scale"], small.view.weights(last["key"]))
    point, _ = fit_point(replace(small.setting, train=own_training), job)
    assert isinstance(point, PathFitRecord)
    assert point.shrunk is not None
    assert point.shrunk.inputs == 64
    assert point.shrunk.parameters is not None
    assert point.shrunk.parameters < 0.8
