"""The gap's unit, and the nearest gradient around a kink, by hand and by other solvers."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize
from torch import Tensor, nn

import shrinkage as sh
from shrinkage.analysis import gaps
from shrinkage.analysis.blocks import Vector, blocks


class Three(nn.Module):
    """Three parameters, and no way through them."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([[1.0, 0.0]], dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor([[0.0, -2.0]], dtype=torch.float64))
        self.c = nn.Parameter(torch.tensor([[3.0]], dtype=torch.float64))


GRADIENT = [torch.tensor(g).double() for g in ([[0.5, 0.5]], [[0.5, 0.4]], [[-0.8]])]


def read(rules: Any) -> tuple[list[float], list[float], float]:
    net = Three()
    found = list(blocks(sh.Plan(net, rules)))
    point = [block.parameter.detach() for block in found]
    distances, slopes = gaps.residuals(found, point, GRADIENT)
    return [gaps.most(d) for d in distances], slopes, gaps.largest_gap(found, point, GRADIENT)


def test_what_has_no_kink_is_measured_in_the_smallest_slope() -> None:
    far, slopes, gap = read({"a": sh.L1(0.1), "b": sh.L1(0.4), "c": None})
    assert far == pytest.approx([0.6, 0.1, 0.8])  # |½ + 0.1|, |½| − 0.4, |−0.8|
    assert slopes == pytest.approx([0.1, 0.4, 0.1])
    assert gap == pytest.approx(8.0)
    # An L2 penalty has no kink either; groups of two have the slope s·√2.
    far, slopes, gap = read({"a": sh.GroupL1(0.2), "b": sh.L1(0.7), "c": sh.L2(0.1)})
    assert slopes == pytest.approx([0.2 * 2**0.5, 0.7, 0.2 * 2**0.5])
    assert far[2] == pytest.approx(0.2)  # |−0.8 + 2·0.1·3|


def test_without_a_kink_the_largest_slope_of_the_loss_is_the_unit() -> None:
    far, slopes, gap = read({"a": None, "b": sh.L2(1.0), "c": None})
    assert far == pytest.approx([0.5, 3.6, 0.8])  # |0.4 − 2·2|
    assert slopes == pytest.approx([0.8] * 3)
    assert gap == pytest.approx(4.5)


def test_a_loss_without_a_slope_counts_as_it_is() -> None:
    net = Three()
    found = list(blocks(sh.Plan(net, dict.fromkeys("abc", sh.L2(0.25)))))
    point = [block.parameter.detach() for block in found]
    still = [torch.zeros_like(w) for w in point]
    assert gaps.residuals(found, point, still)[1] == [1.0] * 3
    assert gaps.largest_gap(found, point, still) == pytest.approx(1.5)


def test_of_no_values_the_largest_is_zero() -> None:
    assert gaps.most(torch.empty(0)) == 0.0
    assert gaps.most(torch.tensor([0.25, 2.0])) == 2.0


def test_the_radius_is_a_thousandth_of_what_lives() -> None:
    point = [torch.tensor([3.0, 0.0]), torch.tensor([[0.0], [-4.0]]), torch.zeros(5)]
    assert gaps.radius(point) == pytest.approx(1e-3 * 12.5**0.5)
    assert gaps.radius([torch.zeros(3)]) == 0.0


# ------------------------------------------------------------------------------------ on kinks


class Kinked:
    """A cost whose gradients are given one after the other; it notes where it has been."""

    def __init__(self, rules: Any, gradients: list[Vector]) -> None:
        self.net = Three()
        self.blocks = tuple(blocks(sh.Plan(self.net, rules)))
        self.gradients, self.seen = iter(gradients), []

    @property
    def point(self) -> Vector:
        return [block.parameter.detach() for block in self.blocks]

    def move(self, point: Vector) -> None:
        with torch.no_grad():
            for block, value in zip(self.blocks, point, strict=True):
                block.parameters[0].copy_(value)

    def gradient(self) -> tuple[float, Vector]:
        self.seen.append([w.clone() for w in self.point])
        return 0.0, next(self.gradients)


def drawn(count: int, seed: int = 0) -> list[Vector]:
    draw = torch.Generator().manual_seed(seed)
    sizes = ((1, 2), (1, 2), (1, 1))
    shift = 0.3  # so that no mixture of them is zero
    return [
        [torch.randn(s, generator=draw, dtype=torch.float64) + shift for s in sizes]
        for _ in range(count)
    ]


