"""The proof of compaction: noise is no difference, and no difference passes for noise."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import shrinkage as sh
from shrinkage.compression.proof import Proof, other_inputs, prove
from shrinkage.errors import CompactionError
from shrinkage.graph import Recording
from shrinkage.graph.cut import Cuts


def compacted(model: nn.Module, x: object) -> sh.Compact:
    return sh.compact(model.eval(), x, batch_sizes=())


def dead(model: nn.Module, *layers: str) -> nn.Module:
    """Every third unit of these layers is zero."""
    with torch.no_grad():
        for name in layers:
            module = model.get_submodule(name)
            module.weight[::3] = 0.0
            module.bias[::3] = 0.0
    return model.eval()


# Gradients that are 0 in exact arithmetic


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))
        self.fc1, self.fc2, self.out = nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.softmax(self.q(x) @ self.k(x).transpose(1, 2) / 8**0.5, -1)
        a = scores @ self.v(x)
        return self.out((x + a + self.fc2(torch.relu(self.fc1(a)))).mean(1))


def normed(norm: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 6), norm, nn.Tanh(), nn.Linear(6, 3)
    )


class Images(nn.Sequential):
    """A bias before a normalisation over places, and what is the same at all of them."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__(
            nn.Conv2d(3, 12, 3), norm, nn.ReLU(), nn.Conv2d(12, 4, 3), nn.Flatten(),
            nn.Linear(64, 2),
        )  # fmt: skip


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...], tuple[int, ...], str, int]] = {
    "softmax": (Attention, ("fc1",), (4, 5, 8), "fc1", 10),
    "instance norm": (
        lambda: Images(nn.InstanceNorm2d(12, affine=True)), ("0", "1"), (4, 3, 8, 8), "0", 8,
    ),
    "layer norm of a shift": (
        lambda: nn.Sequential(
            normed(nn.LayerNorm(6)), nn.Linear(3, 1), nn.LayerNorm(1), nn.Linear(1, 2)
        ),
        ("0.0",), (4, 8), "0.0", 10,
    ),
    "one group": (lambda: normed(nn.GroupNorm(6, 6)), ("0",), (4, 8), "0", 10),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_gradient_of_zero_is_no_difference(case: str) -> None:
    make, layers, shape, name, left = CASES[case]
    for seed in range(5):
        torch.manual_seed(seed)
        model = dead(make(), *layers)
        found = compacted(model, torch.randn(shape))
        assert len(found.model.get_submodule(name).weight) == left
        assert found.report.proofs["float64"].outputs < 1e-9
        assert found.report.proofs["float64"].gradients < 1e-9
        x = torch.randn(shape)
        torch.testing.assert_close(found.model(x), model(x), rtol=1e-4, atol=1e-5)


def test_what_is_noise_is_told() -> None:
    torch.manual_seed(0)
    report = compacted(dead(Attention(), "fc1"), torch.randn(4, 5, 8)).report
    assert all(proof.noise == {"k.bias"} for proof in report.proofs.values())
    assert report.proofs["float32"].gradients < 0.1
    assert "gradients that are 0 but for rounding: 1" in str(report)


# Saboteurs: whatever differs is refused, however small


def proof(before: nn.Module, after: nn.Module, *batch: Tensor) -> Proof:
    nothing = torch.zeros(1, dtype=torch.bool)
    after.load_state_dict(before.state_dict())
    return prove(before, after, [batch], lambda x: x, Cuts({}, {}), Recording(), nothing)


class Sum(nn.Module):
    """A large part and a tiny one; ``share`` of the tiny one's weights has a gradient."""

    def __init__(self, share: float, size: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.big, self.small = nn.Linear(6, 3).double(), nn.Linear(6, 3).double()
        self.share, self.size = share, size

    def forward(self, x: Tensor) -> Tensor:
        weight = self.share * self.small.weight + (1 - self.share) * self.small.weight.detach()
        return self.big(x) + self.size * functional.linear(x, weight, self.small.bias)


@pytest.mark.parametrize("size", [1.0, 1e-9, 1e-13, 1e-30, 1e-200])
def test_a_small_gradient_is_compared_as_any_other(size: float) -> None:
    x = torch.randn(5, 6, dtype=torch.float64)
    assert proof(Sum(1.0, size), Sum(1.0, size), x).gradients == 0.0
    for share in (0.5, 1 + 1e-8, 0.0, -1.0):
        with pytest.raises(CompactionError, match="other gradients"):
            proof(Sum(1.0, size), Sum(share, size), x)


class Keys(nn.Module):
    """The key bias has no gradient but ``size``, through another way to the output."""

    def __init__(self, size: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.q, self.k, self.v, self.size = *(nn.Linear(4, 4) for _ in range(3)), size
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.softmax(self.q(x) @ self.k(x).mT, -1)
        bias = self.k.bias - self.k.bias.detach()  # 0, with a gradient
        return scores @ self.v(x) + self.size * bias


@pytest.mark.parametrize(("one", "two"), [(0.0, 1e-12), (1e-12, 0.0), (1.0, 0.0), (1e-12, 1e-11)])
def test_a_gradient_that_comes_or_goes_is_no_noise(one: float, two: float) -> None:
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    assert "k.bias" not in proof(Keys(1e-12), Keys(1e-12), x).noise
    with pytest.raises(CompactionError, match="other gradients"):
        proof(Keys(one), Keys(two), x)


class Kinks(nn.Module):
    """Whole numbers meet the kink of a ReLU exactly; ``share`` as in :class:`Sum`."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.one, self.two, self.share = nn.Linear(4, 8), nn.Linear(8, 2), share
        torch.manual_seed(0)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randint(-1, 2, p.shape))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.one(x))
        return self.two(self.share * h + (1 - self.share) * h.detach())


def test_a_kink_that_is_met_exactly_hides_nothing() -> None:
    x = torch.randint(-1, 2, (40, 4)).double()
    assert bool((Kinks(1.0).one(x) == 0).any())
    assert proof(Kinks(1.0), Kinks(1.0), x).gradients == 0.0
    with pytest.raises(CompactionError, match="other gradients"):
        proof(Kinks(1.0), Kinks(1 - 1e-6), x)


class Scaled(nn.Module):
    """Its outputs times one number and, in one place, another."""

    def __init__(self, factor: float, at: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.factor, self.at = nn.Linear(4, 3).double(), factor, at

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x) * self.factor
        return torch.cat([y[:, :2], y[:, 2:] * self.at], 1)


@pytest.mark.parametrize("at", [torch.nan, torch.inf, -torch.inf, 1 + 1e-6, 0.0])
def test_outputs_that_differ_are_refused(at: float) -> None:
    """NaN beside a number too, which compares as equal to everything."""
    x = torch.randn(5, 4, dtype=torch.float64)
    for factor in (1.0, 1e-40):
        with pytest.raises(CompactionError, match="other outputs"):
            proof(Scaled(factor), Scaled(factor, at), x)


def test_another_number_of_outputs_is_refused() -> None:
    class Twice(Scaled):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            return self.layer(x), self.layer(x)

    with pytest.raises(CompactionError, match="other outputs"):
        proof(Scaled(1.0), Twice(1.0), torch.randn(5, 4, dtype=torch.float64))


def test_outputs_of_zero_are_no_difference() -> None:
    """A network whose output is 0 whatever goes in, but for rounding."""

    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(6, 9), nn.Linear(9, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.two(torch.relu(self.one(x)))
            return (y - y.mean(1, keepdim=True)).mean(1)

    torch.manual_seed(0)
    found = compacted(dead(Centred(), "one"), torch.randn(5, 6))
    assert found.model.one.out_features == 6


# What a network returns


@dataclass
class Answer:
    logits: Tensor
    inner: list[Tensor]


class Cache:
    def __init__(self, held: Tensor) -> None:
        self.layers = [{"keys": held, "me": self}]


def as_object(y: Tensor, h: Tensor) -> object:
    return {"logits": y, "cache": Cache(h)}


RETURNED: dict[str, tuple[Callable[[Tensor, Tensor], object], Callable[..., Iterable[Tensor]]]] = {
    "dataclass": (lambda y, h: Answer(y, [h]), lambda found: (found.logits, found.inner[0])),
    "object": (as_object, lambda found: (found["logits"], found["cache"].layers[0]["keys"])),
    "dictionary": (lambda y, h: {"y": y, "h": h}, lambda found: (found["y"], found["h"])),
}


@pytest.mark.parametrize("kind", RETURNED)
def test_whatever_a_network_returns_stays_and_is_compared(kind: str) -> None:
    """A hidden layer that is handed out keeps its zero units; the one before loses them."""
    pack, unpack = RETURNED[kind]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.out = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> object:
            h = torch.relu(self.two(torch.relu(self.one(x))))
            return pack(self.out(h), h)

    torch.manual_seed(0)
    model, x = dead(Network(), "one", "two", "out"), torch.randn(5, 4)
    found = compacted(model, x)
    sizes = [layer.out_features for layer in (found.model.one, found.model.two, found.model.out)]
    assert sizes == [4, 6, 3]
    for ours, theirs in zip(unpack(found.model(x)), unpack(model(x)), strict=True):
        torch.testing.assert_close(ours, theirs)


# One weight at two places


class Shared(nn.Module):
    """One layer reads two hidden ones; their dead unit 0 puts out 0.7, and ``other``."""

    def __init__(self, other: float) -> None:
        super().__init__()
        self.one, self.two, self.read = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)
        with torch.no_grad():
            for layer, bias in ((self.one, 0.7), (self.two, other)):
                layer.weight[0], layer.bias[0] = 0.0, bias
            self.read.weight[:, 0] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.relu(self.one(x))) + self.read(torch.relu(self.two(x)))


@pytest.mark.parametrize(("other", "left"), [(0.7, 5), (0.2, 6), (0.0, 6)])
def test_a_weight_that_is_used_twice_needs_the_same_constant_in_both(
    other: float, left: int
) -> None:
    """A bias takes up one number for all uses of its layer."""
    torch.manual_seed(0)
    model, x = Shared(other).eval(), torch.randn(5, 4)
    found = compacted(model, x)
    assert found.model.read.in_features == left
    torch.testing.assert_close(found.model(x), model(x))


class Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.log()


class Marked(nn.Module):
    """Takes batches that begin with a mark, and no other."""

    def forward(self, x: Tensor) -> Tensor:
        if float(x.flatten()[0]) != 7.0:
            raise ValueError("no mark")
        return x


def test_a_proof_looks_at_inputs_drawn_anew_as_far_as_the_network_takes_them() -> None:
    x = torch.rand(6, 3) + 0.5
    x[0, 0] = 7.0
    (one,), (two,) = (other_inputs(nn.Linear(3, 2), (x,), seed) for seed in (1, 2))
    assert one.shape == two.shape == x.shape
    assert not torch.equal(one, x)
    assert not torch.equal(one, two)
    assert torch.equal(other_inputs(Log(), (x,), 1)[0], x.roll(1, 0))
    assert torch.equal(other_inputs(Marked(), (x,), 1)[0], x)
