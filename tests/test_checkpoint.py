"""The optimizer's own checkpoint carries what a plan remembers: a loop need not know of it."""

import io
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_state_dict,
    set_state_dict,
)
from torch.optim import SGD, Adam, Optimizer

import shrinkage as sh
from shrinkage.errors import AttachError
from test_attach import SOME, Variant, batches, network, same, train, weights

RULES = {"0": sh.L1(0.01), "2": sh.GroupL1(0.01, by="input")}


def through_a_file(*things: Any) -> list[dict[str, Any]]:
    file = io.BytesIO()
    torch.save([thing.state_dict() for thing in things], file)
    file.seek(0)
    loaded: list[dict[str, Any]] = torch.load(file, weights_only=True)
    return loaded


def later(net: nn.Module, optimizer: Optimizer, steps: int = 40) -> list[Tensor]:
    """Trained on with the batches that follow the first 40."""
    stream = batches()
    for _ in range(40):
        next(stream)
    train(net, optimizer, steps, stream=stream)
    return weights(net)


@pytest.mark.parametrize("order", ["attach, load", "load, attach"])
@pytest.mark.parametrize("method", ["auto", "prox", "averaged", "subgradient"])
@SOME
def test_a_loop_that_forgets_the_handle_goes_on_bit_equal(
    variant: Variant, method: Any, order: str
) -> None:
    net = network()
    optimizer = variant.make(net.parameters())
    handle = sh.attach(optimizer, sh.Plan(net, RULES), method=method, warmup=50)
    train(net, optimizer, 20, stream=(stream := batches()))
    handle.scale = 0.7
    train(net, optimizer, 20, stream=stream)
    saved = through_a_file(net, optimizer)

    fresh = network(7)
    again = variant.make(fresh.parameters())
    fresh.load_state_dict(saved[0])
    if order == "load, attach":
        again.load_state_dict(saved[1])
    resumed = sh.attach(again, sh.Plan(fresh, RULES), method=method)
    if order == "attach, load":
        again.load_state_dict(saved[1])
    assert resumed.scale == 0.7
    assert resumed.factor == handle.factor < 0.7
    assert same(later(net, optimizer), later(fresh, again))
    assert "shrinkage" not in again.param_groups[0]


def test_the_state_of_each_of_two_plans() -> None:
    nets = [network(0), network(1)]

    def begin(nets: list[nn.Module]) -> tuple[Optimizer, list[sh.Handle]]:
        optimizer = Adam([p for net in nets for p in net.parameters()], lr=0.01)
        rules = ({"0": sh.L1(0.02)}, {"2": sh.L1(0.03)})
        pairs = zip(nets, rules, strict=True)
        return optimizer, [sh.attach(optimizer, sh.Plan(net, rule)) for net, rule in pairs]

    def step(nets: list[nn.Module], optimizer: Optimizer) -> None:
        x, y = next(batches())
        optimizer.zero_grad()
        sum(nn.functional.cross_entropy(net(x), y) for net in nets).backward()
        optimizer.step()

    optimizer, handles = begin(nets)
    for _ in range(15):
        step(nets, optimizer)
    handles[1].scale = 0.5
    saved = through_a_file(*nets, optimizer)
    fresh = [network(2), network(3)]
    for net, state in zip(fresh, saved, strict=False):
        net.load_state_dict(state)
    again, resumed = begin(fresh)
    again.load_state_dict(saved[-1])
    assert [handle.scale for handle in resumed] == [1.0, 0.5]
    for _ in range(15):
        step(nets, optimizer)
        step(fresh, again)
    assert all(same(weights(a), weights(b)) for a, b in zip(nets, fresh, strict=True))


def trained(begin: Callable[[nn.Module], Optimizer]) -> tuple[nn.Module, Optimizer]:
    net = network()
    optimizer = begin(net)
    train(net, optimizer, 12)
    return net, optimizer


def test_a_checkpoint_without_it_is_told_of_once() -> None:
    _, plain = trained(lambda net: SGD(net.parameters(), lr=0.05, momentum=0.9))
    net = network()
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)))
    optimizer.load_state_dict(plain.state_dict())
    with pytest.warns(sh.ShrinkageWarning, match="has no state of this plan") as told:
        train(net, optimizer, 3)
    assert len([w for w in told if "no state" in str(w.message)]) == 1