def flat(vector: Vector) -> Tensor:
    return torch.cat([part.flatten() for part in vector])


def test_gradients_are_taken_around_what_may_move() -> None:
    rows = drawn(40)
    cost: Any = Kinked({"a": sh.L1(0.1), "b": sh.GroupL1(0.1), "c": None}, rows[1:])
    before = [w.clone() for w in cost.point]
    gaps.nearest(cost, rows[0], 40)
    assert len(cost.seen) == 39  # the point itself is the first
    assert all(torch.equal(a, b) for a, b in zip(before, cost.point, strict=True))
    reach = gaps.radius(before)
    moved = torch.stack([flat(w) - flat(before) for w in cost.seen])
    assert (moved[:, 1] == 0).all()  # a zero that the kink holds
    living = moved[:, [0, 2, 3, 4]]  # in a living group zeros may move
    assert (living.abs() <= reach * (1 + 1e-9)).all()
    assert (living.max(dim=0).values > 0.7 * reach).all()
    assert (living.min(dim=0).values < -0.7 * reach).all()
    assert living.mean().abs() < 0.15 * reach
    again: Any = Kinked({"a": sh.L1(0.1), "b": sh.GroupL1(0.1), "c": None}, rows[1:])
    gaps.nearest(again, rows[0], 3, seed=0)
    assert all(torch.equal(flat(a), flat(b)) for a, b in zip(cost.seen, again.seen, strict=False))
    other: Any = Kinked({"a": sh.L1(0.1), "b": sh.GroupL1(0.1), "c": None}, rows[1:])
    gaps.nearest(other, rows[0], 3, seed=1)
    assert not torch.equal(flat(cost.seen[0]), flat(other.seen[0]))


def test_the_shortest_mixture_is_that_of_a_quadratic_program() -> None:
    rows = drawn(4, seed=3)
    stacked = torch.stack([flat(g) for g in rows]).numpy()

    def length(mix: np.ndarray) -> float:
        return float(((mix @ stacked) ** 2).sum())

    best = minimize(
        length,
        np.full(4, 0.25),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda mix: mix.sum() - 1},
        options={"ftol": 1e-14},
    )
    cost: Any = Kinked(dict.fromkeys("abc", sh.L1(0.0)), rows[1:])
    found = gaps.nearest(cost, rows[0], 4)
    assert flat(found.gradient).norm() == pytest.approx(best.fun**0.5, rel=1e-5)
    assert flat(found.gradient).numpy() == pytest.approx(best.x @ stacked, abs=1e-3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_least_gap_is_near_that_of_a_linear_program(seed: int) -> None:
    rows = drawn(5, seed)
    stacked = torch.stack([flat(g) for g in rows]).numpy()
    unit = float(np.abs(stacked[0]).max())
    n, d = stacked.shape
    ones = np.ones((d, 1))
    best = linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=np.block([[stacked.T, -ones], [-stacked.T, -ones]]),
        b_ub=np.zeros(2 * d),
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * (n + 1),
    )
    cost: Any = Kinked(dict.fromkeys("abc", sh.L1(0.0)), rows[1:])
    found = gaps.nearest(cost, rows[0], 5)
    # ‖·‖₃₂ is at most 5^(1/32) of the maximum: 5 %
    assert best.fun / unit <= found.gap * (1 + 1e-9)
    assert found.gap <= 1.03 * best.fun / unit


def test_no_mixture_is_better_than_the_point_at_rest() -> None:
    still = [torch.zeros_like(g) for g in GRADIENT]
    cost: Any = Kinked(dict.fromkeys("abc", sh.L1(0.0)), drawn(3))
    found = gaps.nearest(cost, still, 3)
    assert found.gap == 0.0


def test_a_single_gradient_is_its_own_nearest() -> None:
    cost: Any = Kinked({"a": sh.L1(0.1), "b": sh.L1(0.4), "c": None}, [])
    found = gaps.nearest(cost, GRADIENT, 1)
    assert found.gap == pytest.approx(8.0)
    assert torch.equal(flat(found.gradient), flat(GRADIENT))


@pytest.mark.parametrize("p", [2.0, 8.0, 32.0])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_norms_of_small_and_large_gaps(p: float, size: float) -> None:
    values = torch.tensor([0.5, 2.0, 0.0, 1.5], dtype=torch.float64)
    expected = float((values**p).sum() ** (1 / p)) * size
    assert float(gaps._norm(size * values, p)) == pytest.approx(expected, rel=1e-12)
    assert float(gaps._norm(torch.zeros(3), p)) == 0.0


