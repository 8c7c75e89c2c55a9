import json
import math
from collections import OrderedDict
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn
from torch.autograd import forward_ad
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import prune

from shrinkage.analysis.measures import (
    Reach,
    activity,
    default_loss,
    evaluate,
    gini,
    measure,
    reach,
    weigh,
    without_largest,
)
from shrinkage.data import Examples, Split
from shrinkage.data.models import MODELS, Spec
from shrinkage.errors import DataError, FitError, ModelError, PlanError, ShrinkageError
from shrinkage.penalties import L1, L2, GroupL1
from shrinkage.plans import Plan

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*normalisation layer undoes.*"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script"),  # by forward_ad
]


@pytest.fixture(autouse=True)
def _seeded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small tensors: threads would only wait for each other
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def small() -> nn.Sequential:
    """2 → 3 → 2 in float64 with known weights."""
    net = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), act=nn.ReLU(), b=nn.Linear(3, 2))).double()
    with torch.no_grad():
        net.a.weight.copy_(torch.tensor([[1.0, -2.0], [0.0, 0.0], [0.5, 0.0]]))
        net.a.bias.copy_(torch.tensor([0.0, 1.0, -0.25]))
        net.b.weight.copy_(torch.tensor([[1.0, 1.0, 0.0], [-1.0, 0.0, 2.0]]))
        net.b.bias.zero_()
    return net


def sparse(net: nn.Module, keep: float, seed: int = 0) -> nn.Module:
    """The same network in float64 and eval mode, with random weights and random exact zeros."""
    generator = torch.Generator().manual_seed(seed)
    net = net.double().eval()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
            if p.ndim > 1 or seed % 2:
                p.mul_(torch.rand(p.shape, generator=generator) < keep)
        for name, b in net.named_buffers():
            if name.endswith("running_var"):
                b.copy_(torch.rand(b.shape, generator=generator) + 0.5)
    return net


# Weights


def test_weights_by_hand():
    net = small()
    w = weigh(Plan(net, L1(0.1)))
    a, b = w.layers
    assert (a.name, a.shape, a.size, a.zeros, a.nonzeros) == ("a.weight", (3, 2), 6, 3, 3)
    assert a.l1 == 3.5
    assert a.l2 == pytest.approx(math.sqrt(1 + 4 + 0.25), rel=1e-15)
    assert a.max_abs == 2
    assert a.top1 == a.top10 == pytest.approx(2 / 3.5)
    assert (a.units, a.zero_units) == (3, 1)
    assert (b.units, b.zero_units) == (2, 0)
    assert (w.total.name, w.total.size, w.total.zeros, w.total.shape) == ("total", 12, 5, (12,))
    assert w.total.l1 == 8.5
    assert (w.total.units, w.total.zero_units) == (5, 1)
    assert (w.n_parameters, w.nonzero_parameters) == (17, 9)


def test_weights_count_biases_and_frozen_and_tied_parameters():
    net = small()
    net.a.bias.requires_grad_(requires_grad=False)
    w = weigh(Plan(net, L1(0.1), biases=True))
    assert [layer.name for layer in w.layers] == ["a.weight", "b.weight", "b.bias"]
    assert w.layers[2].units is None
    assert w.layers[2].zero_units is None
    assert w.layers[2].gini == w.layers[2].top1 == w.layers[2].l1 == 0
    assert w.n_parameters == 17
    tied = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    tied[1].weight = tied[0].weight
    assert weigh(Plan(tied, L1(0.1))).n_parameters == 9


def test_all_zero_weights_give_numbers():
    net = small()
    for p in net.parameters():
        nn.init.zeros_(p)
    w = weigh(Plan(net, L1(0.1), biases=True))
    for layer in (*w.layers, w.total):
        assert layer.zeros == layer.size
        assert layer.l1 == layer.l2 == layer.max_abs == layer.top1 == layer.top10 == layer.gini == 0
    assert w.total.zero_units == 5
    assert w.nonzero_parameters == 0


def test_minus_zero_is_zero_and_tiny_is_not():
    net = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[-0.0, 1e-40]]))
    assert weigh(Plan(net, L1(0.1))).total.zeros == 1


@pytest.mark.parametrize(
    ("layer", "clear", "units"),
    [
        (nn.Conv2d(4, 6, 3, groups=2), lambda w: w[5].zero_(), 6),
        (nn.Conv2d(4, 4, 3, groups=4), lambda w: w[1].zero_(), 4),
        (nn.ConvTranspose2d(4, 6, 3), lambda w: w[:, 2].zero_(), 6),
        (nn.ConvTranspose1d(4, 6, 3, groups=2), lambda w: w[2:, 2].zero_(), 6),
        (nn.Linear(4, 6), lambda w: w[5].zero_(), 6),
    ],
)
def test_zero_units_follow_the_layout(layer, clear, units):
    with torch.no_grad():
        clear(layer.weight)
    found = weigh(Plan(layer, L1(0.1))).layers[0]
    assert (found.units, found.zero_units) == (units, 1)


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_gini_is_the_mean_absolute_difference(n):
    x = torch.randn(n, dtype=torch.float64)
    c = x.abs()
    expected = (c[:, None] - c[None, :]).abs().sum() / (2 * n * n * c.mean())
    assert gini(x) == pytest.approx(float(expected), abs=1e-12)
    assert gini(torch.full((n,), -3.0)) == pytest.approx(0, abs=1e-12)
    assert gini(nn.functional.one_hot(torch.tensor(0), n)) == pytest.approx(1 - 1 / n)