def test_a_checkpoint_of_another_plan_or_method_is_told_of() -> None:
    def begin(net: nn.Module) -> Optimizer:
        optimizer = SGD(net.parameters(), lr=0.05)
        sh.attach(optimizer, sh.Plan(net, {"0": sh.L1(0.01)}))
        return optimizer

    _, other = trained(begin)
    net = network()
    optimizer = SGD(net.parameters(), lr=0.05)
    optimizer.load_state_dict(other.state_dict())
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)))
    with pytest.warns(sh.ShrinkageWarning, match="has no state of this plan"):
        train(net, optimizer, 1)


@pytest.mark.filterwarnings("error")
def test_where_nothing_is_lost_nothing_is_said() -> None:
    """A handle's own state that follows, a method that remembers nothing, an empty optimizer."""
    net, plain = trained(lambda net: SGD(net.parameters(), lr=0.05, momentum=0.9))
    for method in ("averaged", "prox", "subgradient"):
        optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
        handle = sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)), method=method)  # type: ignore[arg-type]
        optimizer.load_state_dict(plain.state_dict())
        if method == "averaged":
            handle.load_state_dict(handle.state_dict())
        train(net, optimizer, 2)
        handle.remove()
    optimizer = SGD(net.parameters(), lr=0.05)
    fresh = SGD(net.parameters(), lr=0.05).state_dict()
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)))
    optimizer.load_state_dict(fresh)
    train(net, optimizer, 2)


def test_a_removed_handle_leaves_no_state() -> None:
    net, optimizer = trained(lambda net: SGD(net.parameters(), lr=0.05))
    plain = optimizer.state_dict()
    handle = sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)))
    assert "shrinkage" in optimizer.state_dict()["param_groups"][0]
    assert "shrinkage" not in optimizer.param_groups[0]
    handle.remove()
    assert optimizer.state_dict() == plain


def test_a_state_saved_before_the_first_step() -> None:
    """Adam takes a parameter with any state for one that has all of its own."""
    net = network()
    optimizer = Adam(net.parameters(), lr=0.01)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)), warmup=9)
    (saved,) = through_a_file(optimizer)
    assert saved["state"] == {}
    again = Adam(net.parameters(), lr=0.01)
    again.load_state_dict(saved)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(net, again, 2)


@pytest.mark.parametrize(
    ("found", "message"),
    [("x", "checkpoint was changed.*Delete 'shrinkage'"), ([{"scale": 1.0}], "not the state of")],
)
def test_a_checkpoint_that_was_changed(found: object, message: str) -> None:
    net, optimizer = trained(lambda net: SGD(net.parameters(), lr=0.05))
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.01)))
    state = optimizer.state_dict()
    state["param_groups"][0]["shrinkage"] = found
    with pytest.raises(AttachError, match=message):
        optimizer.load_state_dict(state)


def test_checkpoints_of_torch_distributed() -> None:
    """They keep it; flattened ones, which would copy it for every parameter, are told of."""

    def begin(seed: int) -> tuple[nn.Module, Optimizer, sh.Handle]:
        net = network(seed)
        optimizer = Adam(net.parameters(), lr=0.02)
        return net, optimizer, sh.attach(optimizer, sh.Plan(net, RULES))

    for flat in (False, True):
        options = StateDictOptions(flatten_optimizer_state_dict=flat)
        net, optimizer, _ = begin(0)
        train(net, optimizer, 40, stream=batches())
        saved = deepcopy(get_state_dict(net, optimizer, options=options))
        fresh, again, handle = begin(7)
        set_state_dict(
            fresh, again, model_state_dict=saved[0], optim_state_dict=saved[1], options=options
        )
        if not flat:
            assert same(later(net, optimizer), later(fresh, again))
            continue
        assert not [key for key in saved[1] if "shrinkage" in key]
        with pytest.warns(sh.ShrinkageWarning, match="has no state of this plan"):
            train(fresh, again, 1)
        handle.remove()
