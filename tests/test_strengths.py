"""Grids of strengths, and figures about weights, by hand."""

from itertools import pairwise
from math import inf, log
from sys import float_info

import numpy as np
import pytest
import torch
from torch import nn

import shrinkage as sh
from shrinkage.analysis.measures.weights import gini, weigh
from shrinkage.errors import FitError
from shrinkage.experiments.paths.strengths import Grid, checked_grid, spaced, strengths, weakest_for


def test_strengths_are_spaced_by_factors() -> None:
    assert strengths(1, 1e-4, 1e-2) == (1e-3,)
    assert strengths(1, 1e-3, 1e-3) == (1e-3,)
    assert strengths(1, 1e-4, 2e-2) == (1.4e-3,)
    assert strengths(2, 1e-4, 1e-2) == (1e-4, 1e-2)
    assert strengths(4, 1e-4, 3e-2) == (1e-4, 6.7e-4, 4.5e-3, 3e-2)
    assert strengths(2) == (1e-4, 3e-2)


def test_fine_grids_have_the_digits_that_they_need() -> None:
    grid = strengths(5, 1e-3, 1.04e-3)
    assert grid == (1e-3, 1.01e-3, 1.02e-3, 1.03e-3, 1.04e-3)
    finest = strengths(3, 1.0, 1.0 + 2**-51)
    assert len(finest) == 3
    assert strengths(3, 1.0, 1.0 + 2**-52)[0] == 1.0  # no three numbers lie there
    many = strengths(2000, 1e-3, 1e-2)
    assert len(set(many)) == 2000
    assert all(value == float(f"{value:.4e}") for value in many)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 1, 2), (-1, 1, 2), (2, 1, 1), (2, 0, 1), (2, 2, 1), (2, 1, inf), (2, -1, 1), (1, 2, 1)],
)
def test_no_grid_without_a_range(count: int, low: float, high: float) -> None:
    with pytest.raises(FitError, match="grid of strengths is empty"):
        strengths(count, low, high)


def test_the_weakest_falls_with_the_root_of_the_examples() -> None:
    assert weakest_for(1) == weakest_for(2000) == 1e-4
    assert weakest_for(8000) == pytest.approx(5e-5)
    assert weakest_for(2001) == pytest.approx(1e-4 * (2000 / 2001) ** 0.5)


def test_own_grids_are_sorted() -> None:
    assert checked_grid([0.1, 1e-3, 1]) == (1e-3, 0.1, 1.0)
    assert checked_grid(np.array([2.0, 1.0])) == (1.0, 2.0)
    assert checked_grid(torch.tensor([2.0, 1.0])) == (1.0, 2.0)
    assert checked_grid((float_info.max,)) == (float_info.max,)
    assert [type(v) for v in checked_grid([1, np.float32(2)])] == [float, float]
    wrong: list[object] = [
        [],
        [0.0],
        [-1.0, 1.0],
        [1.0, 1.0],
        [inf],
        [True, 2.0],
        "12",
        np.ones((1, 1)),
        ["1"],
        {1.0, 2.0},
    ]
    for values in wrong:
        with pytest.raises(FitError, match="strengths are out of range"):
            checked_grid(values)  # type: ignore[arg-type]


def test_scales_of_a_path() -> None:
    assert spaced(2, 1e-4, 0.0123456) == (1e-4, 0.0123456)
    assert spaced(5, 1e-4, 1.0) == (1e-4, 1e-3, 1e-2, 0.1, 1.0)
    assert spaced(3, 1.0, 2.0) == (1.0, 1.41, 2.0)
    assert spaced(3, 1.2345, 98.7654) == (1.23, 11.0, 98.7654)
    close = spaced(4, 1.0, 1.001)  # three digits would not tell them apart
    assert close[0] == 1.0
    assert [log(b / a) for a, b in pairwise(close)] == pytest.approx([log(1.001) / 3] * 3)
    for wrong in ((1, 1.0, 2.0), (2, 0.0, 1.0), (2, 1.0, 1.0), (2, 2.0, 1.0), (2, 1.0, inf)):
        with pytest.raises(FitError, match="grid of a path is empty"):
            spaced(*wrong)
    with pytest.raises(FitError, match="grid of a path is empty"):
        spaced(2.0, 1.0, 2.0)  # type: ignore[arg-type]