def test_top_shares_count_zeros_among_all_weights():
    net = nn.Linear(200, 1, bias=False)
    with torch.no_grad():
        net.weight.zero_()
        net.weight[0, :30] = 1.0
    total = weigh(Plan(net, L1(0.1))).total
    assert total.top1 == pytest.approx(2 / 30)
    assert total.top10 == pytest.approx(20 / 30)


def test_norms_are_accumulated_in_float64():
    net = nn.Linear(100_000, 1, bias=False)
    nn.init.constant_(net.weight, 0.1)
    w = weigh(Plan(net, L1(0.1))).total
    one = float(net.weight.detach()[0, 0])
    assert w.l1 == pytest.approx(1e5 * one, rel=1e-12)
    assert w.l2 == pytest.approx(math.sqrt(1e5) * one, rel=1e-12)


# Evaluation


def test_cross_entropy_and_accuracy_by_hand():
    net = small()
    x = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([0, 1, 1])
    # a = relu: [1, 1, .25], [2, 1, 0], [0, 1, 0]; b: [2, -.5], [3, -2], [1, 0]
    loss = [math.log1p(math.exp(-2.5)), 5 + math.log1p(math.exp(-5)), 1 + math.log1p(math.exp(-1))]
    found = evaluate(net, Examples(x, y))
    assert found.loss == pytest.approx(sum(loss) / 3, rel=1e-14)
    assert (found.score, found.score_name, found.n) == (pytest.approx(1 / 3), "accuracy", 3)
    assert found.chunks == (pytest.approx(found.loss),)


@pytest.mark.parametrize("n", [1, 2, 3, 99, 100, 1023, 1024, 1025, 1500, 2500, 60_000])
def test_ragged_batches_and_chunks(n):
    net = nn.Linear(2, 3).double()
    sizes = []
    net.register_forward_hook(lambda m, args, out: sizes.append(len(out)))
    x, y = torch.randn(n, 2, dtype=torch.float64), torch.randint(0, 3, (n,))
    found = evaluate(net, Examples(x, y))
    assert sum(sizes) == n
    assert max(sizes) <= 1024
    with torch.no_grad():
        each = functional.cross_entropy(net(x), y, reduction="none").numpy()
    assert found.loss == pytest.approx(each.mean(), rel=1e-12)
    assert len(found.chunks) == min(50, max(1, n // 2))
    edges = [n * i // len(found.chunks) for i in range(len(found.chunks) + 1)]
    expected = [each[a:b].mean() for a, b in pairwise(edges)]
    assert found.chunks == pytest.approx(expected, rel=1e-12)
    assert max(np.diff(edges)) - min(np.diff(edges)) <= 1


@pytest.mark.parametrize("targets", [1, 3])
def test_mean_squares_and_r2_are_scikit_learns(targets):
    net = nn.Linear(4, targets).double()
    x, y = torch.randn(1300, 4).double(), 100 + torch.randn(1300, targets).double()
    found = evaluate(net, Examples(x, y))
    prediction = net(x).detach().numpy()
    assert found.loss == pytest.approx(((prediction - y.numpy()) ** 2).mean(), rel=1e-12)
    assert found.score == pytest.approx(r2_score(y.numpy(), prediction), rel=1e-12)
    assert found.score_name == "R²"


def test_r2_of_constant_targets_is_scikit_learns():
    net = nn.Linear(2, 2, bias=False).double()
    nn.init.zeros_(net.weight)
    x = torch.randn(5, 2).double()
    for y in (torch.zeros(5, 2), torch.ones(5, 2), torch.tensor([[0.0, 1.0]] * 5)):
        found = evaluate(net, Examples(x, y.double()))
        assert found.score == r2_score(y.numpy(), np.zeros((5, 2)))


def test_one_column_and_no_column_are_never_broadcast():
    net = nn.Linear(2, 1).double()
    x, y = torch.randn(10, 2).double(), torch.randn(10).double()
    found = evaluate(net, Examples(x, y))
    assert found.loss == pytest.approx(((net(x)[:, 0] - y) ** 2).mean().item(), rel=1e-12)
    with pytest.raises(DataError, match="differ in shape"):
        evaluate(nn.Linear(2, 2).double(), Examples(x, y))


def test_class_weights_and_ignored_labels_count_in_the_mean_over_batches():
    net = nn.Linear(2, 3).double()
    n = 1500
    x, y = torch.randn(n, 2).double(), torch.randint(0, 3, (n,))
    y[:700] = 0
    y[::7] = -100
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 10.0, 100.0]).double())
    found = evaluate(net, Examples(x, y), loss)
    assert found.loss == pytest.approx(loss(net(x), y).item(), rel=1e-12)
    kept = y != -100
    assert found.score == pytest.approx(float((net(x).argmax(1) == y)[kept].double().mean()))
    assert evaluate(net, Examples(x, torch.full((n,), -100)), loss).loss == math.inf


def test_own_loss_on_float32_network_with_float64_data():
    net = nn.Linear(2, 1)
    x, y = torch.randn(30, 2).double(), torch.randint(0, 2, (30,)).double()
    loss = lambda p, t: functional.binary_cross_entropy_with_logits(p.squeeze(), t)  # noqa: E731
    found = evaluate(net, Examples(x, y), loss)
    assert found.loss == pytest.approx(loss(net(x.float()), y.float()).item(), rel=1e-5)


def test_a_single_output_is_a_logit():
    net = nn.Linear(1, 1, bias=False)
    nn.init.ones_(net.weight)
    x, y = torch.tensor([[1.0], [-1.0], [2.0], [-2.0]]), torch.tensor([1, 0, 0, 0])
    loss = lambda p, t: functional.binary_cross_entropy_with_logits(p[:, 0], t.float())  # noqa: E731
    assert evaluate(net, Examples(x, y), loss).score == 0.75


