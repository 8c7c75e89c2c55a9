"""Compaction: the same function, smaller where that is exact, and never a wrong network."""

import copy
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import shrinkage as sh
from architectures import ARCHITECTURES, example, with_dead_units
from shrinkage.errors import CompactionError

STAYS_SMALL = {"transformer encoder": 0.95, "channel shuffle": 0.95, "grouped bottleneck": 0.95}
"""How much of the parameters may be left; 0.85 elsewhere. Attention, interleaved halves and groups
of unequal deaths stay."""


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def compacted(model: nn.Module, x: Tensor | None = None, **options: object) -> sh.Compact:
    return sh.compact(model, example() if x is None else x, batch_sizes=(), **options)


def assert_equal(before: nn.Module, after: nn.Module, x: Tensor) -> None:
    torch.testing.assert_close(after(x), before(x), rtol=1e-4, atol=1e-5)


def only_dead(model: nn.Module, layer: str, *units: int, bias: float = 0.0) -> nn.Module:
    """The network with some dead units in one layer, everything else alive."""
    with torch.no_grad():
        module = model.get_submodule(layer)
        module.weight[list(units)] = 0.0
        module.bias[list(units)] = bias
    return model.eval()


@pytest.mark.parametrize("zero_shift", [False, True], ids=["constants", "zeros"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_keep_their_outputs_and_shrink(name: str, zero_shift: bool) -> None:
    torch.manual_seed(0)
    model = with_dead_units(ARCHITECTURES[name](), 1, zero_shift=zero_shift)
    found = compacted(model)
    assert found.report.proofs["float64"].outputs < 1e-9
    assert found.report.proofs["float64"].gradients < 1e-9
    assert found.report.proofs["float32"].outputs < 1e-5
    assert size(found.model) <= STAYS_SMALL.get(name, 0.85) * size(model)
    assert found.report.macs[1] < found.report.macs[0]
    assert_equal(model, found.model, torch.randn(5, 3, 12, 12))


@pytest.mark.parametrize("layers", ["basic", "bottleneck"])
def test_a_network_of_transformers(layers: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        embedding_size=9, hidden_sizes=[12, 18], depths=[1, 2], layer_type=layers, num_labels=5
    )
    torch.manual_seed(0)
    model = with_dead_units(transformers.ResNetForImageClassification(config), 1, zero_shift=True)
    found = compacted(model)
    x = torch.randn(5, 3, 12, 12)
    torch.testing.assert_close(found.model(x).logits, model(x).logits, rtol=1e-4, atol=1e-5)
    assert size(found.model) < 0.75 * size(model)


def test_a_second_compaction_finds_nothing() -> None:
    model = with_dead_units(ARCHITECTURES["VGG with batch norm"](), 3, zero_shift=True)
    once = compacted(model)
    assert size(compacted(once.model).model) == size(once.model)


def test_the_network_itself_is_not_touched() -> None:
    model = with_dead_units(ARCHITECTURES["VGG with batch norm"](), 1)
    model.features[0].weight.requires_grad_(False)
    before = copy.deepcopy(model)
    found = compacted(model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before.state_dict()[name]), name
    assert all(not m.training for m in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert [p.requires_grad for p in found.model.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]
    assert type(found.model) is type(model)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    model = with_dead_units(ARCHITECTURES["plain CNN"](), 1).to(dtype)
    found = compacted(model, example().to(dtype))
    assert {p.dtype for p in found.model.parameters()} == {dtype}
    assert size(found.model) < size(model)


# What exactly goes


def two_layers(**options: object) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, **options), nn.Flatten(),
        nn.LazyLinear(5),
    )  # fmt: skip


def made(model: nn.Module) -> nn.Module:
    model(example())
    return model


@pytest.mark.parametrize(
    ("padding", "bias", "left"),
    [(0, 0.7, 4), (1, 0.7, 6), (1, -0.7, 4), (1, 0.0, 4)],
    ids=["no padding", "padding", "the activation maps it to 0", "zero"],
)
def test_a_constant_is_folded_where_that_is_exact(padding: int, bias: float, left: int) -> None:
    model = only_dead(made(two_layers(padding=padding)), "0", 1, 4, bias=bias)
    found = compacted(model)
    assert found.model[0].out_channels == found.model[2].in_channels == left
    assert_equal(model, found.model, example())
    if left == 6:
        assert "a constant into 2, which pads with zeros" in str(found.report)


class OverPlaces(nn.Module):
    """A convolution over a sequence, a function of its places, and a linear layer."""

    def __init__(self, over: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.over = nn.Conv1d(2, 6, 3), nn.Linear(6, 3), over

    def forward(self, x: Tensor) -> Tensor:
        h = self.over(torch.relu(self.one(x)))
        return self.two(h if h.ndim == 2 else h.flatten(1))


def to_multiple(h: Tensor) -> Tensor:
    return functional.adaptive_avg_pool1d(functional.pad(h, (0, -h.shape[-1] % 5)), 1)


@pytest.mark.parametrize(
    ("over", "bias", "left"),
    [
        (lambda h: h.sum(-1), 0.7, 6),
        (lambda h: h.amax(-1) / h.shape[-1], 0.7, 6),
        (lambda h: h.amax(-1) * torch.ones(6) * h.shape[-1], 0.7, 6),
        (to_multiple, 0.7, 6),
        (lambda h: h.sum(-1), 0.0, 4),
        (lambda h: functional.adaptive_avg_pool1d(h, 1), 0.7, 4),
    ],
    ids=["sum", "a mean", "scaled", "padded", "a sum of zeros", "pooled"],
)
def test_a_constant_of_one_size_is_not_folded(
    over: Callable[[Tensor], Tensor], bias: float, left: int
) -> None:
    """The number of places is another one at other sizes."""
    torch.manual_seed(0)
    model = only_dead(OverPlaces(over), "one", 1, 4, bias=bias)
    found = compacted(model, torch.randn(4, 2, 12))
    assert found.model.one.out_channels == left
    for length in (12, 17, 30):
        assert_equal(model, found.model, torch.randn(4, 2, length))


def test_a_border_that_repeats_the_image_is_no_obstacle() -> None:
    model = only_dead(made(two_layers(padding=1, padding_mode="replicate")), "0", 1, bias=0.7)
    assert compacted(model).model[0].out_channels == 5


def test_a_layer_without_bias_gets_one_for_the_constant() -> None:
    model = only_dead(made(two_layers(bias=False)), "0", 1, bias=0.7)
    found = compacted(model)
    assert found.model[2].bias is not None
    assert_equal(model, found.model, example())


class OwnLinear(nn.Linear):
    """A layer with a forward of its own, which knows no bias."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight)


class Functional(nn.Module):
    """A weight that no layer of torch owns or runs, and a ``bias`` that is a scale."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.one, self.two = how, nn.Linear(5, 8), nn.Linear(8, 4, bias=False)
        self.own, self.weight = OwnLinear(8, 4, bias=False), nn.Parameter(torch.randn(4, 8))
        self.bias = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.one(x))
        if self.how == "subclass":
            return self.own(h)
        weight = self.weight if self.how == "parameter" else self.two.weight
        return functional.linear(h, weight) * self.bias


@pytest.mark.parametrize("how", ["subclass", "parameter", "another layer's"])
@pytest.mark.parametrize(("bias", "left"), [(0.7, 8), (0.0, 6)], ids=["constant", "zero"])
def test_only_torchs_own_layers_get_a_bias(how: str, bias: float, left: int) -> None:
    torch.manual_seed(0)
    model = only_dead(Functional(how), "one", 1, 2, bias=bias)
    x = torch.randn(6, 5)
    found = compacted(model, x)
    assert found.model.one.out_features == left
    assert_equal(model, found.model, x)


def test_what_only_dead_units_read_goes_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2))
    with torch.no_grad():
        model[4].weight[:, 3] = 0.0  # nobody reads unit 3 …
        model[2].weight[[0, 1, 2, 4, 5], 2] = 0.0  # … which alone reads unit 2
    found = compacted(model.eval(), torch.randn(3, 4))
    assert [found.model[k].out_features for k in (0, 2)] == [4, 5]


