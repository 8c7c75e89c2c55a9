"""Odd networks, losses and data: the right result, or one clear error that says what to do."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, TensorDataset

import shrinkage as sh
from shrinkage.errors import (
    AttachError,
    DataError,
    FitError,
    ModelError,
    PlanError,
    ShrinkageError,
    told,
)

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(60, 5, generator=GENERATOR)
Y = torch.randint(3, (60,), generator=GENERATOR)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


def step(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    cross_entropy(net(X), Y).backward()
    optimizer.step()


def lowered(net: nn.Module, plan: sh.Plan, data: Any = (X, Y), loss: Any = None) -> None:
    """certify and polish work, and polish lowers what certify saw."""
    before = sh.certify(net, plan, data, loss)
    assert sh.polish(net, plan, data, loss, rounds=3).objective < before.objective


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.into, self.out = nn.Linear(5, 4), nn.Linear(4, 3)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(self.into(x)[:, None])[:, 0])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.out = nn.LSTM(5, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(x[:, None])[0][:, 0])


def tied() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3))
    net[2].weight = net[0].weight
    return net


def with_an_empty_parameter() -> nn.Module:
    net = network()
    net[1].register_parameter("nothing", nn.Parameter(torch.zeros(0, 4)))
    return net


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "attention": Attention,
    "recurrent": Recurrent,
    "tied": tied,
    "empty parameter": with_an_empty_parameter,
    "DataParallel": lambda: nn.DataParallel(network()),
    "compiled": lambda: torch.compile(network(), backend="eager"),
    "bfloat16": lambda: network().bfloat16(),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore:.*normalisation layer")
def test_networks_are_certified_and_polished(name: str) -> None:
    net = NETWORKS[name]()
    lowered(net, sh.Plan(net, sh.L1(1e-3)))


def test_an_inner_network_has_the_certificate_of_its_wrapper() -> None:
    net = network()
    whole = nn.DataParallel(net)
    inner = sh.certify(net, sh.Plan(net, sh.L1(1e-2)), (X, Y))
    assert sh.certify(whole, sh.Plan(whole, sh.L1(1e-2)), (X, Y)) == inner


@pytest.mark.parametrize("strength", [0.0, 1e-3])
def test_without_a_penalty_polish_lowers_the_loss(strength: float) -> None:
    net = network()
    lowered(net, sh.Plan(net, sh.L2(strength)))
    lowered(net, sh.Plan(net, sh.L1(strength)))


def test_inference_mode_is_no_obstacle() -> None:
    net = network()
    with torch.inference_mode():
        lowered(net, sh.Plan(net, sh.L1(1e-3)))


# --------------------------------------------------------------------------------- losses and data


@pytest.mark.parametrize("loss", [None, cross_entropy, nn.CrossEntropyLoss()])
def test_ignored_labels_do_not_count_in_any_batching(loss: Any) -> None:
    y = Y.clone()
    y[:20] = -100
    net = network()
    plan = sh.Plan(net, sh.L1(1e-3))
    want = sh.certify(net, plan, (X[20:], Y[20:]))
    for data in ((X, y), DataLoader(TensorDataset(X, y), batch_size=7)):
        found = sh.certify(net, plan, data, loss)
        assert found.objective == pytest.approx(want.objective, rel=1e-6)
        assert found.null_objective == pytest.approx(want.null_objective, rel=1e-6)
        assert found.gap == pytest.approx(want.gap, rel=1e-4)
    assert sh.measure(net, plan, (X, y), loss).parts["data"].score == pytest.approx(
        sh.measure(net, plan, (X[20:], Y[20:])).parts["data"].score
    )


@dataclass
class Unhashable:
    """A loss with parameters of its own, compared by them and so without a hash."""

    factor: float = 2.0

    def __call__(self, prediction: Tensor, y: Tensor) -> Tensor:
        return self.factor * cross_entropy(prediction, y)


def test_a_loss_without_a_hash() -> None:
    net = network()
    lowered(net, sh.Plan(net, sh.L1(1e-3)), loss=Unhashable())


def test_labels_of_any_integer_kind() -> None:
    net = network()
    plan = sh.Plan(net, sh.L1(1e-3))
    want = sh.certify(net, plan, (X, Y)).objective
    small = TensorDataset(X, Y.to(torch.int32))
    for data in ((X, Y.to(torch.uint8)), small, DataLoader(small, batch_size=60)):
        assert sh.certify(net, plan, data).objective == pytest.approx(want)


class Augmented(Dataset[Any]):
    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> Any:
        return X[index] + torch.randn(5), Y[index]


@pytest.mark.parametrize("data", [Augmented(), DataLoader(Augmented(), shuffle=True)])
def test_augmented_data_are_refused(data: Any) -> None:
    net = network()
    with pytest.raises(DataError, match="gives another example every time"):
        sh.certify(net, sh.Plan(net, sh.L1(1e-3)), data)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Any:
        return self.net(x), x


BAD: dict[str, tuple[Callable[[], nn.Module], Any, Any, type[ShrinkageError], str]] = {
    "a pair of outputs": (Pair, (X, Y), None, ModelError, "wrong output.*tuple"),
    "meta": (lambda: network().to("meta"), (X, Y), None, PlanError, "no weights yet"),
    "labels too large": (network, (X, Y + 5), None, FitError, "is out of bounds"),
    "other inputs": (network, (X[:, :3], Y), None, FitError, "do not fit together"),
    "infinite inputs": (network, (X * torch.inf, Y), None, FitError, "not finite"),
    "no rows": (network, (X[:0], Y[:0]), None, DataError, "no examples"),
    "a sum": (network, (X, Y), nn.CrossEntropyLoss(reduction="sum"), FitError, "not a mean"),
    "all ignored": (network, (X, 0 * Y - 100), None, FitError, "no example counts"),
}


@pytest.mark.parametrize("act", [sh.certify, sh.polish])
@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_certified_is_one_clear_error(name: str, act: Callable[..., Any]) -> None:
    make, data, loss, kind, text = BAD[name]
    net = make()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(kind, match=text):
        act(net, sh.Plan(net, sh.L1(1e-3)), data, loss)
    if name != "meta":
        assert all(torch.equal(net.state_dict()[key], before[key]) for key in before)


# ------------------------------------------------------------------------------- attach and copies


def test_a_network_without_weights_is_not_attached() -> None:
    net = network().to("meta")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(PlanError, match="no weights yet"):
        sh.attach(optimizer, sh.Plan(net, sh.L1(1e-3)))


def test_complex_weights_are_refused() -> None:
    with pytest.raises(PlanError, match="'weight' is complex"):
        sh.Plan(nn.Linear(5, 3, dtype=torch.complex64), sh.L1(1e-3))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda plan: pickle.loads(pickle.dumps(plan))])  # noqa: S301
def test_a_copied_plan_is_free_and_of_the_copied_network(copied: Callable[[Any], Any]) -> None:
    net = network()
    plan = sh.Plan(net, sh.L1(10.0))
    handle = sh.attach(torch.optim.SGD(net.parameters(), lr=0.1), plan)
    twin = copied(plan)
    optimizer = torch.optim.SGD(twin.model.parameters(), lr=0.1)
    other = sh.attach(optimizer, twin)
    step(twin.model, optimizer)
    assert not twin.model[0].weight.any()
    assert net[0].weight.all()
    for each in (handle, other):
        each.remove()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_handle_is_not_copied(copied: Callable[[Any], Any]) -> None:
    net = network()
    handle = sh.attach(torch.optim.SGD(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(1e-3)))
    with pytest.raises(AttachError, match="cannot be copied or pickled"):
        copied(handle)


def test_weights_that_are_frozen_for_a_while_stay() -> None:
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)))
    step(net, optimizer)
    net[0].weight.requires_grad_(requires_grad=False)
    before = net[0].weight.clone()
    for _ in range(3):
        step(net, optimizer)
    assert torch.equal(net[0].weight, before)
    net[0].weight.requires_grad_(requires_grad=True)
    for _ in range(40):
        step(net, optimizer)
    assert not net[0].weight.any()


def test_each_group_has_its_own_rate() -> None:
    net = network()
    groups = [{"params": net[0].parameters(), "lr": 0.0}, {"params": net[2].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.5)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.5)))
    before = net[0].weight.clone()
    for _ in range(20):
        step(net, optimizer)
    assert torch.equal(net[0].weight, before)
    assert not net[2].weight.any()


def test_a_handles_state_goes_from_a_wrapped_network_to_a_plain_one() -> None:
    states = []
    for wrap in (nn.DataParallel, lambda net: net):
        net = wrap(network())
        optimizer = torch.optim.Adam(net.parameters())
        handle = sh.attach(optimizer, sh.Plan(net, sh.L1(1e-2)))
        if states:
            handle.load_state_dict(states[0])
        else:
            step(net, optimizer)
        states.append(handle.state_dict())
    first, second = (state["blocks"]["0.weight"] for state in states)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("loss", ["mse", 3, nn.CrossEntropyLoss])
def test_a_loss_that_is_no_function_is_told_everywhere(tmp_path: Path, loss: Any) -> None:
    """Names, and a class where an instance is meant."""
    net = network()
    plan = sh.Plan(net, sh.L1(1e-3))
    for use in (
        lambda: sh.certify(net, plan, (X, Y), loss),
        lambda: sh.measure(net, plan, (X, Y), loss),
        lambda: sh.polish(net, plan, (X, Y), loss),
        lambda: sh.contrast(network, (X, Y), loss=loss, run=tmp_path / "run"),
        lambda: sh.path(network, (X, Y), sh.L1(1.0), loss=loss, run=tmp_path / "run"),
    ):
        with pytest.raises(FitError, match="the loss is not a function"):
            use()
    assert not (tmp_path / "run").exists()


def test_an_optimizer_that_is_no_function_is_told(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="optimizer is neither a name nor a function"):
        sh.contrast(network, (X, Y), optimizer=3, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "line",
    [
        "numpy.random.RandomState(-1)",  # raised in Cython, whose files have no path
        "json.loads('no')",
        "torch.zeros(2) @ torch.zeros(3)",
        "package_of_theirs.go()",
    ],
)
@pytest.mark.parametrize("folder", ["mine", f"{Path(sh.__file__).parent}_experiments"])
def test_the_place_that_is_told_is_the_users_own(
    line: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "lib" / "dist-packages"
    packages.mkdir(parents=True)
    (packages / "package_of_theirs.py").write_text("def go():\n    raise ValueError('inside')\n")
    monkeypatch.syspath_prepend(str(packages))
    code = f"import json, numpy, torch, package_of_theirs\n\ndef f():\n    {line}\n"
    names: dict[str, Any] = {}
    exec(compile(code, f"{folder}/train.py", "exec"), names)  # noqa: S102
    try:
        names["f"]()
    except Exception as error:
        assert told(error).endswith("(train.py, line 4)")  # noqa: PT017
    else:
        raise AssertionError