def test_chunks_without_weight_are_nan():
    torch.manual_seed(0)
    net, x = nn.Linear(3, 3), torch.randn(8, 3)
    y = torch.tensor([0, 1, 2, 2, 2, 0, 2, 2])  # chunks of two rows
    for loss in (
        nn.CrossEntropyLoss(ignore_index=2),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 0.0])),
    ):
        found = evaluate(net, Examples(x, y), loss)
        assert [math.isnan(chunk) for chunk in found.chunks] == [False, True, False, True]
        assert found.loss == pytest.approx(loss(net(x), y).item())
        assert found.chunks[2] == pytest.approx(loss(net(x[4:6]), y[4:6]).item())
        nothing = evaluate(net, Examples(x, torch.full((8,), 2)), loss)
        assert nothing.loss == math.inf
        assert all(math.isnan(chunk) for chunk in nothing.chunks)


def test_non_finite_outputs_are_reported():
    net = nn.Linear(1, 2)
    nn.init.constant_(net.weight, math.nan)
    x = torch.randn(60, 1)
    found = evaluate(net, Examples(x, torch.zeros(60, dtype=torch.long)))
    assert (found.loss, found.score) == (math.inf, 0)
    assert set(found.chunks) == {math.inf}
    found = evaluate(net, Examples(x, torch.randn(60, 2)))
    assert (found.loss, found.score) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    ("net", "x", "y", "loss", "error", "says"),
    [
        (nn.Linear(2, 2), torch.zeros(0, 2), torch.zeros(0).long(), None, DataError, "0 examples"),
        (nn.Linear(2, 2), torch.zeros(3, 2), torch.zeros(3).int(), None, DataError, "int32"),
        (
            nn.Linear(2, 2),
            torch.zeros(3, 2),
            torch.zeros(3).long(),
            nn.CrossEntropyLoss(reduction="sum"),
            FitError,
            "mean",
        ),
        (
            nn.Linear(2, 2),
            torch.zeros(3, 2),
            torch.zeros(3).long(),
            lambda p, y: functional.cross_entropy(p, y, reduction="none"),
            FitError,
            "scalar",
        ),
        (nn.LSTM(2, 2), torch.zeros(3, 2), torch.zeros(3, 2), None, ModelError, "tuple"),
        (nn.Flatten(0), torch.zeros(3, 2), torch.zeros(3, 2), None, ModelError, r"\(6,\)"),
    ],
)
def test_evaluation_errors(net, x, y, loss, error, says):
    with pytest.raises(error, match=says):
        evaluate(net, Examples(x, y), loss)


def test_default_loss():
    assert default_loss(torch.zeros(2).long()) is functional.cross_entropy
    loss = default_loss(torch.zeros(2))
    assert float(loss(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 0.0]))) == 5


# Nothing changes


