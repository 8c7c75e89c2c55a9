"""Loss, gradient and curvature over ragged, weighted batches, beside those of all data at once."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import functional
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset

import shrinkage as sh
from shrinkage.analysis.objectives import Objective

WEIGHT = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)


def data(n: int = 23) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=draw, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=draw)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Dropout(0.5), nn.Linear(3, 3)).double()


def objective(loss: Callable[[Tensor, Tensor], Tensor] | None, batch: int = 5) -> Objective:
    net = network()
    x, y = data()
    y[:5] = 1  # a batch of one class
    loader = DataLoader(TensorDataset(x, y), batch_size=batch)
    return Objective(net, sh.Plan(net, sh.ElasticNet(0.1, 0.2)), loader, loss)


LOSSES = {
    "mean": nn.CrossEntropyLoss(),
    "weighted": nn.CrossEntropyLoss(weight=WEIGHT),
    "ignored": nn.CrossEntropyLoss(weight=WEIGHT, ignore_index=1),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.1),
}


def whole(cost: Objective, loss: nn.Module) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The mean loss of all data at once as a function of one vector, and the vector."""
    x, y = data()
    y[:5] = 1
    net = cost.model.eval()
    parts = dict(net.named_parameters())

    def value(vector: Tensor) -> Tensor:
        pieces = torch.split(vector, [p.numel() for p in parts.values()])
        state = {k: v.reshape(p.shape) for (k, p), v in zip(parts.items(), pieces, strict=True)}
        return loss(functional_call(net, state, (x,)), y)

    return value, torch.cat([p.detach().flatten() for p in parts.values()])


def flat(vector: list[Tensor]) -> Tensor:
    return torch.cat([v.flatten() for v in vector])


def directions(cost: Objective, seed: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(w.shape, generator=draw, dtype=torch.float64) for w in cost.point]


