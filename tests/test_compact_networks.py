"""Networks that compaction did not follow, or refused: the same outputs, and what may go goes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as f

import shrinkage as sh
from shrinkage.errors import CompactionError
from shrinkage.graph.sets import unit_sets

X = torch.randn(6, 12, generator=torch.Generator().manual_seed(3))


class Net(nn.Module):
    """A hidden layer with ``dead`` zero units of 9, and what is done with it."""

    def __init__(self, way: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.out, self.way = nn.Linear(12, 9), nn.Linear(9, 2), way
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)
        with torch.no_grad():
            self.inner.weight[::3] = 0.0
            self.inner.bias[::3] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, self.inner(x))


def compacted(model: nn.Module, x: Any = X) -> nn.Module:
    found = sh.compact(model.eval(), x, batch_sizes=())
    return found.model


def assert_same(model: nn.Module, small: nn.Module, x: Tensor = X) -> None:
    for more in (x, -3 * x, 0 * x):
        torch.testing.assert_close(small(more), model(more), rtol=1e-4, atol=1e-5)


# Products written out


def weight(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def param(*shape: int) -> nn.Parameter:
    return nn.Parameter(weight(*shape))


PRODUCTS: dict[str, Net] = {
    "matmul": Net(lambda m, h: f.relu(h) @ m.w, w=param(9, 4)),
    "mm": Net(lambda m, h: torch.mm(f.relu(h), mat2=m.w), w=param(9, 4)),
    "addmm": Net(lambda m, h: torch.addmm(m.b, f.relu(h), m.w), w=param(9, 4), b=param(4)),
    "a buffer": Net(lambda m, h: f.relu(h) @ m.w, w=weight(9, 4)),
    "a buffer in linear": Net(lambda m, h: f.linear(f.relu(h), m.w), w=weight(4, 9)),
    "reshape_as": Net(lambda m, h: m.out(f.relu(h.flatten().reshape_as(h)))),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_followed(name: str) -> None:
    model = PRODUCTS[name]
    small = compacted(model)
    assert small.inner.out_features == 6
    assert_same(model, small)


def test_what_is_scaled_before_it_is_added_stays() -> None:
    model = Net(lambda m, h: torch.addmm(m.b, h, m.w, beta=0.5), w=param(9, 4), b=param(4))
    small = compacted(model)
    assert small.inner.out_features == 9
    assert_same(model, small)


def test_a_constant_goes_into_the_bias_that_is_added() -> None:
    model = Net(lambda m, h: torch.addmm(m.b, h, m.w), w=param(9, 4), b=param(4))
    with torch.no_grad():
        model.inner.bias[::3] = torch.tensor([0.5, -1.0, 2.0])
    small = compacted(model)
    assert small.inner.out_features == 6
    torch.testing.assert_close(small.b, model.b + model.w[::3].T @ torch.tensor([0.5, -1.0, 2.0]))
    assert_same(model, small)


class Conv1D(nn.Module):
    """GPT-2's linear layer, as transformers writes it."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf)), nn.Parameter(torch.randn(nf))

    def forward(self, x: Tensor) -> Tensor:
        size = (*x.size()[:-1], self.nf)
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(size)


def test_a_transposed_layer_of_gpt2_shrinks() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Conv1D(12, 8), nn.GELU(), Conv1D(8, 12)).eval()
    with torch.no_grad():
        model[0].weight[:, ::4] = 0.0
        model[0].bias[::4] = 0.0
    x = torch.randn(2, 5, 8)
    small = compacted(model, x)
    assert (small[0].nx, small[0].nf, small[2].nx, small[2].nf) == (8, 9, 9, 8)
    assert_same(model, small, x)


def test_units_of_a_transposed_layer_are_coupled() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Conv1D(12, 8), nn.GELU(), Conv1D(8, 12)).eval()
    (inner,) = [u for u in unit_sets(model, (torch.randn(2, 5, 8),)) if u.pinned is None]
    assert {(m.name, m.dim) for m in inner.members} == {("0.weight", 1), ("0.bias", 0)}
    assert inner.n_units == 12


def test_zero_units_that_stay_are_told_of_transposed_layers_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Conv1D(6, 8), nn.Softmax(-1), nn.Linear(6, 2)).eval()
    with torch.no_grad():
        model[0].weight[:, :2] = 0.0
    notes = sh.compact(model, torch.randn(3, 5, 8), batch_sizes=()).report.notes
    assert notes == ("0: 2 zero units kept: 1: softmax over units",)


# What is learnt from constants


