"""On a CUDA device: Triton's kernels compute what PyTorch specifies, and training is the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import shrinkage as sh
from shrinkage.optim import crew
from shrinkage.penalties.fused import clip
from shrinkage.penalties.kernels import Clips, Samples, offered
from shrinkage.penalties.steps import Steps

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

DTYPES = (torch.float32, torch.float64)
SHAPES = ((300, 784), (5,), (1,), (64, 3, 7, 7), (130, 257))


def drawn(dtype: torch.dtype, seed: int) -> list[Tensor]:
    """Weights of all sizes and layouts, with what training may leave: zeros, NaN, infinities."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for shape in SHAPES:
        w = torch.randn(shape, generator=generator, dtype=dtype)
        w *= 10.0 ** torch.randint(-8, 3, shape, generator=generator)
        odd = torch.tensor([0.0, -0.0, torch.nan, torch.inf, -torch.inf], dtype=dtype)
        w.view(-1)[::97] = odd.repeat(-(-w.numel() // 5))[: len(w.view(-1)[::97])]
        w = w.cuda()
        found.append(w.to(memory_format=torch.channels_last) if w.ndim == 4 else w)
    return found


def passes(dtype: torch.dtype) -> object:
    found = offered.on_cuda(torch.device("cuda", 0), dtype)
    assert found is not None, "Triton's kernels cannot be used"
    return found


def same(ours: Tensor, specified: Tensor) -> None:
    torch.testing.assert_close(ours, specified, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("per_weight", [False, True])
def test_one_launch_gives_the_same_bits(dtype: torch.dtype, per_weight: bool) -> None:
    ours, theirs = drawn(dtype, 0), drawn(dtype, 0)
    ours_r, theirs_r = ([w.nan_to_num(0, 0, 0) for w in drawn(dtype, 1)] for _ in range(2))
    totals, steps = ([w.nan_to_num(0, 0, 0).abs() for w in drawn(dtype, k)] for k in (2, 3))
    numbers = [0.3, 0.0, 1e-3, 0.7, 2.0]
    rows = (totals, steps) if per_weight else ()
    clips = Clips.of(passes(dtype), ours, ours_r, *rows)
    clips.run([*numbers, *[0.1] * 5] if per_weight else numbers)
    for w, r, total, step, number in zip(theirs, theirs_r, totals, steps, numbers, strict=True):
        if per_weight:
            clip(w, r, 0.1, Steps(total, step, number))
        else:
            clip(w, r, 1.0, Steps(number, 0.0))
    for a, b in zip([*ours, *ours_r], [*theirs, *theirs_r], strict=True):
        same(a, b)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_samples_see_a_write_and_note_it(dtype: torch.dtype) -> None:
    weights = [w.nan_to_num(0, 1, -1) for w in drawn(dtype, 0)]
    kept = [w.reshape(-1)[:: -(-w.numel() // 1024)].clone() for w in weights]
    samples = Samples.of(passes(dtype), weights, kept)
    assert not samples.ask()()
    for k, w in enumerate(weights):
        w.add_(1)
        assert samples.ask()() == [k]
        samples.note()
        assert not samples.ask()()
    weights[3][0, 0, 0, 0] = torch.nan  # the first weight is always looked at
    assert samples.ask()() == [3]
    samples.note()
    assert samples.ask()() == [3], "NaN differs from everything"


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
    ).to("cuda", memory_format=torch.channels_last)  # fmt: skip


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2),
    "fused": lambda p: torch.optim.Adam(p, lr=1e-2, fused=True),
    "radam": lambda p: torch.optim.RAdam(p, lr=1e-2),
}
PENALTIES = (sh.L1(3e-3), sh.ElasticNet(3e-3, 1e-3), sh.GroupL1(0.1), sh.LogSum(3e-3, epsilon=0.1))


def trained(optimizer: str, penalty: sh.Penalty, steps: int = 60) -> nn.Module:
    model = net()
    x = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1)).cuda()
    y = torch.randint(10, (64,), generator=torch.Generator().manual_seed(2)).cuda()
    made = OPTIMIZERS[optimizer](list(model.parameters()))
    sh.attach(made, sh.Plan(model, penalty))
    for step in range(steps):
        if step == 40:  # somebody restores a checkpoint
            model.load_state_dict({k: v * 2 for k, v in model.state_dict().items()})
        made.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        made.step()
    return model


@pytest.mark.filterwarnings("ignore::shrinkage.ShrinkageWarning")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_training_together_is_training_one_by_one(
    optimizer: str, penalty: sh.Penalty, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    together = trained(optimizer, penalty)
    monkeypatch.setattr(crew, "passes_for", lambda _: None)
    alone = trained(optimizer, penalty)
    for a, b in zip(together.parameters(), alone.parameters(), strict=True):
        same(a, b)
    if isinstance(penalty, sh.L1):
        assert all(bool((p == 0).any()) for p in together.parameters() if p.ndim > 1)


@pytest.mark.filterwarnings("ignore::shrinkage.ShrinkageWarning")
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_mixed_precision_and_state(penalty: sh.Penalty) -> None:
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True)
    handle = sh.attach(optimizer, sh.Plan(model, penalty))
    scaler = torch.amp.GradScaler("cuda")
    x, y = torch.randn(64, 3, 8, 8).cuda(), torch.randint(10, (64,)).cuda()
    for _ in range(40):
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.float16):
            loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert any(bool((p == 0).any()) for p in model.parameters() if p.ndim > 1)
    handle.load_state_dict(handle.state_dict())
    found = sh.certify(model, sh.Plan(model, penalty), (x, y))
    assert found.objective < found.null_objective * 2


def test_under_another_default_device() -> None:
    model = net()
    x, y = torch.randn(64, 3, 8, 8).cuda(), torch.randint(10, (64,)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    torch.set_default_device("cuda")
    try:
        offered.on_cuda.cache_clear()
        handle = sh.attach(optimizer, sh.Plan(model, sh.L1(3e-3), norms=True))
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        assert handle._crew is not None
        assert handle._crew.names
    finally:
        torch.set_default_device(None)
        offered.on_cuda.cache_clear()


def test_a_path_and_a_contrast_on_the_device(tmp_path: Path) -> None:
    path = sh.path(
        "mlp", "digits", "l1", run=tmp_path / "path", points=4, seeds=1, epochs=4, device="cuda",
        train_size=300, jobs=1, refine=0,
    )  # fmt: skip
    assert path.chosen.row["nonzeros"] > 0
    result = sh.contrast(
        "mlp", "digits", columns=["none", "l1", "group_l1", "magnitude"], tries=2, seeds=1,
        epochs=4, train_size=300, run=tmp_path / "contrast", device="cuda", jobs=1,
    )  # fmt: skip
    assert "test accuracy" in str(result)


def test_polish_and_compact_on_the_device() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, 3)).cuda()
    plan = sh.Plan(model, sh.L1(1e-2))
    x, y = torch.randn(200, 20).cuda(), torch.randint(3, (200,)).cuda()
    before = sh.certify(model, plan, (x, y))
    after = sh.polish(model, plan, (x, y), rounds=20)
    assert after.objective < before.objective
    with torch.no_grad():
        model[0].weight[:5] = 0
        model[0].bias[:5] = 0
    small = sh.compact(model.eval(), x[:8], batch_sizes=(8,))
    torch.testing.assert_close(small.model(x), model(x), rtol=1e-4, atol=1e-5)
    assert small.model[0].weight.shape[0] < 16
    assert small.model[0].weight.is_cuda
