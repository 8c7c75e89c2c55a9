"""One network, one plan, one budget: the built-in training, pruning, and the user's own."""

import gc
from collections.abc import Iterator
from math import cos, isfinite, pi
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import SGD, Adam, Optimizer

from shrinkage.data import Examples
from shrinkage.errors import DataError, FitError, ModelError
from shrinkage.experiments.fit import (
    Budget,
    DivergedError,
    Epoch,
    NotApplicableError,
    Training,
    Treatment,
    _looked_at,
    fit,
)
from shrinkage.optim import attach
from shrinkage.penalties import L1, L2, GroupL1
from shrinkage.plans import Plan

TERM = Treatment(form="term")
WEAK = L1(0.01)


def examples(n: int = 48, seed: int = 0) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=generator)
    return Examples(x, (x[:, 0] + 0.5 * x[:, 1] > 0).long())


PARTS = {"train": examples(), "validation": examples(24, seed=1)}


def network(seed: int = 0, *, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.Dropout(dropout), nn.Tanh(), nn.Linear(8, 2))


def run(net: nn.Module, train: Any, penalty: Any = WEAK, **options: Any) -> list[Epoch]:
    options = {"epochs": 6, "seed": 0, **options}
    return list(fit(Plan(net, penalty), train, PARTS, **options))


