"""Networks trained together come to what each comes to alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn

import shrinkage as sh
from shrinkage.data import Examples
from shrinkage.errors import PlanError
from shrinkage.experiments.fit import Training, Treatment, fit
from shrinkage.experiments.paths import stability, stacked
from shrinkage.experiments.paths.stacked import Walks, in_stacks, stack_size, walk_together
from shrinkage.experiments.paths.subsamples import Walk, walk
from shrinkage.experiments.stacks import is_stackable, train_together
from shrinkage.runs import FailedHalfSampleRecord, HalfSampleRecord, LineRecord, Run, read

N, P = 60, 5


def examples(seed: int, *, labels: bool) -> Examples:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(N, P, generator=draw)
    y = x[:, :1] - x[:, 1:2].abs()
    return Examples(x, (y[:, 0] > 0).long() if labels else y)


def network(seed: int, outputs: int, *extra: nn.Module) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(P, 8), nn.ReLU(), *extra, nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, outputs)
    )


PENALTIES = {
    "features": lambda model: sh.feature_rules(model, (P,), 0.02),
    "biases": lambda _: sh.Rules(sh.L1(0.01), biases=True),
    "sparse groups": lambda _: sh.Rules(sh.SparseGroupL1(0.01, 0.01, by="filter")),
    "elastic": lambda _: sh.Rules(sh.ElasticNet(l1=0.01, l2=0.01)),
    "mcp": lambda _: sh.Rules(sh.MCP(0.01, knee=0.1)),
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_together_is_what_each_is_alone(penalty: str, labels: bool, optimizer: str) -> None:
    rows = [examples(seed, labels=labels) for seed in range(3)]
    training = Training(4, 16, optimizer, 0.01)
    alone, together = ([network(seed, 1 + labels) for seed in range(3)] for _ in range(2))
    for seed, (model, mine) in enumerate(zip(alone, rows, strict=True)):
        plan = sh.Plan(model, PENALTIES[penalty](model))
        treatment = Treatment(warm=True)
        list(fit(plan, training, {"train": mine}, epochs=4, seed=seed, treatment=treatment))
    plan = sh.Plan(together[0], PENALTIES[penalty](together[0]))
    train_together(together, plan, training, rows, epochs=4, seeds=range(3), warm=True)
    before = [network(seed, 1 + labels) for seed in range(3)]
    for one, other, first in zip(alone, together, before, strict=True):
        for w, v, u in zip(one.parameters(), other.parameters(), first.parameters(), strict=True):
            assert torch.allclose(w, v, rtol=1e-3, atol=2e-5)
            assert torch.equal(w == 0, v == 0)
            assert not torch.allclose(v, u, rtol=1e-3, atol=2e-5)
    assert any((p == 0).any() for model in together for p in model.parameters())


def test_groups_lie_within_a_network() -> None:
    model = network(0, 1)
    plan = sh.Plan(model, sh.GroupL1(1.0, by="input"))
    stack = torch.randn(3, 8, P)
    entry = plan.stacked(model, 3).penalised[0]
    rows = entry.grouping.view(stack)
    assert rows.shape == (3 * P, 8)
    one = plan.penalised[0].grouping
    assert torch.equal(rows, torch.cat([one.view(w) for w in stack]))
    assert torch.equal(entry.grouping.restore(rows), stack)


class Counting(nn.Module):
    """Keeps what it has seen, as a normalisation over batches does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.seen + x.detach().mean(0)
        return x


class Branches(nn.Module):
    """Decides by the values of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(P, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) if x.sum() > 0 else -self.out(x)


class Shared(nn.Module):
    """One weight in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(P, P), nn.Linear(P, P)
        self.second.weight = self.first.weight
        self.out = nn.Linear(P, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.second(self.first(x).relu()))


@pytest.mark.parametrize(
    ("make", "fits"),
    [
        (lambda: network(0, 1), True),
        (lambda: network(0, 1, nn.Dropout(0.5)), False),
        (lambda: network(0, 1, Counting()), False),
        (Branches, False),
        (Shared, False),
    ],
)
def test_what_can_be_stacked(make: Callable[[], nn.Module], fits: bool) -> None:
    model = make()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plan = sh.Plan(model, sh.L1(0.1))
    assert is_stackable(model, plan, Training(1), examples(0, labels=False)) is fits
    assert all(torch.equal(state[name], t) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_optimizers_and_groups_that_look_beyond_are_not_stacked() -> None:
    model, rows = network(0, 1), examples(0, labels=False)
    own = Training(1, optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr))
    assert not is_stackable(model, sh.Plan(model, sh.L1(0.1)), own, rows)
    coupled = sh.Plan(model, sh.GroupL1(0.1, coupled=True), example_inputs=rows.x[:2])
    assert not is_stackable(model, coupled, Training(1), rows)
    with pytest.raises(PlanError, match="cannot be stacked"):
        coupled.stacked(model, 2)
    with pytest.raises(PlanError, match="count is out of range: got 0"):
        sh.Plan(model, sh.L1(0.1)).stacked(model, 0)


