"""What compact is given: networks and inputs of every kind, one error or the right network."""

import copy
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune

import shrinkage as sh
from shrinkage.errors import CompactionError


def compacted(model: nn.Module, x: object, **options: object) -> sh.Compact:
    return sh.compact(model, x, batch_sizes=(), **options)


def half_dead(**options: object) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9, **options), nn.ReLU(), nn.Linear(9, 3, **options))
    if model[0].weight.device.type != "meta":
        with torch.no_grad():
            model[0].weight[:3] = 0.0
            model[0].bias[:3] = 0.0
    return model.eval()


X = torch.linspace(-1, 1, 30).reshape(5, 6)


class Around(nn.Module):
    """A network whose hidden layer has three dead units of nine, and what is done with it."""

    def __init__(self, then: Callable[[nn.Module, Tensor], object]) -> None:
        super().__init__()
        self.inner, self.then = half_dead(), then
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> object:
        return self.then(self, x)


# Weights of special kinds


def quantised_dynamically(model: nn.Module) -> nn.Module:
    from torch.ao.quantization import quantize_dynamic

    return quantize_dynamic(model, {nn.Linear})


class Wrapped(Tensor):
    """A tensor that computes in its own way, as those of torchao do."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Wrapped":
        return Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        def plain(t: object) -> object:
            return t.inner if isinstance(t, cls) else t

        found = func(*map(plain, args), **(kwargs or {}))
        return cls(found) if func is torch.ops.aten.detach.default else found


def with_wrapped_weight(model: nn.Module) -> nn.Module:
    model[0].weight = nn.Parameter(Wrapped(model[0].weight.detach()), requires_grad=False)
    return model


def sparse(model: nn.Module) -> nn.Module:
    model[0].weight = nn.Parameter(model[0].weight.detach().to_sparse())
    return model


def exported(model: nn.Module) -> nn.Module:
    return torch.export.export(model, (X,)).module()


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "quantised": (
        lambda: quantised_dynamically(half_dead()),
        r"network is quantised.*got torch\.ao.*Linear at '0'.*before it is quantised",
    ),
    "tensor subclass": (
        lambda: with_wrapped_weight(half_dead()), "network is quantised.*got Wrapped at '0.weight'",
    ),
    "meta": (lambda: half_dead(device="meta"), "'0.weight' on the device meta, without values"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(4)).eval(), "'0.weight' of a lazy layer"),
    "sparse": (lambda: sparse(half_dead()), r"0.weight' in the layout torch.sparse_coo.*to_dense"),
    "exported": (lambda: exported(half_dead()), "exported programs have no layers to cut"),
    "NaN": (
        lambda: Around(lambda me, x: me.inner(x).abs().neg().log()).eval(), "gives NaN for the exa",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*(Lazy modules|quantized):UserWarning")
@pytest.mark.parametrize("kind", REFUSED)
def test_a_network_that_cannot_be_read_is_one_error(kind: str) -> None:
    make, message = REFUSED[kind]
    with pytest.raises(CompactionError, match=message):
        compacted(make(), X)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*quantized:UserWarning")
def test_the_remedies_of_special_weights_help() -> None:
    """Compact first, quantise then; run a lazy network; make a sparse weight dense."""
    found = compacted(half_dead(), X)
    assert found.model[0].out_features == 6
    quantised = quantised_dynamically(found.model)
    torch.testing.assert_close(quantised(X), half_dead()(X), rtol=0.1, atol=0.05)
    model = sparse(half_dead())
    model[0].weight = nn.Parameter(model.get_parameter("0.weight").to_dense())
    assert compacted(model, X).model[0].out_features == 6


# Inputs


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[:0], r"show nothing: got shape \(0, 6\)"),
        (X * torch.nan, "show nothing: got NaN among them"),
        (X.numpy(), "no tensors: got ndarray.*torch.as_tensor"),
        (None, "no example inputs: got None"),
        ((), "no tensors: got nothing"),
        ({}, "no tensors: got dict"),
        ([X], r"does not take the example inputs.*not list.*several as a tuple"),
        ({"nobody": X}, "does not take the example inputs.*not dict"),
    ],
)
def test_inputs_that_are_none(x: object, message: str) -> None:
    with pytest.raises(CompactionError, match=message):
        compacted(half_dead(), x)


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = half_dead()

    def forward(self, x: Tensor, mask: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        y = self.inner(x if mask is None else x * mask)
        return y if shift is None else y + shift


def test_inputs_by_name() -> None:
    """In any order, with defaults between; the file needs no names."""
    model, shift = Named().eval(), torch.ones(5, 3)
    found = compacted(model, {"shift": shift, "x": X})
    assert found.model.inner[0].out_features == 6
    torch.testing.assert_close(found.model(X, shift=shift), model(X, shift=shift))
    with pytest.raises(CompactionError, match="got no 'x'"):
        compacted(model, {"shift": shift})


def test_a_network_that_takes_a_dictionary_gets_it() -> None:
    class Takes(Named):
        def forward(self, batch: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
            return self.inner(batch["x"])

    found = compacted(Takes().eval(), {"x": X})
    assert found.model.inner[0].out_features == 6
    torch.testing.assert_close(found.model({"x": X}), Takes()({"x": X}))


@pytest.mark.parametrize(
    ("ignored", "message"),
    [
        (["iner.0"], "ignored= names no layer.*got 'iner.0'.*Did you mean 'inner.0'"),
        ("inner.0", r"ignored are no names: got 'inner.0'; .*ignored=\('inner.0',\)"),
        ([""], "ignored= names no layer.*got ''"),
    ],
)
def test_ignored_layers_must_exist(ignored: object, message: str) -> None:
    """A name that matches nothing would leave what it was to keep unprotected."""
    with pytest.raises(CompactionError, match=message):
        compacted(Named().eval(), X, ignored=ignored)
    assert compacted(Named().eval(), X, ignored=["inner.0"]).model.inner[0].out_features == 9


# Networks of unusual outputs and states


def counting(me: nn.Module, x: Tensor) -> Tensor:
    me.calls += 1
    return me.inner(x) * me.calls


FOLLOWED: dict[str, Callable[[nn.Module, Tensor], object]] = {
    "no gradient": torch.no_grad()(lambda me, x: me.inner(x)),
    "classes": lambda me, x: me.inner(x).argmax(1),
    "complex": lambda me, x: torch.complex(me.inner(x), me.inner(x)),
    "mixed": lambda me, x: (me.inner(x), me.inner(x) > 0, x.shape),
    "counting": counting,
}


@pytest.mark.parametrize("kind", FOLLOWED)
def test_outputs_of_other_kinds(kind: str) -> None:
    model = Around(FOLLOWED[kind]).eval()
    first = copy.deepcopy(model)(X)
    found = compacted(model, X)
    assert found.model.inner[0].out_features == 6
    assert float(found.model.calls) == float(model.calls)
    torch.testing.assert_close(found.model(X), first)


def test_classes_are_compared() -> None:
    """A network that gives whole numbers is proven by them."""
    from shrinkage.compression.proof import prove
    from shrinkage.graph import Recording
    from shrinkage.graph.cut import Cuts

    one, two = (Around(lambda me, x: me.inner(x).argmax(1)).double() for _ in range(2))
    with torch.no_grad():
        two.inner[2].weight.neg_()
    nothing = torch.zeros(1, dtype=torch.bool)
    with pytest.raises(CompactionError, match="other outputs"):
        prove(one, two, [(X.double(),)], lambda x: x, Cuts({}, {}), Recording(), nothing)


@pytest.mark.parametrize("kind", ["list", "text"])
def test_a_network_without_tensors_stays_whole(kind: str) -> None:
    model = Around(lambda me, x: me.inner(x).tolist() if kind == "list" else (me.inner(x), "y")[1])
    found = compacted(model.eval(), X)
    assert found.model.inner[0].out_features == 9
    why = "reads values (tolist)" if kind == "list" else "returns no tensor"
    assert f"kept whole: the network {why}" in str(found.report)


@pytest.mark.parametrize(
    ("model", "left"),
    [
        (lambda: half_dead().requires_grad_(False), 6),
        (lambda: nn.Sequential(half_dead(), nn.BatchNorm1d(3, track_running_stats=False)), 6),
        (lambda: Around(lambda me, x: functional.dropout(me.inner(x), 0.5, training=True)), 6),
    ],
    ids=["frozen", "batch statistics", "random"],
)
def test_unusual_networks_shrink(model: Callable[[], nn.Module], left: int) -> None:
    net = model().eval()
    found = compacted(net, X)
    hidden = next(m for m in found.model.modules() if isinstance(m, nn.Linear))
    assert hidden.out_features == left
    torch.manual_seed(7)
    ours = found.model(X)
    torch.manual_seed(7)
    torch.testing.assert_close(ours, net(X))
    before, after = ([p.requires_grad for p in m.parameters()] for m in (net, found.model))
    assert after == before


# Weights that are computed


class Double(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


COMPUTED: dict[str, tuple[Callable[[nn.Module], object], str, str]] = {
    "mask": (
        lambda layer: prune.ln_structured(layer, "weight", 3, n=2, dim=0),
        "its weight has a pruning mask", "prune.remove",
    ),
    "weight norm": (
        parametrizations.weight_norm, "its weight is parametrized",
        "parametrize.remove_parametrizations",
    ),
    "spectral norm": (
        parametrizations.spectral_norm, "its weight is parametrized",
        "parametrize.remove_parametrizations",
    ),
    "own parametrization": (
        lambda layer: parametrize.register_parametrization(layer, "weight", Double()),
        "its weight is parametrized", "parametrize.remove_parametrizations",
    ),
    "old weight norm": (nn.utils.weight_norm, "its weight has a weight norm", "remove_weight_norm"),
    "old spectral norm": (
        nn.utils.spectral_norm, "its weight has a spectral norm", "remove_spectral_norm",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize("how", COMPUTED)
def test_what_computes_a_weight_is_named_and_can_be_taken_off(how: str) -> None:
    """The remedy is run as it is printed."""
    apply, what, function = COMPUTED[how]
    model = half_dead()
    with torch.no_grad():
        model[2].weight[0] += 1.0
    apply(model[0 if how == "mask" else 2])
    model.eval()
    found = compacted(model, X)
    assert sum(p.numel() for p in found.model.parameters()) == sum(
        p.numel() for p in model.parameters()
    )
    said = str(found.report)
    assert what in said
    (remedy,) = re.findall(r"torch\.nn\.utils\.\S+ '\w+'\)", said)
    assert function in remedy
    before = model(X)
    eval(remedy, {"torch": torch, "model": model})  # noqa: S307
    model.eval()
    smaller = compacted(model, X)
    assert smaller.model[0].out_features == 6
    assert "To let it shrink" not in str(smaller.report)
    torch.testing.assert_close(smaller.model(X), before)
