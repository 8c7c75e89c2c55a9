"""The scale of a curvature, and its correction by what gradients have shown."""

import pytest
import torch
from torch import Tensor

from shrinkage.analysis.polish.curvature import Scale, corrected, measured
from shrinkage.analysis.polish.quadratic import _conjugate_gradients

B = torch.tensor(
    [
        [8.0, -4.0, 0.0, 0.0, 0.0],
        [-4.0, 2.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 9.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.5, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],  # a dead unit's weight
    ]
).double()
W = torch.ones(5).double()


def product(v: Tensor) -> Tensor:
    return B @ v


def seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_scale_is_the_norm_of_each_row_and_the_largest_eigenvalue() -> None:
    found = measured(product, W, None, seed())
    norms = B.norm(dim=1)
    assert found.diagonal[:4].tolist() == pytest.approx(norms[:4].tolist(), rel=0.4)
    squares = found.diagonal.clone()
    squares[4] = 0.0  # the least: a hundredth of the mean, which it is no part of
    assert float(found.diagonal[4]) == pytest.approx(1e-2 * float(squares.sum() / 5))
    root = found.diagonal.sqrt()
    exact = torch.linalg.eigvalsh(B / root / root[:, None]).max()
    assert found.largest == pytest.approx(float(exact), rel=0.1)
    pulse = found.pulse / found.pulse.norm()
    pushed = B @ (pulse / root) / root
    assert float((pushed / pushed.norm() - pulse).norm()) < 0.2


def test_it_is_the_same_for_a_seed_and_another_one_for_another() -> None:
    one, same = (measured(product, W, None, seed()).diagonal for _ in range(2))
    other = measured(product, W, None, torch.Generator().manual_seed(5)).diagonal
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_with_one_before_a_third_is_replaced() -> None:
    first = measured(product, W, None, seed())
    before = Scale(torch.full_like(W, 100.0), 3.0, first.pulse)
    found = measured(product, W, before, seed())
    alone = (found.diagonal - 70.0) / 0.3
    assert alone[:2].tolist() == pytest.approx(B.norm(dim=1)[:2].tolist(), rel=0.6)


def test_without_any_curvature_the_scale_is_one() -> None:
    found = measured(torch.zeros_like, W, None, seed())
    assert found.diagonal.tolist() == [1.0] * 5
    assert found.largest == 1.0
    assert measured(torch.zeros_like, W, Scale(W, 3.0, W), seed()).largest == 3.0


def test_what_was_seen_holds_after_the_correction() -> None:
    steps = [torch.tensor([1.0, 0, 0, 0, 0]), torch.tensor([0, 0, 1.0, 2.0, 1.0])]
    truth = B + 2 * torch.eye(5).double()
    pairs = [(s.double(), truth @ s.double()) for s in steps]
    bent = corrected(product, pairs)
    s, y = pairs[-1]
    torch.testing.assert_close(bent(s), y)  # the last pair exactly
    v = torch.randn(5, generator=seed()).double()
    u = torch.randn(5, generator=seed().manual_seed(1)).double()
    assert float(u @ bent(v)) == pytest.approx(float(v @ bent(u)))  # symmetric


@pytest.mark.parametrize("y", [[-1.0, 0, 0, 0, 0], [1e-5, 1.0, 0, 0, 0], [0.0, 0, 0, 0, 0]])
def test_pairs_without_positive_curvature_are_left_out(y: list[float]) -> None:
    s = torch.tensor([1.0, 0, 0, 0, 0]).double()
    bent = corrected(product, [(s, torch.tensor(y).double())])
    assert torch.equal(bent(W), product(W))


def test_a_step_that_the_model_thinks_flat_is_left_out() -> None:
    s, y = torch.tensor([0, 0, 0, 0, 1.0]).double(), torch.tensor([0, 0, 0, 0, 1.0]).double()
    assert torch.equal(corrected(product, [(s, y)])(W), product(W))


def test_conjugate_gradients_solve_what_is_positive_definite() -> None:
    right = torch.tensor([1.0, -2.0, 3.0, -4.0, 5.0]).double()
    solid = B + torch.eye(5).double()
    found, convex = _conjugate_gradients(lambda v: solid @ v, solid @ right, solid.diagonal())
    assert convex
    assert torch.allclose(found, right, atol=0.1)
    _, convex = _conjugate_gradients(lambda v: -v, right, torch.ones(5).double())
    assert not convex