def test_a_layer_keeps_at_least_one_unit() -> None:
    model = only_dead(made(two_layers()), "0", *range(6))
    found = compacted(model)
    assert found.model[0].out_channels == 1
    assert_equal(model, found.model, example())


def test_a_norm_scale_of_zero_makes_a_constant() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Sigmoid(), nn.Linear(6, 2)).eval()
    with torch.no_grad():
        model[1].weight[:2] = 0.0
    found = compacted(model, torch.randn(3, 4))
    assert found.model[1].num_features == 4
    assert_equal(model, found.model, torch.randn(9, 4))


def test_whole_groups_go() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, groups=4), nn.ReLU(), nn.Conv2d(12, 2, 1)
    )
    model = only_dead(only_dead(model, "0", 2, 3), "2", 3, 4, 5)
    found = compacted(model)
    assert (found.model[2].groups, found.model[0].out_channels) == (3, 6)
    assert_equal(model, found.model, example())


def test_halves_stay_equal() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 10), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            left, right = self.one(x).chunk(2, dim=-1)
            return self.two(left * torch.relu(right))

    torch.manual_seed(0)
    model = only_dead(Gated(), "one", 0, 1, 5, 6, 8)  # 3 of one half are coupled with the other
    found = compacted(model, torch.randn(3, 4))
    assert found.model.one.out_features < 10
    assert_equal(model, found.model, torch.randn(3, 4))