class Restless(nn.Module):
    """Draws random numbers, writes to its buffers, and fails on request."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 4)
        self.norm = nn.BatchNorm1d(4)
        self.b = nn.Linear(4, 2)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("last", torch.zeros(1))
        self.fails = False

    def forward(self, x):
        self.count += 1
        self.last = torch.ones(1)
        noise = torch.rand(1)
        if self.fails:
            raise RuntimeError("boom")
        return self.b(functional.dropout(self.norm(self.a(x)), 0.5)) + 0 * noise


def fingerprint(net: nn.Module) -> list:
    return [
        [m.training for m in net.modules()],
        [len(m._forward_hooks) for m in net.modules()],
        [(n, id(p), p._version, p.tolist(), p.requires_grad) for n, p in net.named_parameters()],
        [p.grad.tolist() for p in net.parameters() if p.grad is not None],
        [(n, id(b), b.tolist()) for n, b in net.named_buffers()],
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_changes(fails):
    net = Restless()
    net.train()
    net.norm.eval()
    net.a.bias.requires_grad_(requires_grad=False)
    net(torch.randn(3, 2)).sum().backward()
    net.fails = fails
    plan = Plan(net, {"*": L1(0.1)})
    data = Examples(torch.randn(20, 2), torch.randint(0, 2, (20,)))
    before = fingerprint(net)
    for read in (
        lambda: evaluate(net, data),
        lambda: activity(net, data, plan),
        lambda: without_largest(net, plan, 0.5, data),
        lambda: reach(net, (2,)) and None,
        lambda: weigh(plan),
        lambda: measure(net, plan, data),
    ):
        try:
            read()
        except (RuntimeError, FitError) as error:
            assert "boom" in str(error)  # noqa: PT017
        assert fingerprint(net) == before
    assert (reach(net, (2,)) is None) == fails


def test_reading_works_under_no_grad_and_inference_mode():
    net = small()
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            found = reach(net, (2,))
            assert found is not None
            assert found.inputs.tolist() == [True, True]


# Activity


def test_activity_by_hand():
    net = small()
    x = torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    a, b = activity(net, Examples(x, torch.zeros(2).long()), Plan(net, L1(0.1), biases=True))
    # a before relu: [1, 1, .25], [2, 1, -.25]; b: [2, -.5], [3, -2]
    assert (a.name, a.mean_abs) == ("a", pytest.approx(5.5 / 6))
    assert a.strongest_share == pytest.approx(3 / 5.5)
    assert (b.name, b.mean_abs, b.strongest_share) == ("b", pytest.approx(7.5 / 4), 5 / 7.5)


def test_activity_of_convolutions_is_per_channel():
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Tanh(), nn.Flatten(), nn.Linear(12, 2)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([1.0, -2.0, 0.0]).reshape(3, 1, 1, 1))
        net[0].bias.zero_()
    x = torch.randn(2500, 1, 2, 2).double()
    conv = activity(net, Examples(x, torch.zeros(2500).long()), Plan(net, L1(0.1)))[0]
    used = x[torch.arange(1000) * 2500 // 1000]
    assert conv.mean_abs == pytest.approx(float(used.abs().mean()), rel=1e-12)
    assert conv.strongest_share == pytest.approx(2 / 3)


def test_activity_of_silent_recurrent_and_embedding_layers():
    silent = nn.Linear(2, 2)
    nn.init.zeros_(silent.weight)
    nn.init.zeros_(silent.bias)
    data = Examples(torch.randn(4, 2), torch.zeros(4).long())
    assert activity(silent, data, Plan(silent, L1(0.1)))[0].strongest_share == 0
    lstm = nn.LSTM(2, 3, batch_first=True)
    found = activity(lstm, Examples(torch.randn(4, 5, 2), torch.zeros(4)), Plan(lstm, L1(0.1)))
    assert [layer.name for layer in found] == [""]
    embedding = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2))
    x = torch.randint(0, 5, (4, 2))
    plan = Plan(embedding, {nn.Embedding: L1(0.1), "*": L1(0.1)})
    found = activity(embedding, Examples(x, torch.zeros(4)), plan)
    assert found[0].mean_abs == pytest.approx(embedding[0](x).abs().mean().item())
    with pytest.raises(DataError):
        activity(silent, Examples(torch.zeros(0, 2), torch.zeros(0)), Plan(silent, L1(0.1)))


# Reach


def keep_output(outputs: dict, name: str, m: nn.Module, _: object, out: torch.Tensor) -> None:
    outputs[name] = (out, -1 if isinstance(m, nn.Linear) else 1)


def differentiated(net: nn.Module, shape: tuple[int, ...], points: int) -> Reach:
    """The same question by brute force: exact zeros among derivatives at random points.

    Forward mode tells what a unit reads, backward mode what reads it. Right for smooth networks
    and, over several points, for maxima.
    """
    inputs, alive = torch.zeros(shape, dtype=torch.bool), {}
    for k in range(points):
        x = (2.0 ** -(k % 4) * torch.randn((1, *shape)).double()).requires_grad_()
        outputs, handles = {}, []
        for name, m in net.named_modules():
            if isinstance(m, nn.Linear | nn.modules.conv._ConvNd):
                handles.append(m.register_forward_hook(partial(keep_output, outputs, name)))
        with forward_ad.dual_level():
            with sdpa_kernel(SDPBackend.MATH):  # the others know no forward mode
                y = net(forward_ad.make_dual(x, torch.randn_like(x)))
            tangents = {n: forward_ad.unpack_dual(out).tangent for n, (out, _) in outputs.items()}
            y = forward_ad.unpack_dual(y).primal
        grads = torch.autograd.grad(
            (y * torch.randn_like(y)).sum(),
            [x, *(out for out, _ in outputs.values())],
            materialize_grads=True,
        )
        inputs |= grads[0][0] != 0
        for (name, (_, axis)), grad in zip(outputs.items(), grads[1:], strict=True):
            both = ((tangents[name] != 0) & (grad != 0)).movedim(axis, 0)
            now = both.reshape(len(both), -1).any(dim=1)
            alive[name] = alive.get(name, torch.zeros_like(now)) | now
        for handle in handles:
            handle.remove()
    return Reach(inputs, alive)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.a = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.b = nn.Conv2d(4, 4, 1, bias=False)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        x = torch.tanh(self.norm(self.stem(x)))
        x = x + self.b(functional.gelu(self.a(x)))
        x += 0.5
        return self.out(x.mean((2, 3)))


class Concat(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = nn.Linear(6, 4)
        self.right = nn.Linear(6, 3)
        self.token = nn.Parameter(torch.ones(1, 2))
        self.out = nn.Linear(9, 2)

    def forward(self, x):
        token = self.token.expand(len(x), -1)
        return self.out(
            torch.cat([self.left(x).sigmoid(), token, functional.silu(self.right(x))], 1)
        )


class Gated(nn.Module):
    """A gate of its own input: the signal passes even where the gate's weights are zero."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.gate = nn.Linear(5, 4)
        self.scale = nn.Parameter(torch.ones(4))
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        return functional.log_softmax(
            self.out(self.a(x) * torch.sigmoid(self.gate(x)) * self.scale), 1
        )


class Attention(nn.Module):
    def __init__(self, fused: bool):
        super().__init__()
        self.fused = fused
        self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        q, k, v = self.q(x), self.k(x), self.v(x)
        if self.fused:
            return self.out(functional.scaled_dot_product_attention(q, k, v))
        scores = q @ k.transpose(-2, -1) / 2
        return self.out(torch.softmax(scores, dim=-1) @ v)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 5), nn.SiLU(), nn.Linear(5, 2))


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GELU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 2), nn.Tanh(),
        nn.AdaptiveMaxPool2d((1, 2)), nn.Flatten(), nn.Linear(6, 2),
    )  # fmt: skip


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=4), nn.Tanh(), nn.Conv2d(4, 6, 1, groups=2), nn.GroupNorm(3, 6),
        nn.PixelShuffle(1), nn.Mish(), nn.AvgPool2d(2), nn.Flatten(1), nn.Linear(6, 3),
    )  # fmt: skip