# ---------------------------------------------------------------------------- half samples' chains


def table_path(folder: Path, **options: Any) -> Any:
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)[:200, :8]

    def small(spec: Any) -> nn.Module:
        return nn.Sequential(nn.Linear(spec.n_inputs, 6), nn.ReLU(), nn.Linear(6, spec.n_outputs))

    options = {
        "stability": 4, "points": 3, "weakest": 0.02, "strongest": 0.3, "epochs": 2,
        "rounds": 2, "refine": 0, "seeds": 1, "jobs": 1, "magnitude": False,
        "progress": lambda _: None,
    } | options  # fmt: skip
    return sh.path(small, (x, y[:200]), "features", run=folder, **options)


def test_chains_are_the_same_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stability, "stack_size", lambda _: 2)
    path = table_path(tmp_path / "run")
    assert path.view.decisions["stack"] == 2
    scales = tuple(path.view.of_kind("subsample")["subsample/0"]["scales"])
    one_by_one = [walk(path.setting, Walk(number, scales)) for number in range(4)]
    assert list(path.view.of_kind("subsample").values()) == [w.to_json() for w in one_by_one]
    walks = [walk for walk in one_by_one if isinstance(walk, HalfSampleRecord)]
    used = {len(inputs) for walk in walks for inputs in walk.inputs}
    assert len(used) > 2  # features leave along the chains


def test_where_one_diverges_all_are_walked_alone(tmp_path: Path) -> None:
    setting = table_path(tmp_path / "run", stability=None).setting
    wild = type(setting)(
        **{**vars(setting), "train": Training(2, 32, "sgd", 1e30), "stability": sh.Stability(2)}
    )
    points = walk_together(wild, Walks((0, 1), (0.1,)))
    assert points == [walk(wild, Walk(number, (0.1,))) for number in (0, 1)]
    assert all(isinstance(point, FailedHalfSampleRecord) for point in points)


def test_a_stack_that_was_cut_is_walked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stability, "stack_size", lambda _: 2)
    table_path(tmp_path / "whole")
    append, seen = Run.append, []

    def stop(self: Run, record: LineRecord) -> None:
        seen.append(record.kind)
        if seen.count("subsample") == 4:
            raise KeyboardInterrupt
        append(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "append", stop)
        with pytest.raises(KeyboardInterrupt):
            table_path(tmp_path / "cut")
    assert len(read(tmp_path / "cut").of_kind("subsample")) == 3
    monkeypatch.setattr(stability, "stack_size", lambda _: 1)  # not asked again
    table_path(tmp_path / "cut")
    assert read(tmp_path / "cut").decisions["stack"] == 2
    whole, cut = (tmp_path / name / "points.jsonl" for name in ("whole", "cut"))
    assert cut.read_text() == whole.read_text()


def test_stacks_are_even() -> None:
    assert in_stacks(range(10), 8) == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]
    assert in_stacks(range(3), 1) == [(0,), (1,), (2,)]
    assert [len(part) for part in in_stacks(range(50), 8)] == [7, 7, 7, 7, 7, 7, 8]


@pytest.mark.parametrize(("together", "size"), [(5.0, stacked.SIZE), (7.0, 1)])
def test_the_clock_decides(
    together: float, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = table_path(tmp_path / "run", stability=None).setting
    clock = {1: 1.0, stacked.SIZE: together}
    monkeypatch.setattr(stacked, "_seconds", lambda *words: clock[words[-1]])
    assert stack_size(setting) == size


def test_training_of_your_own_is_not_stacked(tmp_path: Path) -> None:
    def train(model: nn.Module, plan: sh.Plan, budget: Any) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        sh.attach(optimizer, plan, method=budget.method)
        for x, y in budget.batches(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    setting = table_path(tmp_path / "run", stability=None, train=train).setting
    assert stack_size(setting) == 1