LEARNT: dict[str, tuple[Callable[[Any, Tensor], Tensor], dict[str, nn.Parameter]]] = {
    "one slope for all": (lambda m, h: m.out(f.prelu(h, m.a)), {"a": nn.Parameter(torch.ones(1))}),
    "a factor": (lambda m, h: m.out(h * m.a), {"a": nn.Parameter(torch.tensor(0.3))}),
    "a factor of 0": (lambda m, h: m.out(h * m.a), {"a": nn.Parameter(torch.tensor(0.0))}),
    "a factor that is computed": (
        lambda m, h: m.out(h * m.a.exp()), {"a": nn.Parameter(torch.tensor(0.3))},
    ),
    "a shift": (lambda m, h: m.out(h + m.a), {"a": nn.Parameter(torch.tensor([0.3]))}),
}  # fmt: skip


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", LEARNT)
def test_a_constant_from_which_something_is_learnt_stays(name: str, frozen: bool) -> None:
    """Folded into a bias it would have no part in the gradient of what made it."""
    way, parts = LEARNT[name]
    model = Net(way, **parts).requires_grad_(not frozen)
    with torch.no_grad():
        model.inner.bias[::3] = torch.tensor([-0.5, 0.0, -2.0])
    small = compacted(model)
    assert small.inner.out_features == (9 if name == "a shift" else 8)
    assert_same(model, small)
    model.requires_grad_(True)
    small.requires_grad_(True)
    for network in (model, small):
        network.zero_grad()
        network(X).square().sum().backward()
    torch.testing.assert_close(small.a.grad, model.a.grad)


# What networks do beside computing


class WithGradients(Net):
    """Its slope beside its output, as networks for differential equations have it."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_(True)
            y = self.out(torch.tanh(self.inner(x)))
            (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return torch.cat([y, slope], 1)


def by_autocast(m: Any, h: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return m.out(f.relu(m.middle(h))).float()


def kept_between_calls(m: Any, h: Tensor) -> Tensor:
    if not m.kept:
        m.kept["scale"] = m.a * 2
    return m.out(f.relu(h)) * m.kept["scale"]


def test_a_network_that_takes_gradients() -> None:
    model = WithGradients(Net.forward)
    small = compacted(model)
    assert small.inner.out_features == 6
    assert_same(model, small)


def test_a_network_that_rounds_more_than_its_dtype() -> None:
    torch.manual_seed(0)
    model = Net(by_autocast, middle=nn.Linear(9, 40), out=nn.Linear(40, 2))
    with torch.no_grad():
        model.inner.bias[::3] = 1.0
    found = sh.compact(model.eval(), X, batch_sizes=())
    assert found.model.inner.out_features == 6
    assert found.report.proofs["float64"].outputs < 1e-9
    assert found.report.proofs["float32"].tolerance == 3e-2


def test_a_network_that_keeps_what_it_computes() -> None:
    model = Net(kept_between_calls, a=nn.Parameter(torch.tensor(0.7)), kept={})
    small = compacted(model)
    assert small.inner.out_features == 6
    assert_same(model, small)


TEXTS = torch.tensor([[1, 8, 3, 4], [2, 5, 8, 1], [3, 3, 1, 8]])


class Texts(Net):
    """Takes texts with one end mark each, and reads that where nobody sees it."""

    def forward(self, ids: Tensor) -> Tensor:
        with torch._C.DisableTorchFunction():
            if not bool(((ids == 8).sum(1) == 1).all()):
                raise ValueError("each text needs one end")
        return self.out(f.relu(self.inner(self.table(ids)))).mean(1)


def test_ids_with_a_meaning() -> None:
    model = Texts(Net.forward, table=nn.Embedding(9, 12))
    small = compacted(model, TEXTS)
    assert small.inner.out_features == 6
    torch.testing.assert_close(small(TEXTS), model(TEXTS))


# One line where it cannot be


def test_a_network_without_gradients_is_one_error_and_its_remedy_helps() -> None:
    def overwritten(m: Any, h: Tensor) -> Tensor:
        y = torch.exp(h)
        with torch._C.DisableTorchFunction():
            z = y * y
            y.detach().zero_()
        return m.out(h) + z.sum() + 0 * y.sum()

    model = Net(overwritten).eval()
    with pytest.raises(CompactionError, match="no gradients") as caught:
        compacted(model)
    assert "@torch.no_grad()" in str(caught.value)
    model.way = torch.no_grad()(overwritten)
    compacted(model)


def test_a_network_for_its_own_dtype_alone_is_one_error() -> None:
    def half(_: Any, h: Tensor) -> Tensor:
        if h.dtype == torch.float64:
            raise RuntimeError("no kernel for Double")
        return h

    with pytest.raises(CompactionError, match=r"does not run in float64.*no kernel for Double"):
        compacted(Net(half))


def test_a_network_that_fails_in_its_own_dtype_is_one_error() -> None:
    def only_double(_: Any, h: Tensor) -> Tensor:
        if h.dtype != torch.float64:
            raise RuntimeError("no kernel for Half")
        return h

    with pytest.raises(CompactionError, match=r"does not take the example inputs.*no kernel"):
        compacted(Net(only_double))
