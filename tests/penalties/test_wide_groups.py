"""GroupL1 in a diagonal metric on groups as wide as a layer: the root, and how fast it is found."""

from math import sqrt

import pytest
import torch

from counting import CountingCalls
from shrinkage.penalties import GroupL1
from shrinkage.penalties.steps import Steps

from .laws import DTYPES


def layer(spread: float, heaviness: float, dtype: torch.dtype):
    """Weights, lognormal steps, and a penalty at a share of what ends the median group."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(40, 784, generator=generator, dtype=torch.float64)
    step = 1e-3 * (spread * torch.randn(w.shape, generator=generator, dtype=torch.float64)).exp()
    w, step = w.to(dtype), step.to(dtype)
    end = (w / step).double().norm(dim=-1).median() / sqrt(784)
    return w, step, GroupL1(float(end) * heaviness)


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("heaviness", [0.01, 0.5, 0.999])
@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0, 8.0])
def test_root_and_rounds(spread: float, heaviness: float, dtype: torch.dtype) -> None:
    w, step, penalty = layer(spread, heaviness, dtype)
    with CountingCalls() as counting:
        z = penalty.prox(w, step)
    assert counting.calls < 300  # 1 to 6 rounds make at most 160; all 60 make 1100

    w, z, step = w.double(), z.double(), step.double()
    kappa = penalty.strength * sqrt(784)
    alive = z.norm(dim=-1) > 0
    assert alive.any()
    pull = (w / step).norm(dim=-1)
    assert torch.equal(alive, pull > kappa)
    # 0 = (z − w)/step + κ·z/‖z‖, row by row, within rounding of the largest term
    residual = ((z - w) / step + kappa * z / z.norm(dim=-1, keepdim=True))[alive].norm(dim=-1)
    assert bool((residual <= 32 * torch.finfo(dtype).eps * pull[alive]).all())


def test_the_last_group_goes_at_its_own_strength() -> None:
    w, step, _ = layer(1.0, 1.0, torch.float64)
    last = float((w / step).norm(dim=-1).max()) / sqrt(784)
    assert int(GroupL1(last * 0.999).prox(w, step).any(dim=-1).sum()) == 1
    assert not GroupL1(last * 1.001).prox(w, step).count_nonzero()


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
def test_groups_vanish_as_wholes_when_one_step_follows_steps_per_weight(dtype: torch.dtype) -> None:
    """The sum of the steps differs from weight to weight, the last of them does not (RAdam)."""
    w, total, penalty = layer(1.0, 0.999, dtype)
    residual = torch.zeros_like(w)
    penalty.accumulate(w, residual, Steps(total, total))
    new = Steps(total + 1e-6, 1e-6)
    spelled_out = (w.clone(), residual.clone(), Steps(new.sum, torch.full_like(w, 1e-6)))
    held = penalty.accumulate(w, residual, new)
    assert held is not None
    assert held.shape == (40, 1)
    counts = w.count_nonzero(dim=-1)
    assert 0 < int((counts == 0).sum()) < 40
    assert set(counts.tolist()) == {0, 784}
    penalty.accumulate(*spelled_out)
    assert torch.equal(w, spelled_out[0])
    assert torch.equal(residual, spelled_out[1])
