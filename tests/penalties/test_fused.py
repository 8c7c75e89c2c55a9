"""The compiled loops compute what PyTorch's operations specify, and give way to them elsewhere."""

import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from shrinkage.errors import PenaltyError, ShrinkageWarning
from shrinkage.penalties import fused
from shrinkage.penalties.kernels import offered
from shrinkage.penalties.steps import Step, Steps

pytest.importorskip("numba")

SHAPE = (130, 257)  # 33,410 weights: large enough, and no multiple of a vector's length
DTYPES = (torch.float32, torch.float64)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def drawn(dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Weights of all sizes, with what training may leave: zeros, NaN, infinities."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(SHAPE, generator=generator, dtype=dtype)
    w *= 10.0 ** torch.randint(-8, 3, SHAPE, generator=generator)
    odd = torch.tensor([0.0, -0.0, torch.nan, torch.inf, -torch.inf], dtype=dtype)
    w.view(-1)[:: SHAPE[0]] = odd.repeat(60)[: len(w.view(-1)[:: SHAPE[0]])]
    return w


def same(ours: Tensor, specified: Tensor) -> None:
    """Equal values, NaN included; the sign of a zero may differ."""
    torch.testing.assert_close(ours, specified, rtol=0, atol=0, equal_nan=True)


def specified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "loops_for", lambda *_: None)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("threshold", [0.0, 1e-3, 0.7])
def test_one_threshold_gives_the_same_bits(
    dtype: torch.dtype, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [(drawn(dtype), drawn(dtype, 1).nan_to_num(0, 0, 0)) for _ in range(2)]
    steps = Steps(threshold, threshold, elapsed=3.0)
    assert offered.loops_for(*pairs[0]) is not None, "the loops were not asked"
    fused.clip(*pairs[0], 0.3, steps)
    specified(monkeypatch)
    fused.clip(*pairs[1], 0.3, steps)
    for ours, theirs in zip(*pairs, strict=True):
        same(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("ratio", [0.8, 1.25])
@pytest.mark.parametrize("each", [False, True])
def test_a_moved_strength_gives_the_same_bits(
    dtype: torch.dtype, ratio: float, each: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    total, step = (drawn(dtype, k).nan_to_num(0, 0, 0).abs() for k in (2, 3))
    steps = Steps(total, step, 2.5) if each else Steps(0.7, 0.2, 2.5)
    w = drawn(dtype) * (torch.rand(SHAPE, generator=torch.Generator().manual_seed(4)) < 0.5)
    residuals = [drawn(dtype, 1).nan_to_num(0, 0, 0) for _ in range(2)]
    before = residuals[0].clone()
    fused.lift(w, residuals[0], 0.3, steps, ratio)
    specified(monkeypatch)
    fused.lift(w, residuals[1], 0.3, steps, ratio)
    same(*residuals)
    same(residuals[0][w != 0], before[w != 0] * ratio)
    edge = torch.as_tensor(steps.sum * 0.3 if ratio < 1 else torch.inf, dtype=dtype).expand(SHAPE)
    same(residuals[0][w == 0], before.clamp(-edge, edge)[w == 0])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_threshold_per_weight_gives_the_same_bits(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    total, step = (drawn(dtype, k).nan_to_num(0, 0, 0).abs() for k in (2, 3))
    pairs = [(drawn(dtype), drawn(dtype, 1).nan_to_num(0, 0, 0)) for _ in range(2)]
    assert offered.loops_for(*pairs[0], total, step) is not None, "the loops were not asked"
    for elapsed in (0.0, 2.5):
        fused.clip(*pairs[0], 0.3, Steps(total, step, elapsed))
        with monkeypatch.context() as patch:
            specified(patch)
            fused.clip(*pairs[1], 0.3, Steps(total, step, elapsed))
        for ours, theirs in zip(*pairs, strict=True):
            same(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_groups_shrink_to_the_same_bits(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = drawn(dtype, 2).nan_to_num(0, 0, 0).abs()
    held = torch.rand(SHAPE[0], 1, dtype=dtype)
    held[::3] = 0
    waiting = drawn(dtype, 1).nan_to_num(0, 0, 0) * (held == 0)  # living groups have none
    pairs = [(drawn(dtype), waiting.clone()) for _ in range(2)]
    assert offered.loops_for(*pairs[0], step) is not None, "the loops were not asked"
    r = torch.rand(SHAPE[0], 1, dtype=dtype) * (held != 0)
    fused.shrink(*pairs[0], held, r, 0.2, Steps(step, step, 0.0, 1.5))
    specified(monkeypatch)
    fused.shrink(*pairs[1], held, r, 0.2, Steps(step, step, 0.0, 1.5))
    for ours, theirs in zip(*pairs, strict=True):
        same(ours, theirs)


def test_what_the_loops_cannot_take_goes_through_pytorch() -> None:
    w, residual = drawn(torch.float32), torch.zeros(SHAPE)

    class Mine(torch.Tensor):
        pass

    for unfit in (
        (w.t(), residual.t()),
        (w.to(torch.bfloat16), residual.to(torch.bfloat16)),
        (w, residual.double()),
        (w, residual[:100]),
        (w, residual.view(-1)),
        (w.as_subclass(Mine), residual),
        (w.to("meta"), residual.to("meta")),
    ):
        assert offered.loops_for(*unfit) is None
    torch.set_num_threads(8)
    try:
        assert offered.loops_for(w, residual) is None
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(
    "steps",
    [Steps(torch.tensor(0.1), torch.tensor(0.1)), Steps(0.0, torch.tensor(0.1), 1.0),
     Steps(torch.tensor(0.1), 0.0)],
)  # fmt: skip
def test_steps_that_are_numbers_in_tensors_count_as_numbers(steps: Steps) -> None:
    w, residual = torch.ones(SHAPE), torch.zeros(SHAPE)
    fused.clip(w, residual, 1.0, steps)
    same(w, torch.full(SHAPE, 0.9))


def test_steps_of_another_shape_are_refused_and_not_read_beyond() -> None:
    for steps in (Steps(torch.ones(10), torch.ones(10)), Steps(torch.ones(SHAPE), torch.ones(10))):
        with pytest.raises((PenaltyError, RuntimeError)):
            fused.clip(torch.ones(SHAPE), torch.zeros(SHAPE), 1.0, steps._replace(elapsed=1.0))
    with pytest.raises(RuntimeError):
        fused.clip(torch.ones(SHAPE), torch.zeros(100), 1.0, Steps(0.1, 0.1))


def test_loops_that_cannot_be_compiled_are_done_without_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(bits: int) -> None:
        raise OSError("the cache is full")

    monkeypatch.setattr("shrinkage.penalties.kernels.on_cpu.loops", broken)
    monkeypatch.setattr(offered, "_SAID", set())
    offered.compiled.cache_clear()
    try:
        for dtype in (torch.float32, torch.float64):
            w, residual = torch.ones(SHAPE, dtype=dtype), torch.zeros(SHAPE, dtype=dtype)
            says = (
                pytest.warns(ShrinkageWarning, match=r"slower .* same results.*OSError: the cache")
                if dtype == torch.float32
                else nullcontext()
            )
            with says:
                fused.clip(w, residual, 1.0, Steps(0.1, 0.1))
            assert (w == 0.9).all() or torch.allclose(w, torch.full_like(w, 0.9))
    finally:
        offered.compiled.cache_clear()


@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        (ModuleNotFoundError("no Numba", name="numba"), False),
        (ModuleNotFoundError("no llvmlite", name="llvmlite"), True),
        (ImportError("Numba needs NumPy 2.3 or less"), True),
    ],
    ids=str,
)
def test_a_compiler_that_is_not_installed_is_no_news(
    monkeypatch: pytest.MonkeyPatch, error: Exception, is_told: bool
) -> None:
    monkeypatch.setattr(offered, "_SAID", set())
    with pytest.warns(ShrinkageWarning, match="Numba") if is_told else nullcontext():
        offered._say("Numba", error)
    offered._say("Numba", error)


def test_mixed_steps_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum per weight and a step that has become a number: RAdam and its like."""
    total: Step = torch.full(SHAPE, 0.5)
    pairs = [(drawn(torch.float32), torch.zeros(SHAPE)) for _ in range(2)]
    fused.clip(*pairs[0], 1.0, Steps(total, 0.25, elapsed=2.0))
    fused.clip(*pairs[1], 1.0, Steps(1.0, 0.0))
    for ours, theirs in zip(*pairs, strict=True):
        same(ours, theirs)


def test_without_numba_training_is_the_same() -> None:
    """In a process of its own, where importing Numba fails."""
    code = """
import sys, torch, shrinkage as sh
if sys.argv[1] == "without":
    sys.modules["numba"] = None
torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Linear(200, 100)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
sh.attach(optimizer, sh.Plan(model, sh.L1(1e-3)))
x = torch.randn(64, 200)
for _ in range(30):
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()
from shrinkage.penalties.kernels.offered import compiled
print(compiled(32) is None, int(model.weight.count_nonzero()), float(model.weight.double().sum()))
"""
    told = {}
    for way in ("with", "without"):
        done = subprocess.run(
            [sys.executable, "-c", code, way], capture_output=True, text=True, check=True
        )
        told[way] = done.stdout.split()
    assert (told["with"][0], told["without"][0]) == ("False", "True")
    assert told["with"][1:] == told["without"][1:]