def test_inputs_can_be_dropped() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    with torch.no_grad():
        model[1].weight[:, [0, 5, 6]] = 0.0
    x = torch.randn(4, 3, 4)
    found = compacted(model, x, drop_inputs=True)
    assert found.inputs is not None
    assert found.inputs.tolist() == [1, 2, 3, 4, 7, 8, 9, 10, 11]
    torch.testing.assert_close(found.model(x.flatten(1)[:, found.inputs]), model(x))
    assert compacted(model, x).inputs is None


def test_ignored_layers_stay() -> None:
    model = with_dead_units(ARCHITECTURES["VGG with batch norm"](), 1, zero_shift=True)
    found = compacted(model, ignored=["features.3", "classifier*"])
    assert found.model.features[3].weight.shape == model.features[3].weight.shape
    assert found.model.classifier[0].weight.shape == model.classifier[0].weight.shape
    assert found.model.features[7].weight.shape != model.features[7].weight.shape or (
        "ignored (features.3)" in str(found.report)
    )


# What is not understood stays


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return 2 * grads[0]


class Around(nn.Module):
    """Two linear layers with something between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.between = nn.Linear(4, 6), nn.Linear(6, 3), between

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.between(self.one(x)))


def assign(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :3] = x[:, 3:]
    return y


def write_through_a_view(x: Tensor) -> Tensor:
    y = torch.zeros(x.shape, dtype=x.dtype) * x[:1, :1]
    y.view(-1).add_(x.flatten())
    return y


STRANGE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "control flow": (lambda x: x if bool(x.sum() > 0) else 2 * x, "kept whole: "),
    "custom autograd": (Twice.apply, "custom autograd function"),
    "norm over units": (lambda x: functional.layer_norm(x, (6,)), "layer_norm is not followed"),
    "sum over units": (lambda x: x - x.sum(dim=1, keepdim=True), "sum over units"),
    "softmax over units": (lambda x: x.softmax(dim=1), "softmax over units"),
    "sorting": (lambda x: x.sort(dim=1).values, "sort is not followed"),
    "fixed sizes": (lambda x: x.view(-1, 2, 3).transpose(1, 2).reshape(-1, 6), "view"),
    "assignment": (assign, "setitem"),
    "a view that is written": (write_through_a_view, ""),
    "matrix products": (lambda x: x @ torch.ones(6, 6, dtype=x.dtype), "matmul is not followed"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_not_understood_stays(name: str) -> None:
    between, why = STRANGE[name]
    model = only_dead(Around(between), "one", 1, 4)
    x = torch.randn(8, 4)
    found = compacted(model, x)
    assert found.model.one.out_features == 6
    assert why in str(found.report)
    assert_equal(model, found.model, x)
    assert_equal(model, found.model, -x)


def test_the_same_without_anything_strange_shrinks() -> None:
    model = only_dead(Around(torch.relu), "one", 1, 4)
    assert compacted(model, torch.randn(8, 4)).model.one.out_features == 4


def test_tied_weights_stay() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    model[2].weight = model[0].weight
    model = only_dead(model, "0", 1, 4)
    found = compacted(model, torch.randn(3, 6))
    assert found.model[0].weight is found.model[2].weight
    assert found.model[0].out_features == 6
    assert "its weight is not followed" in str(found.report)
    assert_equal(model, found.model, torch.randn(3, 6))


def test_a_layer_that_is_used_twice_is_cut_once() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.again, self.out = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.one(x))
            for _ in range(3):
                x = torch.relu(self.again(x))
            return self.out(x)

    torch.manual_seed(0)
    model = only_dead(only_dead(Recurrent(), "one", 1, 4), "again", 1, 4)
    found = compacted(model, torch.randn(3, 4))
    assert (found.model.again.in_features, found.model.again.out_features) == (4, 4)
    assert_equal(model, found.model, torch.randn(3, 4))


@pytest.mark.parametrize("how", ["weight_norm", "prune"])
def test_computed_weights_stay(how: str) -> None:
    torch.manual_seed(0)
    model = Around(torch.relu)
    if how == "prune":
        prune.ln_structured(model.one, "weight", amount=2, n=2, dim=0)
    else:
        parametrizations.weight_norm(model.one)
    x = torch.randn(3, 4)
    found = compacted(model.eval(), x)
    assert found.model.one.weight.shape == (6, 4)
    assert "one" in str(found.report)
    assert_equal(model, found.model, x)


# Errors


def test_training_mode_is_refused() -> None:
    with pytest.raises(CompactionError, match=r"training mode.*model\.eval\(\)"):
        compacted(Around(torch.relu), torch.randn(3, 4))


def test_weights_that_are_not_finite_are_refused() -> None:
    model = Around(torch.relu).eval()
    with torch.no_grad():
        model.two.weight[0, 0] = torch.nan
    with pytest.raises(CompactionError, match=r"NaN or infinity in 'two\.weight'"):
        compacted(model, torch.randn(3, 4))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.randn(3, 5), r"does not take the example inputs.*\(3, 5\)"),
        (torch.randn(3, 4).double(), r"do not fit.*float64 on cpu.*float32"),
        (torch.randn(3, 4, device="meta"), r"show nothing.*without values"),
        ("x", "example inputs are no tensors"),
    ],
    ids=["shape", "dtype", "device", "no tensor"],
)
def test_wrong_example_inputs_are_refused(x: Tensor, message: str) -> None:
    with pytest.raises(CompactionError, match=message):
        compacted(Around(torch.relu).eval(), x)


def test_no_network_is_refused() -> None:
    with pytest.raises(CompactionError, match="this is no network"):
        compacted("net", torch.randn(3, 4))  # type: ignore[arg-type]


def test_a_proof_that_fails_names_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = only_dead(made(two_layers()), "0", 1, bias=0.7)
    monkeypatch.setattr("shrinkage.compression.smaller.fold", lambda *_: None)
    with pytest.raises(CompactionError, match=r"has other outputs.*first at 2;"):
        compacted(model)


class Width(nn.Sequential):
    """A network that computes with a layer's width."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self[0](x))
        return self[1](h) / h.shape[-1]