def weights(net: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


# ------------------------------------------------------------------------- the built-in training


def by_hand(
    net: nn.Module, penalty: Any, *, epochs: int, begins: int, exact: bool, lr: float = 0.05
) -> None:
    """What :class:`Training` says it does, written out."""
    plan = Plan(net, penalty)
    optimizer = SGD(net.parameters(), lr=lr, momentum=0.9)
    handle = attach(optimizer, plan) if exact else None
    data, size = PARTS["train"], 32
    generator = torch.Generator().manual_seed(0)
    steps = epochs * 2  # 48 rows: batches of 32 and 16
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        if handle:
            handle.scale = 1.0 if epoch >= begins else 0.0
        order = torch.randperm(48, generator=generator)
        for rows in order.split(size):
            optimizer.zero_grad()
            cost = functional.cross_entropy(net(data.x[rows]), data.y[rows])
            if not exact and epoch >= begins:
                cost = cost + sum(0.01 * w.abs().sum() for n, w in net.named_parameters()
                                  if n.endswith("weight"))  # fmt: skip
            cost.backward()
            optimizer.step()
            schedule.step()


@pytest.mark.parametrize("form", ["exact", "term"])
def test_training_to_the_letter(form: Any) -> None:
    ours, hand = network(), network()
    treatment = Treatment(form=form)
    run(ours, Training(epochs=6, batch_size=32, penalty_from=0.5), treatment=treatment)
    torch.manual_seed(0)
    by_hand(hand, L1(0.01), epochs=6, begins=3, exact=form == "exact")
    for a, b in zip(weights(ours), weights(hand), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    # and the two forms are not the same
    other = network()
    by_hand(other, L1(0.01), epochs=6, begins=3, exact=form == "term")
    assert not torch.allclose(weights(other)[0], weights(ours)[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("share", "begins"), [(0.0, 0), (0.15, 1), (0.34, 3), (0.5, 5)])
def test_penalty_from(share: float, begins: int) -> None:
    net = network()
    stream = fit(
        Plan(net, L1(5.0)), Training(penalty_from=share), PARTS, epochs=10, seed=0, looks=10
    )
    dead = [epoch.epoch for epoch in stream if epoch.nonzeros == 0]
    assert dead
    assert dead[0] == begins + 1  # under λ = 5 the first penalised epoch empties the network


@pytest.mark.filterwarnings("ignore::shrinkage.errors.ShrinkageWarning")
def test_batch_normalisation_never_meets_a_single_row() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    rates = []

    def noted(parameters: Any, lr: float) -> Optimizer:
        optimizer = SGD(parameters, lr=lr)
        optimizer.register_step_pre_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
        return optimizer

    train = Training(batch_size=16, optimizer=noted, lr=0.1)
    parts = {"train": examples(33), "validation": examples(24, seed=1)}
    last = list(fit(Plan(net, WEAK), train, parts, epochs=2, seed=0))[-1]
    assert isfinite(last.parts["train"].loss)
    cosine = [0.05 * (1 + cos(pi * k / 4)) for k in range(4)]  # 16 + 17 rows, twice
    assert rates == pytest.approx(cosine)


def test_the_exact_form_makes_zeros_and_the_term_none() -> None:
    options = {"epochs": 40, "penalty": L1(0.02)}
    exact, term = network(), network()
    last = run(exact, Training(), **options)[-1]
    assert 0 < last.nonzeros < 40
    assert last.nonzeros == sum(int((w != 0).sum()) for w in (exact[0].weight, exact[3].weight))
    assert run(term, Training(), **options, treatment=TERM)[-1].nonzeros == 56


def test_the_plan_is_free_after_training() -> None:
    net = network()
    plan = Plan(net, L1(0.01))
    list(fit(plan, Training(), PARTS, epochs=2, seed=0))
    plan.penalty()


def test_a_training_that_is_left_early_frees_the_plan() -> None:
    net = network()
    plan = Plan(net, L1(0.01))
    stream = fit(plan, Training(), PARTS, epochs=10, seed=0, looks=10)
    assert next(stream).epoch == 1
    stream.close()
    plan.penalty()


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_named_optimizers(name: str) -> None:
    last = run(network(), Training(optimizer=name, lr=0.02), epochs=20)[-1]
    assert last.parts["train"].loss < 0.5
    assert last.nonzeros < 56


def test_an_optimizer_of_ones_own_and_the_factor_of_the_rate() -> None:
    seen = []

    def make(parameters: list[nn.Parameter], lr: float) -> Optimizer:
        seen.append((len(parameters), lr))
        return SGD(parameters, lr=lr)

    run(network(), Training(optimizer=make, lr=0.2), treatment=Treatment(lr_factor=0.5), epochs=1)
    assert seen == [(4, 0.1)]
    made = Training(lr=0.2).make_optimizer(list(network().parameters()), 0.5)
    assert made.param_groups[0]["lr"] == 0.1
    assert made.param_groups[0]["momentum"] == 0.9


def test_a_loss_of_ones_own() -> None:
    calls = []

    def loss(prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        calls.append(len(y))
        return functional.multi_margin_loss(prediction, y)

    last = run(network(), Training(loss=loss), loss=loss, epochs=3)[-1]
    x, y = PARTS["validation"].x, PARTS["validation"].y
    assert calls.count(32) >= 3
    assert isfinite(last.parts["validation"].loss)
    assert len(x) == len(y) == last.parts["validation"].n


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is out of range: got 0"),
        ({"epochs": 2.5}, "epochs is not a whole number: got 2.5"),
        ({"epochs": True}, "epochs is not a whole number"),
        ({"batch_size": -1}, "batch_size is out of range: got -1"),
        ({"optimizer": "sdg"}, "optimizer is unknown: got 'sdg'; expected sgd or adam or adamw"),
        ({"penalty_from": 1.0}, "penalty_from is out of range: got 1.0"),
        ({"penalty_from": -0.1}, "penalty_from is out of range"),
        ({"lr": 0.0}, "learning rate is out of range: got 0.0"),
        ({"lr": float("nan")}, "learning rate is out of range"),
        ({"lr": float("inf")}, "learning rate is out of range"),
    ],
)
def test_training_refuses(options: Any, message: str) -> None:
    with pytest.raises(FitError, match=message):
        Training(**options)


# ------------------------------------------------------------------------------------ the stream


def test_looks_are_spread_and_the_last_epoch_is_last() -> None:
    stream = run(network(), Training(), epochs=12, looks=4)
    assert [epoch.epoch for epoch in stream] == [3, 6, 9, 12]
    everything = run(network(), Training(), epochs=5, looks=100)
    assert [epoch.epoch for epoch in everything] == [1, 2, 3, 4, 5]
    assert [epoch.epoch for epoch in run(network(), Training(), epochs=7, looks=3)] == [3, 5, 7]
    assert [epoch.epoch for epoch in run(network(), Training(), epochs=1)] == [1]


@pytest.mark.parametrize(("epochs", "looks"), [(100, 20), (7, 3), (20, 20), (3, 20), (50, 7)])
def test_about_as_many_looks_as_asked_for(epochs: int, looks: int) -> None:
    seen = [epoch for epoch in range(1, epochs + 1) if _looked_at(epoch, epochs, looks)]
    assert len(seen) == min(looks, epochs) - 1
    assert epochs not in seen


def test_looking_changes_nothing() -> None:
    often, once = network(dropout=0.5), network(dropout=0.5)
    run(often, Training(), looks=100)
    run(once, Training(), looks=1)
    assert same(often, once)


def test_an_epoch_tells_what_is_there() -> None:
    net = network()
    plan = Plan(net, {"0": L1(0.01), "3": L2(0.1)})
    *_, last = fit(plan, Training(), PARTS, epochs=4, seed=0)
    with torch.no_grad():
        hand = 0.01 * net[0].weight.abs().sum() + 0.1 * net[3].weight.square().sum()
        loss = functional.cross_entropy(net(PARTS["validation"].x), PARTS["validation"].y)
    assert set(last.parts) == {"train", "validation"}
    assert last.penalty == pytest.approx(float(hand), rel=1e-5)
    assert last.parts["validation"].loss == pytest.approx(float(loss), rel=1e-5)
    assert last.nonzeros == int((net[0].weight != 0).sum()) + int((net[3].weight != 0).sum())


def test_seeds_reproduce_to_the_bit() -> None:
    nets = [network(dropout=0.3) for _ in range(3)]
    streams = [
        run(net, Training(), GroupL1(0.01), seed=seed)
        for net, seed in zip(nets, (4, 4, 5), strict=True)
    ]
    assert same(nets[0], nets[1])
    assert [e.parts["train"].chunks for e in streams[0]] == [
        e.parts["train"].chunks for e in streams[1]
    ]
    assert not same(nets[0], nets[2])


# --------------------------------------------------------------------------------------- pruning


def train_with(make: Any) -> Any:
    def train(model: nn.Module, plan: Plan, budget: Budget) -> None:
        optimizer = make(model.parameters())
        for _ in range(budget.epochs):
            for x, y in budget.batches(16):

                def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
                    optimizer.zero_grad()
                    loss = functional.cross_entropy(model(x), y)
                    loss.backward()
                    return loss

                optimizer.step(closure)

    return train


@pytest.mark.parametrize(
    "make",
    [lambda p: SGD(p, lr=0.1, momentum=0.9), lambda p: Adam(p, lr=0.01),
     lambda p: torch.optim.Rprop(p), lambda p: torch.optim.LBFGS(p, max_iter=3)],
    ids=["sgd", "adam", "rprop", "lbfgs"],
)  # fmt: skip
def test_pruning_holds_under_any_optimizer(make: Any) -> None:
    net = network()
    plan = Plan(net, L1(0.0))
    *_, last = fit(plan, train_with(make), PARTS, epochs=6, seed=0, treatment=Treatment(keep=7))
    assert last.epoch == 6
    assert last.nonzeros == 7
    assert int((net[0].weight != 0).sum() + (net[3].weight != 0).sum()) == 7
    assert (net[0].bias != 0).all()


def test_pruning_keeps_the_largest_of_half_the_training() -> None:
    pruned, half = network(), network()
    train = train_with(lambda p: SGD(p, lr=0.05))
    treatment = Treatment(keep=5)
    epochs = [e.epoch for e in run(pruned, Training(), L1(0.0), treatment=treatment, epochs=7,
                                   looks=100)]  # fmt: skip
    assert epochs == [1, 2, 4, 5, 6, 7]  # 3 epochs, prune, 4 epochs of fine-tuning
    *_, last = fit(Plan(pruned := network(), L1(0.0)), train, PARTS, epochs=4, seed=3,
                   treatment=treatment)  # fmt: skip
    assert last.nonzeros == 5
    list(fit(Plan(half, L1(0.0)), train, PARTS, epochs=2, seed=3))
    sizes = torch.cat([half[0].weight.abs().flatten(), half[3].weight.abs().flatten()])
    kept = torch.cat([pruned[0].weight.flatten(), pruned[3].weight.flatten()]) != 0
    assert set(kept.nonzero().flatten().tolist()) == set(sizes.topk(5).indices.tolist())


@pytest.mark.parametrize("keep", [0, 56, 100])
def test_pruning_at_the_ends(keep: int) -> None:
    last = run(network(), Training(), L1(0.0), treatment=Treatment(keep=keep))[-1]
    assert last.nonzeros == min(keep, 56)


@pytest.mark.parametrize(("epochs", "expected"), [(1, [1]), (2, [1, 1]), (12, [6, 2, 2, 2])])
def test_pruning_has_no_stage_without_epochs(epochs: int, expected: list[int]) -> None:
    lengths = []

    def train(model: nn.Module, plan: Plan, budget: Budget) -> Iterator[None]:
        lengths.append(budget.epochs)
        yield from Training()(model, plan, budget)

    last = run(network(), train, L1(0.0), treatment=Treatment(keep=5), epochs=epochs)[-1]
    assert lengths == expected
    assert (last.epoch, last.nonzeros) == (epochs, 5)


@pytest.mark.parametrize("ending", ["end", "closed", "error"])
def test_the_mask_is_gone_afterwards(ending: str) -> None:
    net = network()
    plan = Plan(net, L1(0.0))
    calls = []

    def train(model: nn.Module, plan: Plan, budget: Budget) -> Iterator[None]:
        calls.append(budget.epochs)
        yield from Training()(model, plan, budget)
        if ending == "error" and len(calls) == 2:
            raise ValueError("broken")

    stream = fit(plan, train, PARTS, epochs=8, seed=0, treatment=Treatment(keep=3), looks=8)
    if ending == "end":
        list(stream)
    elif ending == "closed":
        while next(stream).epoch < 6:
            pass
        stream.close()
    else:
        with pytest.raises(ModelError, match="broken"):
            list(stream)
    assert calls == [4, 4]
    assert int((net[0].weight != 0).sum() + (net[3].weight != 0).sum()) == 3
    optimizer = SGD(net.parameters(), lr=0.1)
    for w in net.parameters():
        w.grad = torch.ones_like(w)
    optimizer.step()
    assert (net[0].weight != 0).all()


# ------------------------------------------------------------------------- the user's own training


def plain(model: nn.Module, plan: Plan, budget: Budget) -> None:
    """As a user writes it: no remove(), no yield."""
    optimizer = SGD(model.parameters(), lr=0.1 * budget.lr_factor)
    attach(optimizer, plan, method=budget.method)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 100)
    for _ in range(budget.epochs):
        for x, y in budget.batches(16):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()


def test_a_plain_function_shows_the_end() -> None:
    for form, zeros in (("exact", True), ("term", False)):
        stream = run(network(), plain, L1(0.05), treatment=Treatment(form=form), epochs=20)
        assert [epoch.epoch for epoch in stream] == [20]
        assert (stream[-1].nonzeros < 56) is zeros


def test_a_plain_function_can_be_pruned() -> None:
    gc.disable()  # the second half attaches while the first optimizer may still linger
    try:
        last = run(network(), plain, L1(0.0), treatment=Treatment(keep=9))[-1]
    finally:
        gc.enable()
    assert last.nonzeros == 9


def test_a_generator_shows_the_way() -> None:
    def train(model: nn.Module, plan: Plan, budget: Budget) -> Iterator[None]:
        optimizer = Adam(model.parameters(), lr=1e-2)
        handle = attach(optimizer, plan, method=budget.method)
        for _ in range(budget.epochs):
            for x, y in budget.batches(16):
                optimizer.zero_grad()
                functional.cross_entropy(model(x), y).backward()
                optimizer.step()
            yield
        handle.remove()

    net = network()
    plan = Plan(net, L1(0.02))
    stream = list(fit(plan, train, PARTS, epochs=6, seed=0))
    assert [epoch.epoch for epoch in stream] == [1, 2, 3, 4, 5, 6]
    losses = [epoch.parts["train"].loss for epoch in stream]
    assert losses[-1] < losses[0]
    plan.penalty()  # the code behind the last yield ran


def test_a_function_that_raises_is_told_in_one_line() -> None:
    def broken(model: nn.Module, plan: Plan, budget: Budget) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(
        ModelError, match="training function broken failed: got RuntimeError: mat1 and mat2"
    ) as caught:
        run(network(), broken)
    assert isinstance(caught.value.__cause__, RuntimeError)

    def late(model: nn.Module, plan: Plan, budget: Budget) -> Iterator[None]:
        yield
        raise KeyError("x")

    line = late.__code__.co_firstlineno + 2
    place = rf"failed: got KeyError: 'x' \(test_fitting.py, line {line}\); expected"
    with pytest.raises(ModelError, match=place):
        run(network(), late)

    def misfit(model: nn.Module, plan: Plan, budget: Budget) -> None:
        model(torch.zeros(3, 999))

    line = misfit.__code__.co_firstlineno + 1
    with pytest.raises(ModelError, match=rf"RuntimeError: .* \(test_fitting.py, line {line}\)"):
        run(network(), misfit)  # the user's line, not PyTorch's


def test_our_own_errors_come_through_as_they_are() -> None:
    def asks(model: nn.Module, plan: Plan, budget: Budget) -> None:
        list(budget.batches(0))

    with pytest.raises(DataError, match="batch size is out of range: got 0"):
        run(network(), asks)


def test_a_function_that_never_applies_the_plan() -> None:
    ignores = train_with(lambda p: SGD(p, lr=0.1))
    with pytest.raises(ModelError, match=r"never applied the plan.*method=budget.method"):
        run(network(), ignores, L1(0.1))
    assert run(network(), ignores, L1(0.0))[-1].epoch == 6  # nothing to apply


def test_a_function_that_ignores_the_method() -> None:
    def stubborn(model: nn.Module, plan: Plan, budget: Budget) -> None:
        optimizer = SGD(model.parameters(), lr=0.1)
        attach(optimizer, plan)
        functional.cross_entropy(model(budget.train.x), budget.train.y).backward()
        optimizer.step()

    with pytest.raises(NotApplicableError, match="always applies the exact form: got attach with"):
        run(network(), stubborn, treatment=TERM)
    assert run(network(), stubborn)[-1].epoch == 6


def test_a_diverging_run() -> None:
    with pytest.raises(DivergedError, match="training diverged"):
        run(network(), Training(lr=1e38), L1(0.0), epochs=10)

    def breaks(model: nn.Module, plan: Plan, budget: Budget) -> None:
        attach(torch.optim.SGD(model.parameters(), lr=0.1), plan, method=budget.method)
        nn.init.constant_(model[0].weight, float("nan"))

    with pytest.raises(DivergedError, match="training diverged"):
        run(network(), breaks)
