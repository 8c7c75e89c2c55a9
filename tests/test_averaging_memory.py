"""What dual averaging keeps between two steps, by hand; rows on their spheres."""

from math import inf, nan

import pytest
import torch
from torch import Tensor

from shrinkage.optim.memory import Memory
from shrinkage.optim.spheres import _largest_alone, _pulled
from shrinkage.optim.witness import Witness


def memory(**known: object) -> Memory:
    values = {"residual": torch.zeros(2), "written": Witness.of(torch.ones(2)), "scale": 0.5}
    return Memory(**{**values, **known})  # type: ignore[arg-type]


def test_what_is_held_is_read_ever_more_rarely() -> None:
    kept = memory(rate=0.1)
    turns = []
    for age in range(200):
        kept.age = age
        if kept.is_turn():
            turns.append(age)
    assert turns[:10] == list(range(10))  # every step
    assert turns[10:15] == [10, 12, 14, 16, 18]  # every other one
    assert [t for t in turns if 20 <= t < 30] == [21, 24, 27]
    assert [t for t in turns if t >= 90] == list(range(90, 200, 10))
    kept.rate, kept.age = 0.0, 95
    assert kept.is_turn()  # nothing is held


def test_steps_elapse_with_the_learning_rate() -> None:
    kept = memory(rate=0.2, step=3.0, total=1.0)
    assert kept.go_on(0.1) == 0.5
    assert kept.go_on(0.4) == 2.0
    assert (kept.elapsed, kept.age) == (1.25, 2)  # ½·(½ + 2)
    kept.close()
    assert (kept.total, kept.elapsed) == (1.0 + 1.25 * 3, 0.0)
    first = memory()
    assert first.go_on(0.1) == 1.0
    assert first.elapsed == 0.5


@pytest.mark.parametrize("steps", [3.0, torch.tensor([3.0, 1.0])], ids=["number", "each"])
def test_what_elapsed_is_added_to_the_total(steps: float | Tensor) -> None:
    total = torch.tensor([1.0, 2.0])
    kept = memory(step=steps, total=total, elapsed=2.0)
    kept.close()
    assert kept.total is total
    assert total.tolist() == (total.new_tensor([1.0, 2.0]) + 2.0 * steps).tolist()
    assert kept.elapsed == 0.0
    kept = memory(step=1.0, total=1.0, elapsed=2.0)
    kept.read(7.0)
    assert (kept.step, kept.total, kept.elapsed) == (7.0, 3.0, 0.0)


def test_a_step_per_weight_is_bounded() -> None:
    kept = memory(step=2.0, total=1.0, elapsed=3.0)
    kept.read_each(torch.tensor([0.5, 9.0, nan, inf]), 4.0)
    assert kept.step.tolist() == [0.5, 4.0, 0.0, 4.0]  # type: ignore[union-attr]
    assert kept.total.tolist() == [7.0] * 4  # type: ignore[union-attr]
    held = kept.step
    kept.elapsed = 2.0
    kept.read_each(torch.tensor([1.0, 1.0, 1.0, 1.0]), inf)
    assert kept.step is held
    assert kept.total.tolist() == [8.0, 15.0, 7.0, 15.0]  # type: ignore[union-attr]
    kept.read_each(torch.tensor([1.0, 2.0, 3.0, inf], dtype=torch.float16), inf)
    assert held.dtype == torch.float32
    assert held.tolist() == [1.0, 2.0, 3.0, torch.finfo(torch.float32).max]


@pytest.mark.parametrize("each", [False, True])
def test_what_is_saved_comes_back(each: bool) -> None:
    number = torch.tensor([2.0, 3.0]) if each else 2.0
    kept = memory(
        residual=torch.tensor([1.0, -1.0]), total=number, step=number, reach=0.25, elapsed=1.5,
        rate=0.1, age=7, held=torch.tensor([4.0]) if each else None,
    )  # fmt: skip
    back = Memory.of(kept.saved(), torch.device("cpu"))
    for name in ("scale", "reach", "elapsed", "rate", "age"):
        assert getattr(back, name) == getattr(kept, name)
    assert torch.equal(torch.as_tensor(back.total), torch.as_tensor(number))
    assert torch.equal(torch.as_tensor(back.step), torch.as_tensor(number))
    assert isinstance(back.step, Tensor) is each
    assert (back.held is None) is (kept.held is None)
    assert torch.equal(back.residual, kept.residual)
    assert torch.equal(back.written.weights, kept.written.weights)
    back.residual.zero_()
    assert kept.residual.tolist() == [1.0, -1.0]  # a copy


def test_of_an_emptied_row_the_largest_weight_stays() -> None:
    rows = torch.tensor([[1.0, -3.0, 2.0], [0.0, 0.0, 0.0]])
    assert _largest_alone(rows).tolist() == [[0.0, -3.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("share", [0.7, 0.95, 1.05, 1.4])
def test_rows_are_pulled_by_one_multiplier(share: float) -> None:
    """w / (1 + μ·step) with the norm r: Newton's method beside bisection."""
    w = torch.tensor([[3.0, -1.0, 0.5], [1.0, 2.0, 0.0]], dtype=torch.float64)
    step = torch.tensor([[0.5, 0.2, 0.05], [0.3, 0.1, 9.0]], dtype=torch.float64)
    r = share * w.norm(dim=1, keepdim=True)
    found = _pulled(w, step, r)
    for k in range(2):
        steps = torch.where(w[k] == 0, 0.0, step[k])
        steps = steps / steps.max()
        low, high = -0.999, 100.0
        for _ in range(100):
            middle = (low + high) / 2
            longer = float((w[k] / (1 + middle * steps)).norm()) > float(r[k])
            low, high = (middle, high) if longer else (low, middle)
        assert found[k].tolist() == pytest.approx((w[k] / (1 + low * steps)).tolist(), rel=1e-3)
        assert float(found[k].norm()) == pytest.approx(float(r[k]), rel=1e-3)


def test_what_was_loaded_shares_nothing_with_the_checkpoint() -> None:
    each = torch.ones(2)
    saved = memory(step=each, total=2 * each, held=3 * each).saved()
    before = {name: tensor.clone() for name, tensor in saved.items()}
    loaded = Memory.of(saved, torch.device("cpu"))
    for tensor in (loaded.residual, loaded.total, loaded.step, loaded.held, loaded.written.weights):
        assert isinstance(tensor, Tensor)
        tensor.add_(1)
    assert all(torch.equal(before[name], tensor) for name, tensor in saved.items())


def test_rows_are_pulled_each_by_itself() -> None:
    w = torch.tensor([[3.0, -1.0, 0.5], [1.0, 2.0, 0.1], [0.0, 0.0, 0.0]], dtype=torch.float64)
    step = torch.tensor([[0.5, 0.2, 0.05], [3e-9, 1e-9, 2e-9], [1.0, 1.0, 1.0]]).double()
    r = torch.tensor([[2.5], [2.0], [1.0]]).double()
    found = _pulled(w, step, r)
    assert found[:2].norm(dim=1).tolist() == pytest.approx([2.5, 2.0], rel=1e-3)
    assert found[2].tolist() == [0.0, 0.0, 0.0]
    alone = torch.cat([_pulled(w[k : k + 1], step[k : k + 1], r[k : k + 1]) for k in range(3)])
    assert torch.equal(found, alone)


def test_a_row_is_pulled_a_thousandfold_at_most() -> None:
    w, step = torch.ones(1, 3).double(), torch.ones(1, 3).double()
    assert _pulled(w, step, 5e4 * w.norm(dim=1, keepdim=True)).tolist() == [
        pytest.approx([1000.0] * 3)
    ]