def test_the_remedy_of_a_failed_proof_helps() -> None:
    torch.manual_seed(0)
    model = only_dead(Width(nn.Linear(5, 8), nn.Linear(8, 2)), "0", 1)
    x = torch.randn(4, 5)
    with pytest.raises(CompactionError, match=r"none of its layers.*whose width.*in ignored="):
        compacted(model, x)
    assert_equal(model, compacted(model, x, ignored=["0"]).model, x)
    assert_equal(model, compacted(model, x, ignored=["*"]).model, x)


def test_gradients_that_differ_are_seen() -> None:
    """The same outputs, but a parameter that takes no part in them any more."""
    from shrinkage.compression.proof import prove
    from shrinkage.graph import Recording
    from shrinkage.graph.cut import Cuts

    class Half(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return functional.linear(x, (self.weight + self.weight.detach()) / 2, self.bias)

    torch.manual_seed(0)
    model = nn.Linear(4, 3, dtype=torch.float64)
    other = Half(4, 3, dtype=torch.float64)
    other.load_state_dict(model.state_dict())
    batch = (torch.randn(5, 4, dtype=torch.float64),)
    nothing = torch.zeros(1, dtype=torch.bool)
    with pytest.raises(CompactionError, match=r"has other gradients: got a relative difference"):
        prove(model, other, [batch], lambda x: x, Cuts({}, {}), Recording(), nothing)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.cells = kind(6, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cells(x)[0][:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_count_in_the_multiply_accumulates(kind: type[nn.RNNBase]) -> None:
    """Every weight matrix is multiplied once per time step."""
    model, steps = Recurrent(kind).eval(), 7
    report = compacted(model, torch.randn(4, steps, 6)).report
    once = sum(p.numel() for p in model.cells.parameters() if p.ndim > 1)
    assert report.macs[0] == steps * once + model.out.weight.numel()
    assert torch.backends.mkldnn.enabled


class Attending(nn.Module):
    def __init__(self, attention: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.attention, self.out = attention, nn.Linear(8, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(self.out(x))


def by_einsum(x: Tensor) -> Tensor:
    scores = torch.einsum("bhid,bhjd->bhij", x, x).softmax(-1)
    return torch.einsum("bhij,bhjd->bhid", scores, x)


@pytest.mark.parametrize(
    "attention",
    [
        by_einsum,
        lambda x: (x @ x.mT).softmax(-1) @ x,
        lambda x: functional.scaled_dot_product_attention(x, x, x),
        lambda x: functional.scaled_dot_product_attention(x, x, x, is_causal=True),
    ],
    ids=["einsum", "matmul", "fused", "causal"],
)
def test_scores_and_mixing_count_in_the_multiply_accumulates(
    attention: Callable[[Tensor], Tensor],
) -> None:
    heads, tokens, width = 4, 16, 8
    report = compacted(Attending(attention).eval(), torch.randn(3, heads, tokens, width)).report
    assert report.macs[0] == heads * (tokens * width**2 + 2 * tokens**2 * width)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("tokens", [8, 256])
def test_attention_in_one_call_counts_in_the_multiply_accumulates(
    tokens: int, frozen: bool
) -> None:
    """A layer of PyTorch's, which in eval mode goes through a single fused function."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    layer.requires_grad_(not frozen)
    weights, products = 4 * 32 * 32 + 2 * 32 * 64, 2 * tokens * 32
    report = compacted(layer, torch.randn(2, tokens, 32)).report
    assert report.macs[0] == tokens * (weights + products)
    assert torch.backends.mha.get_fastpath_enabled()


class Watched(nn.Linear):
    """Notes how precise a GPU's products of float32 would be."""

    seen: set[str] = set()  # noqa: RUF012  (copies share it)

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.dtype == torch.float32:
            self.seen.add(torch.backends.cuda.matmul.fp32_precision)
        return super().forward(x)


def test_float32_is_compared_without_tf32() -> None:
    """A GPU's TF32 differs from width to width by more than the proof allows."""
    precisions = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
    before = [kind.fp32_precision for kind in precisions]
    model = nn.Sequential(Watched(6, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        report = compacted(model, torch.randn(4, 6)).report
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        torch.backends.cuda.matmul.fp32_precision = before[0]
    assert "float32" in report.proofs
    assert "ieee" in Watched.seen
    assert [kind.fp32_precision for kind in precisions] == before


@pytest.fixture(scope="module")
def process_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A group of this process alone, as DistributedDataParallel wants one."""
    meeting = tmp_path_factory.mktemp("group") / "meeting"
    distributed.init_process_group("gloo", f"file://{meeting}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def compiled(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what it imports
        return torch.compile(model)


def part_compiled(model: nn.Module) -> nn.Module:
    model[2] = compiled(model[2])
    return model


WRAPPED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "compiled": compiled,
    "DataParallel": nn.DataParallel,
    "DistributedDataParallel": nn.parallel.DistributedDataParallel,
    "compiled DataParallel": lambda net: compiled(nn.DataParallel(net)),
    "DataParallel of compiled": lambda net: nn.DataParallel(compiled(net)),
}


def dense() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    return only_dead(only_dead(net, "0", 1, 2), "2", 0, bias=0.5)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
def test_the_network_inside_a_wrapper_is_compacted(
    wrap: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    x = torch.randn(4, 5)
    bare, wrapped = dense(), wrap(dense())
    found, expected = compacted(wrapped, x), compacted(bare, x)
    assert type(found.model) is nn.Sequential
    assert found.report.layers == expected.report.layers
    assert found.report.macs == expected.report.macs
    assert torch.equal(found.model(x), expected.model(x))
    folder = found.save(tmp_path)
    for factory in (dense, lambda: wrap(dense())):
        assert torch.equal(sh.load_compact(factory, folder)(x), found.model(x))


def test_a_part_that_is_compiled_stays_compiled() -> None:
    x = torch.randn(4, 5)
    found, expected = compacted(part_compiled(dense()), x), compacted(dense(), x)
    assert size(found.model) == size(expected.model) < size(dense())
    assert found.report.macs == expected.report.macs
    assert found.report.notes == expected.report.notes


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("wrap", [*WRAPPED.values(), part_compiled], ids=[*WRAPPED, "a part"])
def test_groups_of_a_wrapped_network_are_coupled(wrap: Callable[[nn.Module], nn.Module]) -> None:
    x = torch.randn(4, 5)
    bare, wrapped = (
        sh.Plan(net, sh.GroupL1(0.1, coupled=True), example_inputs=x)
        for net in (dense(), wrap(dense()))
    )
    assert str(wrapped) == str(bare)
    assert wrapped.value() == bare.value()


class ByKeyword(nn.Module):
    """A function that is not followed takes a layer's weight by name."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        size = torch.linalg.matrix_norm(input=self.two.weight)
        return self.two(torch.relu(self.one(x))) * size


def test_a_weight_that_is_read_by_keyword_stays() -> None:
    model, x = only_dead(ByKeyword(), "one", 1, 4), torch.randn(8, 4)
    found = compacted(model, x)
    assert_equal(model, found.model, x)


def test_the_report_names_what_it_counts() -> None:
    said = str(compacted(only_dead(Around(torch.relu), "one", 1), torch.randn(8, 4)).report)
    for name in ("parameters", "nonzero", "MACs per example", "bytes on disk"):
        assert re.search(rf"^\s*{name} +[\d,]+ +[\d,]+", said, re.MULTILINE), name


@pytest.mark.parametrize("edges", [(1, 1), (0, 2), (2, 0)])
def test_padding_at_one_edge_leaves_channels_what_they_are(edges: tuple[int, int]) -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv1d(2, 6, 3), nn.Conv1d(6, 3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(functional.pad(torch.relu(self.one(x)), edges))

    model, x = only_dead(Padded(), "one", 1, 4), torch.randn(4, 2, 9)
    found = compacted(model, x)
    assert found.model.one.out_channels == 4
    assert_equal(model, found.model, x)