def transposed() -> nn.Module:
    return nn.Sequential(
        nn.ConvTranspose1d(3, 4, 2, stride=2), nn.ELU(), nn.InstanceNorm1d(4, affine=True),
        nn.Conv1d(4, 2, 3, padding="same", padding_mode="circular"), nn.Softplus(),
        nn.Conv1d(2, 3, 4, stride=4),
    )  # fmt: skip


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 5), nn.LayerNorm(5), nn.Sigmoid(),
        nn.Linear(5, 4), nn.RMSNorm(4), nn.BatchNorm1d(4), nn.Linear(4, 3), nn.Softmax(1),
    )  # fmt: skip


def halves() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.GLU(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


NETWORKS = {
    "halves": (halves, (5,), 0.4, 4),
    "mlp": (mlp, (8,), 0.25, 4),
    "pooled": (pooled, (1, 7, 7), 0.3, 60),
    "residual": (Residual, (2, 5, 5), 0.2, 4),
    "concat": (Concat, (6,), 0.25, 4),
    "gated": (Gated, (5,), 0.35, 4),
    "grouped": (grouped, (4, 4, 4), 0.4, 4),
    "transposed": (transposed, (3, 4), 0.3, 4),
    "normed": (normed, (6,), 0.3, 4),
    "attention": (lambda: Attention(fused=False), (3, 4), 0.3, 4),
    "fused attention": (lambda: Attention(fused=True), (3, 4), 0.3, 4),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", range(5))
def test_reach_is_what_derivatives_say(name, seed):
    make, shape, keep, points = NETWORKS[name]
    net = sparse(make(), keep, seed)
    found, expected = reach(net, shape), differentiated(net, shape, points)
    assert found is not None
    if name in ("halves", "gated", "attention", "fused attention"):
        # a factor that is zero for all inputs cuts a path that structure sees: never the reverse
        assert bool((found.inputs >= expected.inputs).all())
        assert all(bool((found.units[n] >= expected.units[n]).all()) for n in expected.units)
        return
    assert found.inputs.tolist() == expected.inputs.tolist()
    assert {n: u.tolist() for n, u in found.units.items()} == {
        n: u.tolist() for n, u in expected.units.items()
    }


@pytest.mark.parametrize("seed", range(5))
def test_reach_of_an_mlp_is_the_walk_over_its_graph(seed):
    net = sparse(mlp(), 0.2, seed)
    layers = [m for m in net if isinstance(m, nn.Linear)]
    links = [(m.weight != 0).numpy() for m in layers]
    forward, backward = [np.ones(8, bool)], [np.ones(2, bool)]
    for link in links:
        forward.append(link @ forward[-1])
    for link in reversed(links):
        backward.append(link.T @ backward[-1])
    backward.reverse()
    found = reach(net, (8,))
    assert found.inputs.tolist() == backward[0].tolist()
    for k, name in enumerate(("0", "2", "4"), start=1):
        assert found.units[name].tolist() == (forward[k] & backward[k]).tolist()
    assert found.n_inputs_unused == int((~backward[0]).sum())
    assert found.n_dead_units == sum(
        int((~(f & b)).sum()) for f, b in zip(forward[1:], backward[1:], strict=True)
    )


@pytest.mark.parametrize("name", ["mlp", "residual", "concat"])
def test_an_unused_input_changes_nothing_and_a_used_one_does(name):
    make, shape, keep, _ = NETWORKS[name]
    net = sparse(make(), keep, seed=2)
    found = reach(net, shape)
    x = torch.randn(1, *shape).double()
    base = net(x)
    assert 0 < found.n_inputs_unused < found.inputs.numel()
    for k in range(found.inputs.numel()):
        other = x.clone()
        other.view(-1)[k] += 1.5
        assert torch.equal(net(other), base) != bool(found.inputs.view(-1)[k])


@pytest.mark.parametrize(
    ("pool", "shape"),
    [
        (nn.MaxPool1d(3, stride=4, padding=1), (2, 11)),
        (nn.MaxPool2d(2, stride=3), (1, 8, 8)),
        (nn.MaxPool2d((3, 1), stride=(3, 2), ceil_mode=True), (1, 7, 8)),
        (nn.MaxPool2d(3, stride=5, padding=1, ceil_mode=True), (1, 8, 8)),
        (nn.MaxPool3d(1, stride=2), (1, 3, 3, 3)),
        (nn.AdaptiveMaxPool2d((2, 3)), (1, 5, 7)),
        (nn.AdaptiveAvgPool1d(2), (1, 5)),
        (nn.LPPool2d(2, 2, stride=3), (1, 6, 6)),
        (nn.AvgPool2d(2, stride=3), (1, 6, 6)),
        (nn.ZeroPad2d(-1), (1, 4, 4)),
        (nn.Upsample(size=2), (1, 5)),
        (nn.Unfold(2, stride=3), (1, 6, 6)),
    ],
    ids=str,
)
def test_pooling_keeps_its_geometry(pool, shape):
    assert torch.equal(reach(pool, shape).inputs, differentiated(pool, shape, 40).inputs)


class Wrapped(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.function = function
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.function(self.first(x)))


F = functional
IDENTITIES = {
    **{
        f"nn.{m}": m
        for m in (
            nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.RReLU(),
            nn.GELU("tanh"), nn.SiLU(inplace=True), nn.Sigmoid(), nn.Tanh(), nn.ELU(), nn.SELU(),
            nn.CELU(), nn.Softplus(), nn.Hardtanh(), nn.Hardswish(), nn.Hardsigmoid(), nn.Mish(),
            nn.LogSigmoid(), nn.Softsign(), nn.Tanhshrink(), nn.Softshrink(), nn.Hardshrink(),
            nn.Threshold(0, 1), nn.Dropout(), nn.AlphaDropout(), nn.Identity(),
            nn.BatchNorm1d(4, affine=False), nn.MaxPool1d(1),
        )
    },
    "F.relu": F.relu, "torch.relu": torch.relu, "x.relu": lambda x: x.relu(),
    "relu_": lambda x: x.relu_(), "F.relu_": lambda x: F.relu_(x), "tanh": torch.tanh,
    "x.sigmoid": lambda x: x.sigmoid(), "x.clamp": lambda x: x.clamp(min=0), "abs": abs,
    "F.dropout": lambda x: F.dropout(x, 0.9), "1 - x": lambda x: 1 - x, "-x": lambda x: -x,
    "x - 1": lambda x: x - 1, "2 * x": lambda x: -2 * x, "x / 3": lambda x: x / 3,
    "1 / x": lambda x: 1 / x, "x ** 2": lambda x: x**2, "x - x": lambda x: x - x.relu(),
    "x * x": lambda x: x * x.sigmoid(), "x * (x > 0)": lambda x: x * (x > 0),
    "where": lambda x: torch.where(x > 0, x, 0.1 * x), "max": lambda x: torch.max(x, 0 * x),
    "detach": lambda x: x.detach(), "data": lambda x: x.data, "no_grad": torch.no_grad()(torch.exp),
    "in place": lambda x: x.add_(1).mul_(2).sub_(3).div_(4).clamp_(0),
    "+=": lambda x: x.__iadd__(x.relu()), "float": lambda x: x.float().double(),
    "to": lambda x: x.to(x.device, x.dtype), "max_pool": lambda x: F.max_pool1d(x, 1, stride=1),
    "torch.max_pool": lambda x: torch.max_pool1d(x, 1),
    "conv": lambda x: F.conv1d(x[:, None], -x.new_ones(1, 1, 1), x.new_ones(1))[:, 0],
    "einsum": lambda x: torch.einsum("bi,ij->bj", x, torch.eye(4).double()),
    "addmm": lambda x: torch.addmm(torch.ones(4).double(), x, torch.eye(4).double()),
    "@": lambda x: (torch.eye(4).double() @ x.T).T, "split": lambda x: torch.cat(x.chunk(2, 1), 1),
    "stack": lambda x: torch.stack(list(x.unbind(1)), 1),
    "loop": lambda x: torch.stack(list(x)),
    "views": lambda x: x.reshape(-1, 2, 2).transpose(1, 2).transpose(1, 2).flatten(1).contiguous(),
    "amax": lambda x: x.unsqueeze(-1).amax(-1), "max(dim)": lambda x: x.unsqueeze(-1).max(-1)[0],
    "softmax": lambda x: x.unsqueeze(-1).softmax(-1).squeeze(-1),
    "unpacked max": lambda x: x[..., None].max(dim=-1, keepdim=True).values[..., 0],
    "pad": lambda x: F.pad(x, (1, 1), value=5.0)[:, 1:-1],
    "norm": lambda x: x[..., None].norm(dim=-1),
    "interpolate": lambda x: F.interpolate(x[:, None], size=4)[:, 0],
    "constant": lambda x: x + torch.ones(4),
}  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
def test_what_acts_element_by_element_is_seen_and_leaves_the_wiring(name):
    torch.manual_seed(1)
    plain = sparse(Wrapped(nn.Identity()), 0.3, seed=4)
    net = Wrapped(IDENTITIES[name]).double()
    net.first, net.last = plain.first, plain.last
    found, expected = reach(net, (4,)), reach(plain, (4,))
    assert found is not None
    assert expected.n_inputs_unused == 2
    assert expected.n_dead_units == 3
    assert found.inputs.tolist() == expected.inputs.tolist()
    assert {n: u.tolist() for n, u in found.units.items()} == {
        n: u.tolist() for n, u in expected.units.items()
    }


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        return grad


UNKNOWN = {
    "branch": lambda x: x if x.sum() > 0 else -x,
    "item": lambda x: x * x.sum().item(),
    "float": lambda x: x * float(x.sum()),
    "numpy": lambda x: torch.from_numpy(x.detach().numpy()),
    "list": lambda x: torch.tensor(x.tolist()),
    "argmax": lambda x: F.one_hot(x.argmax(1), 4).double(),
    "sort": lambda x: x.sort(1).values,
    "long": lambda x: x.long().double(),
    "custom": Custom.apply,
    "grid": lambda x: F.grid_sample(x[:, None, None], torch.zeros(2, 1, 4, 2).double())[:, 0, 0],
    "indices": lambda x: x.gather(1, x.max(1, keepdim=True).indices.expand(-1, 4)),
    "indexed": lambda x: x[x > 0],
    "fft": lambda x: torch.fft.fft(x).real,
    "raises": lambda x: 1 / 0,
}


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.filterwarnings("ignore")
def test_where_the_wiring_is_not_known_there_is_no_answer(name):
    assert reach(Wrapped(UNKNOWN[name]).double(), (4,)) is None


def test_no_answer_for_recurrent_embedded_and_misfit_inputs():
    assert reach(nn.LSTM(4, 3), (5, 4)) is None
    assert reach(nn.Embedding(4, 3), (5,)) is None
    assert reach(nn.Linear(4, 3), (5,)) is None


def test_weights_count_as_what_they_are_when_masked():
    layer = nn.Linear(4, 3)
    prune.custom_from_mask(layer, "weight", torch.tensor([[1.0, 0, 0, 1]] * 3))
    assert reach(layer, (4,)).inputs.tolist() == [True, False, False, True]
    tied = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    tied[2].weight = tied[0].weight
    with torch.no_grad():
        tied[0].weight.copy_(torch.diag(torch.tensor([1.0, 0.0, 1.0])))
    assert reach(tied, (3,)).inputs.tolist() == [True, False, True]


def test_a_layer_called_twice_is_alive_where_any_call_is():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.out = nn.Linear(2, 2, bias=False), nn.Linear(4, 1, bias=False)

        def forward(self, x):
            return self.out(torch.cat([self.shared(x), self.shared(x.flip(1))], 1))

    net = Twice()
    with torch.no_grad():
        net.shared.weight.copy_(torch.eye(2))
        net.out.weight.copy_(torch.tensor([[1.0, 0.0, 1.0, 0.0]]))
    found = reach(net, (2,))
    assert found.inputs.tolist() == [True, True]
    assert found.units["shared"].tolist() == [True, False]


def test_a_path_must_pass_one_position():
    """Reached at one position and read at another only: on no path."""
    net = nn.Sequential(nn.Conv1d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(2, 1))
    masked = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.Unflatten(1, (1, 2)), *net)
    with torch.no_grad():
        masked[1].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
        masked[5].weight.copy_(torch.tensor([[0.0, 1.0]]))
    found = reach(masked, (2,))
    assert found.n_inputs_unused == 2
    assert found.units["3"].tolist() == [False]


def test_dead_networks_and_networks_without_a_path():
    net = small()
    for p in net.parameters():
        nn.init.zeros_(p)
    found = reach(net, (2,))
    assert (found.n_inputs_unused, found.n_dead_units) == (2, 5)
    constant = Wrapped(lambda x: torch.zeros(len(x), 4, dtype=x.dtype))
    found = reach(constant, (4,))
    assert (found.n_inputs_unused, found.n_dead_units) == (4, 7)


def test_depth_neither_under_nor_overflows():
    net = nn.Sequential(*[m for _ in range(100) for m in (nn.Linear(20, 20), nn.Tanh())])
    found = reach(net, (20,))
    assert (found.n_inputs_unused, found.n_dead_units) == (0, 0)
    with torch.no_grad():
        for layer in net[::2]:
            layer.weight.fill_diagonal_(1).mul_(torch.eye(20))
            layer.weight[3, 3] = 0
    assert reach(net, (20,)).inputs.tolist() == [k != 3 for k in range(20)]


@pytest.mark.parametrize("name", MODELS)
def test_reach_of_the_reference_networks(name):
    net = MODELS[name](Spec(256, (1, 16, 16), 10))
    found = reach(net, (1, 16, 16))
    assert found.n_dead_units == 0
    # LeNet-5's pooling drops nothing here, and every pixel is seen
    assert found.n_inputs_unused == 0


def test_transformer_encoders_and_structured_outputs():
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    with torch.no_grad():
        encoder.layers[0].linear2.weight[:, 5] = 0
        encoder.layers[1].linear1.weight[2] = 0
    found = reach(encoder, (3, 4))
    assert found.units["layers.0.linear1"].tolist() == [k != 5 for k in range(8)]
    assert found.units["layers.1.linear1"].tolist() == [k != 2 for k in range(8)]
    alone = nn.MultiheadAttention(4, 2, batch_first=True)

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = alone

        def forward(self, x):
            return {"a": [self.attention(x, x, x)[0]], "b": None}

    with torch.no_grad():
        alone.in_proj_weight[:, 1] = 0
    assert reach(Head(), (3, 4)).inputs.tolist() == [[True, False, True, True]] * 3


# Removal


def test_removal_by_hand():
    net = small()
    x = torch.tensor([[1.0, 1.0], [0.5, -1.0]], dtype=torch.float64)
    data = Examples(x, torch.zeros(2, 2, dtype=torch.float64))
    plan = Plan(net, L1(0.1), biases=False)
    kept = small()  # 7 nonzero weights; 2/7 of them are the two of size 2
    with torch.no_grad():
        kept.a.weight[0, 1] = 0
        kept.b.weight[1, 2] = 0
    assert without_largest(net, plan, 2 / 7, data) == evaluate(kept, data)
    assert without_largest(net, plan, 0, data) == evaluate(net, data)
    assert without_largest(net, plan, 2 / 7, (data.x, data.y)) == evaluate(kept, data)
    for p in (kept.a.weight, kept.b.weight):
        nn.init.zeros_(p)
    assert without_largest(net, plan, 1, data) == evaluate(kept, data)


def test_removal_cuts_an_exact_number_among_equals():
    net = nn.Linear(100, 1, bias=False).double()
    nn.init.ones_(net.weight)
    data = Examples(torch.eye(100).double(), torch.zeros(100, 1).double())
    plan = Plan(net, L1(0.1))
    assert without_largest(net, plan, 0.1, data).loss == pytest.approx(0.9)
    assert without_largest(net, plan, 1e-9, data).loss == pytest.approx(0.99)  # one at least
    nn.init.zeros_(net.weight)
    assert without_largest(net, plan, 0.5, data).loss == 0


def test_removal_of_tied_weights_and_wrong_arguments():
    tied = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    tied[1].weight = tied[0].weight
    data = Examples(torch.ones(2, 1), torch.zeros(2, 1))
    assert without_largest(tied, Plan(tied, L1(0.1)), 1, data).loss == 0
    with pytest.raises(ShrinkageError, match=r"1\.5"):
        without_largest(tied, Plan(tied, L1(0.1)), 1.5, data)
    with pytest.raises(PlanError, match="another network"):
        without_largest(small(), Plan(tied, L1(0.1)), 0.5, data)


# The report card


def three_parts() -> Split:
    def part(n):
        return Examples(torch.randn(n, 2).double(), torch.randint(0, 2, (n,)))

    return Split(part(40), part(20), part(30))


def test_measure_adds_it_all_up():
    net, split = small(), three_parts()
    plan = Plan(net, L2(0.1), biases=True)
    found = measure(net, plan, split)
    assert list(found.parts) == ["train", "validation", "test"]
    assert found.parts["test"] == evaluate(net, split.test)
    assert found.gap == found.parts["test"].loss - found.parts["train"].loss
    penalty = 0.1 * sum((p**2).sum().item() for p in net.parameters())
    assert found.penalty == pytest.approx(penalty, rel=1e-14)
    assert found.penalty_share == pytest.approx(penalty / (found.parts["train"].loss + penalty))
    assert found.activity == activity(net, split.train, plan)
    assert found.weights == weigh(plan)
    assert found.reach.n_dead_units == 1


@pytest.mark.parametrize("wrap", [list, tuple, np.asarray, torch.tensor])
def test_data_may_be_a_pair_of_anything(wrap):
    net = small()
    x, y = wrap([[1.0, 0.0], [0.0, 1.0]]), wrap([0, 1])
    found = measure(net, Plan(net, L1(0.1)), (x, y))
    assert list(found.parts) == ["data"]
    assert found.parts["data"].score_name == "accuracy"
    assert found.gap is None
    assert found.penalty_share is not None


def test_measure_without_data_and_with_a_mapping():
    net, split = small(), three_parts()
    plan = Plan(net, L1(0.1))
    alone = measure(net, plan)
    assert (dict(alone.parts), alone.gap, alone.penalty_share) == ({}, None, None)
    assert (alone.activity, alone.reach) == (None, None)
    two = measure(net, plan, {"old": split.train, "new": split.test})
    assert (two.gap, two.penalty_share) == (None, None)
    assert two.activity == activity(net, split.train, plan)
    pairs = {"train": (split.train.x, split.train.y), "test": (split.test.x, split.test.y)}
    assert measure(net, plan, pairs).gap == measure(net, plan, split).gap


def test_the_table_and_the_dictionary():
    net, split = small(), three_parts()
    found = measure(net, Plan(net, L1(0.1), biases=True), split)
    text = str(found)
    for piece in ("a.weight", "b.bias", "total", "1 of 3", "validation", "accuracy", "gap", "Gini"):
        assert piece in text
    assert max(map(len, text.splitlines())) <= 132
    plain = found.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["weights"]["total"]["size"] == 17
    assert plain["weights"]["layers"][0]["shape"] == [3, 2]
    assert plain["reach"]["units"]["a"] == [True, False, True]
    assert plain["parts"]["train"]["n"] == 40
    assert "penalised weights" in str(measure(net, Plan(net, L1(0.1))))


def test_a_broken_network_is_still_measured():
    net = small()
    nn.init.constant_(net.b.weight, math.nan)
    found = measure(net, Plan(net, L1(0.1)), three_parts())
    assert found.parts["train"].loss == math.inf
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["parts"]["train"]["loss"] is None
    assert "a.weight" in str(found)


def test_embeddings_are_measured_without_reach():
    net = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2))
    data = (torch.randint(0, 5, (8, 2)), torch.randint(0, 2, (8,)))
    found = measure(net, Plan(net, GroupL1(0.1, by="filter")), data)
    assert found.reach is None
    assert found.to_dict()["reach"] is None