def test_mixes_come_to_the_minimum_of_each_norm() -> None:
    draw = torch.Generator().manual_seed(5)
    rows = torch.randn(4, 6, generator=draw, dtype=torch.float64) + 0.4

    def of(mix: Tensor) -> Tensor:
        return (mix @ rows).abs()

    found = list(gaps._mixes(of, 4))
    assert len(found) == 3
    for mix, p, near in zip(found, (2.0, 8.0, 32.0), (1e-9, 1e-6, 1e-5), strict=True):
        assert mix.min() >= 0
        assert float(mix.sum()) == pytest.approx(1.0)
        best = min(
            minimize(
                lambda v, p=p: float(gaps._norm(of(torch.from_numpy(v)), p)),
                start,
                bounds=[(0, 1)] * 4,
                constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
                options={"ftol": 1e-13, "maxiter": 500},
            ).fun
            for start in (np.full(4, 0.25), mix.numpy())
        )
        assert float(gaps._norm(of(mix), p)) == pytest.approx(best, rel=near)


def test_the_nearest_point_of_the_simplex() -> None:
    draw = torch.Generator().manual_seed(1)
    for _ in range(50):
        v = 2 * torch.randn(5, generator=draw, dtype=torch.float64)
        found = gaps._onto_simplex(v)
        assert found.min() >= 0
        assert float(found.sum()) == pytest.approx(1.0)
        # Variational inequality: ⟨v − found, corner − found⟩ ≤ 0 for every corner.
        pull = v - found
        assert (pull - pull @ found).max() <= 1e-12


def test_a_step_descends_or_says_that_none_does() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)

    def of(mix: Tensor) -> Tensor:
        return (mix @ rows).abs()

    corner = torch.tensor([1.0, 0.0], dtype=torch.float64)
    slope = torch.tensor([1.0, 0.0], dtype=torch.float64)
    # From twice the step, 0.5: (½, 0) goes to (¾, ¼).
    found, step = gaps._descend(of, 2.0, corner, 1.0, slope, 0.25)
    assert found is not None
    assert step == 0.5
    assert found.tolist() == pytest.approx([0.75, 0.25])
    # From 8 the step is halved until it descends.
    found, step = gaps._descend(of, 2.0, corner, 1.0, slope, 4.0)
    assert found is not None
    assert step == 1.0  # the corner across is no lower
    assert found.tolist() == pytest.approx([0.5, 0.5])
    centre = torch.tensor([0.5, 0.5], dtype=torch.float64)
    none = gaps._descend(of, 2.0, centre, 0.5**0.5, torch.ones(2).double(), 1.0)
    assert none == (None, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_places_around_are_the_generators(dtype: torch.dtype) -> None:
    w = torch.tensor([1.0, -2.0, 3.0], dtype=dtype)
    found = gaps._shaken(w, 0.5, torch.Generator().manual_seed(4))
    drawn = torch.rand(3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert torch.equal(found, w + (0.5 * (2 * drawn - 1)).to(dtype))
    assert found.dtype == dtype


def test_opposite_and_equal_gradients() -> None:
    rules = dict.fromkeys("abc", sh.L1(0.0))
    cost: Any = Kinked(rules, [[-g for g in GRADIENT]])
    found = gaps.nearest(cost, GRADIENT, 2)
    assert found.gap == 0.0
    assert flat(found.gradient).abs().max() == 0.0
    cost = Kinked(rules, [[g.clone() for g in GRADIENT]])
    found = gaps.nearest(cost, GRADIENT, 2)
    assert found.gap == pytest.approx(1.0)
    assert torch.allclose(flat(found.gradient), flat(GRADIENT))


def test_a_fall_too_small_for_its_step_is_no_descent() -> None:
    """Enough is 1e-4·‖move‖²/step: 2.5e-5 for a step of ½, 6.25e-6 for one of ⅛."""
    corner = torch.tensor([1.0, 0.0], dtype=torch.float64)
    slope = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for fall, expected in ((3e-5, 0.5), (1e-5, 0.125)):
        level = torch.tensor([1.0 - fall], dtype=torch.float64)
        _, step = gaps._descend(lambda _, at=level: at, 2.0, corner, 1.0, slope, 0.25)
        assert step == expected