def test_ends_are_found_where_they_are_not_given() -> None:
    def ends() -> tuple[float, float]:
        return 1e-4, 1e-2

    def never() -> tuple[float, float]:
        raise AssertionError

    assert Grid(3).scales(ends) == (1e-4, 1e-3, 1e-2)
    assert Grid(3, weakest=1e-6).scales(ends) == (1e-6, 1e-4, 1e-2)
    assert Grid(3, strongest=1.0).scales(ends) == (1e-4, 1e-2, 1.0)
    assert Grid(2, 1.0, 3.0).scales(never) == (1.0, 3.0)
    assert Grid(np.int64(2)).points == 2  # type: ignore[arg-type]
    for wrong in ({"points": 1}, {"points": 2, "weakest": 0.0}, {"points": 2, "strongest": -1.0}):
        with pytest.raises(FitError, match="out of range"):
            Grid(**wrong)  # type: ignore[arg-type]
    for high in (1.0, 0.5):
        with pytest.raises(FitError, match="grid of a path is empty"):
            Grid(2, 1.0, high)


# ------------------------------------------------------------------------------------- weights


def test_weights_are_counted_and_summed() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[3.0, 0.0, -4.0], [0.0, 0.0, 0.0]]))
        net[0].bias.copy_(torch.tensor([1.0, 0.0]))
        net[2].weight.copy_(torch.tensor([[0.0, 12.0]]))
        net[2].bias.zero_()
    found = weigh(sh.Plan(net, sh.L1(0.1)))
    first, last = found.layers
    assert (first.name, first.shape, first.size) == ("0.weight", (2, 3), 6)
    assert (first.zeros, first.nonzeros, first.units, first.zero_units) == (4, 2, 2, 1)
    assert (first.l1, first.l2, first.max_abs) == (7.0, 5.0, 4.0)
    assert (first.top1, first.top10) == (pytest.approx(4 / 7), pytest.approx(4 / 7))
    assert (last.zeros, last.units, last.zero_units) == (1, 1, 0)
    total = found.total
    assert (total.name, total.shape, total.size) == ("total", (8,), 8)
    assert (total.units, total.zero_units, total.zeros, total.l1) == (3, 1, 5, 19.0)
    assert (total.l2, total.max_abs) == (13.0, 12.0)
    assert (found.n_parameters, found.nonzero_parameters) == (11, 4)


def test_shares_of_the_largest() -> None:
    net = nn.Linear(250, 1, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.arange(1.0, 251.0)[None])
    (layer,) = weigh(sh.Plan(net, sh.L1(0.1))).layers
    whole = 250 * 251 / 2
    assert layer.top1 == pytest.approx((250 + 249) / whole)  # 2.5 weights are 2
    assert layer.top10 == pytest.approx(sum(range(226, 251)) / whole)
    with torch.no_grad():
        net.weight.zero_()
    (dead,) = weigh(sh.Plan(net, sh.L1(0.1))).layers
    assert (dead.top1, dead.top10, dead.gini, dead.max_abs) == (0.0, 0.0, 0.0, 0.0)
    assert (dead.units, dead.zero_units) == (1, 1)


def test_parameters_of_one_dimension_have_no_units() -> None:
    net = nn.Linear(3, 2)
    layers = {layer.name: layer for layer in weigh(sh.Plan(net, sh.L1(0.1), biases=True)).layers}
    assert (layers["bias"].units, layers["bias"].zero_units) == (None, None)
    assert layers["weight"].units == 2


def test_gini_by_its_definition() -> None:
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(7, generator=draw, dtype=torch.float64)
    pairs = (values.abs()[:, None] - values.abs()[None]).abs().sum()  # the mean difference
    assert gini(values) == pytest.approx(float(pairs / (2 * 7 * values.abs().sum())))
    assert gini(torch.ones(5)) == pytest.approx(0.0, abs=1e-15)
    assert gini(torch.zeros(5)) == 0.0
    assert gini(torch.tensor([[0.0, -2.0], [0.0, 0.0]])) == 0.75