@pytest.mark.parametrize("name", LOSSES)
def test_batches_add_up_to_the_whole(name: str) -> None:
    cost = objective(LOSSES[name])
    value, at = whole(cost, LOSSES[name])
    with cost.evaluating():
        mean, gradient = cost.gradient()
        assert cost.loss() == pytest.approx(float(value(at)), rel=1e-12)
        assert mean == pytest.approx(float(value(at)), rel=1e-12)
        expected = functional.jacobian(value, at)
        assert torch.allclose(flat(gradient), expected, rtol=1e-10, atol=1e-14)
        matrix = functional.hessian(value, at)
        product = cost.hessian()
        for seed in (1, 2):  # the graph is kept
            v = directions(cost, seed)
            assert torch.allclose(flat(product(v)), matrix @ flat(v), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_curvature_is_that_of_gauss_and_newton(name: str) -> None:
    cost = objective(LOSSES[name])
    loss = LOSSES[name]
    x, y = data()
    y[:5] = 1
    net = cost.model.eval()
    state = {k: p.detach() for k, p in net.named_parameters()}

    def outputs(vector: Tensor) -> Tensor:
        pieces = torch.split(vector, [p.numel() for p in state.values()])
        new = {k: v.reshape(p.shape) for (k, p), v in zip(state.items(), pieces, strict=True)}
        return functional_call(net, new, (x,)).flatten()

    at = torch.cat([p.flatten() for p in state.values()])
    with torch.no_grad():
        out = outputs(at)
    bent = functional.hessian(lambda o: loss(o.reshape(-1, 3), y), out)
    slopes = functional.jacobian(outputs, at)
    matrix = slopes.T @ bent @ slopes
    with cost.evaluating():
        product = cost.curvature()
        for seed in (1, 2):
            v = directions(cost, seed)
            assert torch.allclose(flat(product(v)), matrix @ flat(v), rtol=1e-9, atol=1e-12)


class Split(nn.Module):
    """The units of one layer vanish with another layer's in part."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.d = nn.Linear(4, 5, bias=False), nn.Linear(4, 2)
        self.b, self.c = nn.Linear(2, 1), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        p, q = h[:, :2], h[:, 2:]
        return self.b(torch.tanh(p + self.d(x))) + self.c(torch.tanh(q))


@pytest.mark.parametrize("groups", [1, 2])
def test_the_hessian_of_coupled_rows_is_the_gradients_slope(groups: int) -> None:
    torch.manual_seed(0)
    simple = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    net = (Split() if groups == 2 else simple).double()
    x = data()[0]
    y = torch.sin(x[:, :1])
    layers = dict.fromkeys("a" if groups == 2 else "0", sh.GroupL1(0.1, coupled=True))
    cost = Objective(net, sh.Plan(net, layers, example_inputs=x), (x, y), None)
    assert sum(block.group is not None for block in cost.blocks) == groups
    with cost.evaluating():
        before = [w.clone() for w in cost.point]
        v = directions(cost, 3)
        step = 1e-5
        slopes = []
        for sign in (1, -1):
            cost.move([w + sign * step * d for w, d in zip(before, v, strict=True)])
            slopes.append(flat(cost.gradient()[1]))
            cost.move(before)
        value, _ = cost.gradient()
        exact = float(mse_loss(net(x), y).detach())
        hessian = flat(cost.hessian()(v))
    assert value == pytest.approx(exact, rel=1e-12)
    assert torch.allclose(hessian, (slopes[0] - slopes[1]) / (2 * step), rtol=1e-5, atol=1e-7)


def test_what_the_loss_does_not_read_has_no_slope_and_no_curvature() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(4, 1).double(), nn.Linear(4, 1).double()

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    net, (x, _) = Half(), data()
    cost = Objective(net, sh.Plan(net, sh.L1(0.1)), (x, x[:, :1].sin()), None)
    with cost.evaluating():
        v = [torch.ones_like(w) for w in cost.point]
        for found in (cost.gradient()[1], cost.hessian()(v), cost.curvature()(v)):
            idle = [
                part for b, part in zip(cost.blocks, found, strict=True) if "idle" in b.entry.name
            ]
            used = [
                part for b, part in zip(cost.blocks, found, strict=True) if "used" in b.entry.name
            ]
            assert len(idle) == 2
            assert all((part == 0).all() for part in idle)
            assert all((part != 0).all() for part in used)


def test_penalty_and_shapes() -> None:
    cost = objective(None)
    expected = sum(
        float(0.1 * p.abs().sum() + 0.2 * p.square().sum())
        for k, p in cost.model.state_dict().items()
        if k.endswith("weight")
    )
    assert cost.penalty() == pytest.approx(expected, rel=1e-12)
    assert cost.output_shape == (3,)
    assert torch.equal(cost.targets()[5:], data()[1][5:])
    assert cost.criterion.is_mean


def test_modes_and_random_state_stay() -> None:
    cost = objective(None)
    cost.model.train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with cost.evaluating():
        first, second = cost.loss(), cost.loss()
        assert not cost.model.training
        assert not torch.is_inference_mode_enabled()
    assert first == second
    assert cost.model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_half_precision_is_summed_in_double() -> None:
    x, y = data(200)
    net = network().float()
    cost = Objective(
        net, sh.Plan(net, sh.L1(0.1)), DataLoader(TensorDataset(x.float(), y), batch_size=1), None
    )
    with cost.evaluating():
        mean, gradient = cost.gradient()
        assert all(g.dtype == torch.float64 for g in gradient)
        each = [
            float(cross_entropy(net(a[None].float()), b[None]).detach())
            for a, b in zip(x, y, strict=True)
        ]
    assert mean == pytest.approx(sum(each) / 200, rel=1e-14)


def test_without_a_weight_there_is_no_mean() -> None:
    net = network()
    x, y = data()
    y[:] = 1
    with pytest.raises(sh.ShrinkageError, match="no example counts"):
        Objective(net, sh.Plan(net, sh.L1(0.1)), (x, y), LOSSES["ignored"])


def _level(prediction: Tensor, y: Tensor) -> Tensor:
    return (2 * prediction - y).mean()


@pytest.mark.parametrize("loss", [nn.L1Loss(), _level], ids=["kinked", "linear"])
def test_a_loss_that_is_linear_in_the_outputs_has_no_curvature(loss: nn.Module) -> None:
    x, _ = data()
    net = nn.Linear(4, 1).double()
    cost = Objective(net, sh.Plan(net, sh.L1(0.1)), (x, x[:, :1].sin()), loss)
    with cost.evaluating():
        found = cost.curvature()([torch.ones_like(w) for w in cost.point])
    assert [part.shape for part in found] == [w.shape for w in cost.point]
    assert all((part == 0).all() for part in found)