@pytest.mark.parametrize("data", [3, "digits", {}, {"a": 1}, torch.zeros(2, 2), (1, 2, 3)])
def test_other_data_is_refused(data):
    net = small()
    with pytest.raises(DataError, match="unknown kind"):
        measure(net, Plan(net, L1(0.1)), data)


def test_measure_refuses_a_plan_of_another_network():
    with pytest.raises(PlanError, match="another network"):
        measure(small(), Plan(small(), L1(0.1)))


def test_measure_takes_a_loader_and_a_dataset_as_they_are() -> None:
    model = nn.Linear(3, 4)
    x, y = torch.randn(10, 3), torch.tensor([3, 1] * 5)  # labels of a part of the classes
    plan = Plan(model, L1(0.1))
    dataset = torch.utils.data.TensorDataset(x, y)
    expected = measure(model, plan, (x, y)).to_dict()
    assert measure(model, plan, dataset).to_dict() == expected
    assert (
        measure(model, plan, torch.utils.data.DataLoader(dataset, batch_size=4)).to_dict()
        == expected
    )


def test_measure_without_a_plan_or_data_prints_only_what_it_knows() -> None:
    model = nn.Linear(3, 4)
    found = measure(model)
    assert found.weights.total.size == 12
    assert found.penalty == 0
    assert "dead units" not in str(found)
    assert "strongest" not in str(found)


@pytest.mark.parametrize(
    ("x", "y", "error", "said"),
    [
        (torch.ones(6, 4), torch.arange(6) % 3, FitError, "do not fit together.*shapes"),
        (torch.ones(6, 5), torch.arange(6), FitError, "do not fit together.*out of bounds"),
        (torch.full((6, 5), torch.nan), torch.arange(6) % 3, DataError, "30 NaN or infinite"),
    ],
)
def test_data_that_do_not_fit_are_told(x, y, error, said):
    """Certificates say the same."""
    with pytest.raises(error, match=said):
        measure(nn.Linear(5, 3), data=(x, y))


def test_a_network_that_predicts_a_constant_is_told_of():
    net, x = mlp(), torch.randn(6, 8)
    assert "predicts a constant" not in str(measure(net, None, (x, torch.zeros(6).long())))
    torch.nn.init.zeros_(net[2].weight)
    said = str(measure(net, None, (x, torch.zeros(6).long())))
    assert "8 of 8 inputs unused" in said
    assert "predicts a constant" in said
    assert "warmup" in said
