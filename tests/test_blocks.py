"""A parameter with its penalty: distances, tangents, what lives and what turned, by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import shrinkage as sh
from shrinkage.analysis.blocks import Block, blocks
from shrinkage.errors import PlanError


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def of(penalty: sh.Penalty, *, rescale: bool = False) -> Block:
    """The block of a layer of two filters of two weights; before a batch norm, if so."""
    norm = nn.BatchNorm1d(2) if rescale else nn.Identity()
    net = nn.Sequential(nn.Linear(2, 2, bias=False), norm, nn.ReLU()).double()
    plan = sh.Plan(net, {"0": penalty}, rescale=rescale)
    return next(b for b in blocks(plan) if b.entry.name == "0.weight")


def unpenalised() -> Block:
    net = nn.Linear(2, 1).double()
    return next(b for b in blocks(sh.Plan(net, sh.L1(0.1))) if b.entry.name == "bias")


W = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
G = torch.tensor([[1.0, -2.0], [0.5, 0.25]], dtype=torch.float64)


def test_a_block_knows_its_slope() -> None:
    assert of(sh.L1(0.5)).slope == 0.5
    assert of(sh.GroupL1(0.5)).slope == pytest.approx(0.5 * 2**0.5)
    assert of(sh.L2(0.5)).slope == 0.0
    assert unpenalised().slope == 0.0
    assert of(sh.L1(0.5)).penalty == sh.L1(0.5)
    net = nn.Linear(2, 1)
    assert [b.penalty for b in blocks(sh.Plan(net, sh.L1(0.0)))] == [None, None]


def test_distances_of_weights_groups_and_the_rest() -> None:
    assert of(sh.L1(0.3)).distance(W, G).tolist() == [
        pytest.approx([1.3, 1.7]),
        pytest.approx([0.2, 0.0]),
    ]
    # a living group has the slope 0.3·√2·w/‖w‖; a group at zero allows 0.3·√2
    far = of(sh.GroupL1(0.3)).distance(W, G).flatten()
    slope = 0.3 * 2**0.5
    living = row(1.0 + slope * 0.6, -2.0 + slope * 0.8).norm()
    assert far.tolist() == pytest.approx([float(living), float(row(0.5, 0.25).norm()) - slope])
    assert unpenalised().distance(row(1.0), row(-0.4)).tolist() == [0.4]


def test_on_a_sphere_what_changes_the_norm_does_not_count() -> None:
    block = of(sh.L1(0.3), rescale=True)
    assert block.sphere is not None
    tangent = block.tangent(W, G)
    slope = 0.3 * W.sign()  # of a row at zero autograd's is 0, and its along is 0
    assert float(((tangent + slope)[0] * W[0]).sum()) == pytest.approx(0.0, abs=1e-12)
    # μ = −⟨(1.3, −1.7), (3, 4)⟩/25 = 2.9/25
    assert tangent[0].tolist() == pytest.approx([1 + 3 * 2.9 / 25, -2 + 4 * 2.9 / 25])
    assert torch.equal(tangent[1], G[1])
    assert block.distance(W, G)[0].tolist() == pytest.approx([1.648, 1.236])
    assert block.along(W, G)[0].tolist() == pytest.approx([3 * -5 / 25, 4 * -5 / 25])
    assert block.along(W, G)[1].tolist() == [0.0, 0.0]
    free = of(sh.L1(0.3))
    assert free.sphere is None
    assert torch.equal(free.tangent(W, G), G)
    assert torch.equal(free.along(W, G), torch.zeros_like(G))
    plain = unpenalised()
    assert plain.sphere is None


def test_onto_the_sphere_of_another() -> None:
    block = of(sh.L1(0.3), rescale=True)
    other = torch.tensor([[0.0, 10.0], [1.0, 2.0]], dtype=torch.float64)
    assert block.onto_sphere(W, other).tolist() == [pytest.approx([6.0, 8.0]), [1.0, 2.0]]
    assert of(sh.L1(0.3)).onto_sphere(W, other) is W


def test_values_and_prox() -> None:
    assert float(of(sh.L1(0.3)).value(W)) == pytest.approx(2.1)
    assert float(of(sh.GroupL1(0.3)).value(W)) == pytest.approx(0.3 * 2**0.5 * 5)
    assert float(unpenalised().value(row(7.0))) == 0.0
    steps = torch.tensor([[1.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
    assert of(sh.L1(0.5)).prox(W, steps)[0].tolist() == pytest.approx([2.5, 3.0])
    grouped = of(sh.GroupL1(0.5)).prox(W, torch.ones_like(W))
    assert grouped[0].tolist() == pytest.approx(
        [3 * (1 - 0.5 * 2**0.5 / 5), 4 * (1 - 0.1 * 2**0.5)]
    )
    w = row(7.0)
    assert unpenalised().prox(w, row(1.0)) is w


def test_what_is_alive() -> None:
    w = torch.tensor([[3.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    everywhere = [[True, True], [True, True]]
    assert of(sh.L1(0.3)).alive(w).tolist() == [[True, False], [False, False]]
    assert of(sh.GroupL1(0.3)).alive(w).tolist() == [[True, True], [False, False]]
    assert of(sh.L2(0.3)).alive(w).tolist() == everywhere
    assert unpenalised().alive(row(0.0)).tolist() == [True]
    columns = of(sh.GroupL1(0.3, by="input")).alive(w)
    assert columns.tolist() == [[True, False], [True, False]]


def test_what_has_turned_becomes_zero() -> None:
    before = torch.tensor([[1.0, -1.0], [2.0, 0.0]], dtype=torch.float64)
    after = torch.tensor([[0.5, 3.0], [-1.0, 5.0]], dtype=torch.float64)
    assert of(sh.L1(0.3)).unturned(before, after).tolist() == [[0.5, 0.0], [0.0, 0.0]]
    # ⟨(1, −1), (½, 3)⟩ < 0 and ⟨(2, 0), (−1, 5)⟩ < 0; by columns −1½ < 0 and −3 < 0
    assert of(sh.GroupL1(0.3)).unturned(before, after).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    forward = torch.tensor([[0.5, -3.0], [0.0, 5.0]], dtype=torch.float64)
    assert of(sh.GroupL1(0.3)).unturned(before, forward).tolist() == [[0.5, -3.0], [0.0, 0.0]]
    assert of(sh.L2(0.3)).unturned(before, after) is after
    assert unpenalised().unturned(row(1.0), row(-1.0)).tolist() == [-1.0]


def test_coupled_rows_are_a_block_of_several_parameters() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    plan = sh.Plan(
        net, {"0": sh.GroupL1(0.2, coupled=True)}, example_inputs=torch.ones(2, 3).double()
    )
    found = list(blocks(plan))
    group = next(b for b in found if b.group is not None)
    shapes = [tuple(p.shape) for p in group.parameters]
    assert sorted(shapes) == [(2,), (2, 3)]
    rows = group.parameter
    assert rows.shape == (2, 4)  # 3 weights and a bias
    assert group.slope == pytest.approx(0.2 * 4**0.5)
    held = [p.detach() for p in group.parameters]
    values = torch.arange(8.0, dtype=torch.float64).reshape(2, 4)
    back = group.scattered(values, held)
    assert [tuple(b.shape) for b in back] == shapes
    assert torch.equal(group.gathered(back), values)
    assert torch.equal(group.gathered(held), rows)
    others = {b.entry.name for b in found if b.group is None}
    assert others == {"2.weight", "2.bias"}


def test_frozen_parameters_are_no_blocks() -> None:
    net = nn.Linear(2, 1)
    plan = sh.Plan(net, sh.L1(0.1))
    net.bias.requires_grad_(requires_grad=False)
    assert [b.entry.name for b in blocks(plan)] == ["weight"]


def test_every_row_has_a_sphere_of_its_own() -> None:
    block = of(sh.L1(0.3), rescale=True)
    w = torch.tensor([[3.0, 4.0], [0.1, -0.2]], dtype=torch.float64)
    g = torch.tensor([[1.0, -2.0], [0.5, 0.25]], dtype=torch.float64)
    # ⟨(½, ¼), (0.1, −0.2)⟩ = 0
    assert block.along(w, g)[1].tolist() == pytest.approx([0.0, 0.0], abs=1e-15)
    assert block.along(w, w).flatten().tolist() == pytest.approx(w.flatten().tolist())
    for k in range(2):
        tangent = block.tangent(w, g)[k] + 0.3 * w[k].sign()
        assert float(tangent @ w[k]) == pytest.approx(0.0, abs=1e-12)
        alone = g[k] - w[k] * float((g[k] + 0.3 * w[k].sign()) @ w[k]) / float(w[k] @ w[k])
        assert block.tangent(w, g)[k].tolist() == pytest.approx(alone.tolist())


def test_small_groups_turn_as_large_ones() -> None:
    before = torch.tensor([[0.1, 0.1], [0.1, 0.1]], dtype=torch.float64)
    after = torch.tensor([[0.2, 0.1], [-0.2, 0.1]], dtype=torch.float64)
    assert of(sh.GroupL1(0.3)).unturned(before, after).tolist() == [[0.2, 0.1], [0.0, 0.0]]
    assert of(sh.L1(0.3)).unturned(before, after).tolist() == [[0.2, 0.1], [0.0, 0.1]]


def test_coupled_groups_that_cover_a_parameter_in_part_are_refused() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    plan = sh.Plan(
        net, {"0": sh.GroupL1(0.2, coupled=True)}, example_inputs=torch.ones(2, 3).double()
    )
    (group,) = plan.coupled
    parts = tuple(replace(part, rows=part.rows[:1]) for part in group.parts)
    plan.coupled = (replace(group, parts=parts),)
    with pytest.raises(PlanError, match=r"in part: got 1 rows of '0\.\w+' in no group"):
        list(blocks(plan))
