"""Strengths, and the choice among them."""

from math import inf, log10, nan, sqrt
from typing import Any, get_args

import numpy as np
import pytest

from shrinkage.errors import FitError
from shrinkage.experiments.paths import checked_grid, choose, strengths, weakest_for
from shrinkage.experiments.paths.choice import ChoiceRule

# ---------------------------------------------------------------------------------- strengths


def test_strengths_are_log_spaced_with_two_digits() -> None:
    assert strengths(4, 1e-4, 1e-1) == (1e-4, 1e-3, 1e-2, 1e-1)
    assert strengths(3, 2e-3, 5e-2) == (2e-3, 1e-2, 5e-2)
    grid = strengths(9)
    assert grid[0] == 1e-4
    assert grid[-1] == 3e-2
    steps = np.diff([log10(value) for value in grid])
    assert steps == pytest.approx([log10(300) / 8] * 8, abs=0.03)
    assert all(float(f"{value:.1e}") == value for value in grid)


def test_one_strength_is_the_geometric_middle() -> None:
    assert strengths(1, 1e-4, 1e-2) == (1e-3,)
    assert strengths(1) == (1.7e-3,)
    assert strengths(1, 0.5, 0.5) == (0.5,)


@pytest.mark.parametrize(("count", "low", "high"), [(200, 1e-4, 3e-2), (5, 1e-3, 1.05e-3)])
def test_many_strengths_stay_different(count: int, low: float, high: float) -> None:
    grid = strengths(count, low, high)
    assert len(grid) == count
    assert list(grid) == sorted(set(grid))
    assert grid[0] == low
    assert grid[-1] == high


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 1e-4, 1e-2), (-1, 1e-4, 1e-2), (3, 0.0, 1.0), (3, -1.0, 1.0), (3, 1.0, 0.1),
     (3, nan, 1.0), (3, 1e-4, inf), (3, 0.5, 0.5)],
)  # fmt: skip
def test_empty_grids(count: int, low: float, high: float) -> None:
    with pytest.raises(FitError, match=rf"got {count} tries from"):
        strengths(count, low, high)


def test_checked_grid_sorts() -> None:
    assert checked_grid([1e-2, 1e-4, 1e-3]) == (1e-4, 1e-3, 1e-2)
    assert checked_grid((2,)) == (2.0,)


@pytest.mark.parametrize(
    ("values", "got"),
    [([], "none"), ([1e-3, 1e-3], "0.001, 0.001"), ([0.0, 1.0], "0, 1"), ([-1.0], "-1"),
     ([inf], "inf"), ([nan], "nan")],
)  # fmt: skip
def test_checked_grid_refuses(values: Any, got: str) -> None:
    with pytest.raises(FitError, match=rf"out of range: got {got}; expected different finite"):
        checked_grid(values)


# ------------------------------------------------------------------------------------- choice


def table(*tries: list[list[float]]) -> np.ndarray:
    return np.array(tries, dtype=float)


def test_paired_differences_by_hand() -> None:
    # One seed, four chunks. Differences to try 0: mean 0.2, deviations ±0.1 and ±0.3.
    base = [1.0, 2.0, 3.0, 4.0]
    differences = [0.1, 0.3, -0.1, 0.5]
    choice = choose(
        table([base], [[b + d for b, d in zip(base, differences, strict=True)]]), "paired",
        ordered=True,
    )  # fmt: skip
    assert choice is not None
    error = sqrt((0.01 + 0.01 + 0.09 + 0.09) / 3) / sqrt(4)  # 0.129 < 0.2
    assert choice.excess == pytest.approx((0.0, 0.2))
    assert choice.error == pytest.approx((0.0, error))
    assert choice.means == pytest.approx((2.5, 2.7))
    assert (choice.index, choice.best) == (0, 0)


def test_the_most_regularized_within_one_standard_error() -> None:
    noise = np.array([-0.3, 0.3, -0.3, 0.3])  # s.e. = √(0.36/3)/2 = 0.173
    base = np.array([1.0, 2.2, 0.8, 2.1])  # s.e. of its own 0.36
    tries = [
        base + 0.5,  # too weak
        base,  # the best
        base + 0.05 + noise,  # within
        base + 0.17 + noise,  # just within: the answer
        base + 0.18 + noise,  # just outside
        base + 3.0,
    ]
    losses = table(*[[list(t)] for t in tries])
    choice = choose(losses, "paired", ordered=True)
    assert choice is not None
    assert choice.error[3] == pytest.approx(0.1732, abs=1e-4)
    assert (choice.index, choice.best) == (3, 1)
    plain = choose(losses, "best", ordered=True)
    assert plain is not None
    assert plain.index == 1


def test_what_is_less_regularized_than_the_best_is_not_chosen() -> None:
    noisy = [[1.1, 0.95, 1.1, 0.95]]  # within one s.e. of the best, but weaker
    choice = choose(table(noisy, [[1.0] * 4], [[2.0] * 4]), "paired", ordered=True)
    assert choice is not None
    assert choice.index == choice.best == 1


def test_pairing_matters() -> None:
    # Chunks differ wildly, tries hardly: every difference is 0.1 ± 0.01. An unpaired rule would
    # see 0.1 against a standard error of about 3 and take the strongest.
    base = np.array([0.0, 5.0, 10.0, 15.0])
    worse = base + 0.1 + np.array([-0.01, 0.01, -0.01, 0.01])
    choice = choose(table([list(base)], [list(worse)]), "paired", ordered=True)
    assert choice is not None
    unpaired = base.std(ddof=1) / 2
    assert choice.excess[1] < unpaired
    assert choice.index == 0


def test_seeds_that_disagree_count() -> None:
    # Each seed's chunks agree, the seeds do not: differences −0.2 and 0.4, mean 0.1, s.e. 0.3.
    choice = choose(
        table([[1.0] * 4, [2.0] * 4], [[0.8] * 4, [2.4] * 4]), "paired", ordered=True
    )  # fmt: skip
    assert choice is not None
    assert choice.error[1] == pytest.approx(0.3)
    assert (choice.index, choice.best) == (1, 0)


@pytest.mark.parametrize("seeds", [2, 3, 5, 9])
@pytest.mark.parametrize("collapse", [0.5, 2.3, 1e3])
@pytest.mark.parametrize("chunks", [1, 50])
def test_a_try_that_collapsed_in_one_seed_is_not_chosen(
    seeds: int, collapse: float, chunks: int
) -> None:
    # Equal in all seeds but one: the excess is d/S, and so is its paired standard error.
    noise = np.random.default_rng(0).normal(size=(seeds, chunks))
    base = 0.3 + 0.01 * (noise if chunks > 1 else noise / 5)
    collapsed = base.copy()
    collapsed[-1] += collapse
    for second in (base, base + 1e-3):  # the walk from the best meets it at once, or a step later
        choice = choose(np.stack([base, second, collapsed]), "paired", ordered=True)
        assert choice is not None
        assert choice.excess[2] == pytest.approx(choice.error[2]) == pytest.approx(collapse / seeds)
        assert choice.index < 2


@pytest.mark.parametrize("collapse", [1e-3, 2.3])
def test_a_try_that_collapsed_where_the_best_shows_no_spread(collapse: float) -> None:
    base = np.full((3, 1), 0.25)
    collapsed = base.copy()
    collapsed[1] += collapse
    choice = choose(np.stack([base, collapsed]), "paired", ordered=True)
    assert choice is not None
    assert choice.best_error == 0
    assert choice.index == 0


def test_the_tolerance_is_the_smaller_of_two_standard_errors() -> None:
    base = np.array([1.0, 1.2, 0.8, 1.1])
    error = base.std(ddof=1) / 2  # 0.085; the differences spread more
    for factor, index in ((0.99, 1), (1.01, 0)):
        other = base + factor * error + np.array([-0.3, 0.3, -0.3, 0.3])
        choice = choose(table([list(base)], [list(other)]), "paired", ordered=True)
        assert choice is not None
        assert choice.best_error == pytest.approx(error)
        assert choice.error[1] > error
        assert choice.index == index


@pytest.mark.parametrize("outside", [3.0, nan])
def test_the_walk_ends_at_the_first_try_outside(outside: float) -> None:
    base = np.array([1.0, 1.2, 0.8, 1.1])
    noise = np.array([-0.3, 0.3, -0.3, 0.3])
    tries = [base, base + 0.01 + noise, base + outside, base + 0.01 + noise]
    choice = choose(table(*[[list(t)] for t in tries]), "paired", ordered=True)
    assert choice is not None
    assert choice.index == 1


@pytest.mark.parametrize("failure", [inf, nan])
def test_failed_tries_are_never_chosen(failure: float) -> None:
    losses = table([[1.0, 1.2]], [[failure, 0.1]], [[1.1, 1.1]], [[failure, failure]])
    for rule in get_args(ChoiceRule):
        choice = choose(losses, rule, ordered=True)
        assert choice is not None
        assert choice.index in (0, 2)
        assert np.isnan(choice.excess[1])
        assert np.isnan(choice.error[3])
    # one failed seed spoils the try
    choice = choose(table([[1.0], [failure]], [[2.0], [2.0]]), "best", ordered=True)
    assert choice is not None
    assert choice.index == 1


def test_chunks_that_no_try_has_are_left_out() -> None:
    full = np.array([[[1.0, 2.0, 4.0], [3.0, 5.0, 6.0]], [[1.1, 2.0, 4.2], [3.1, 4.9, 6.0]]])
    gaps = full.copy()
    gaps[:, 0, 1] = gaps[:, 1, 2] = nan
    kept = np.array([full[:, 0, [0, 2]], full[:, 1, [0, 1]]]).swapaxes(0, 1)
    assert choose(gaps, "1se", ordered=True) == choose(kept, "1se", ordered=True)
    # seeds count equally, however many chunks they have left
    gaps[:, 1, 1] = nan
    choice = choose(gaps, "best", ordered=True)
    assert choice is not None
    assert choice.means == pytest.approx((2.75, 2.875))
    assert choice.excess == pytest.approx((0.0, 0.125))


def test_a_try_that_lacks_a_chunk_others_have_failed() -> None:
    choice = choose(table([[1.0, 1.2]], [[nan, 0.1]]), "best", ordered=True)
    assert choice is not None
    assert choice.index == 0


def test_a_seed_without_any_chunk_fails_all_tries() -> None:
    assert choose(table([[1.0], [nan]], [[2.0], [nan]]), "best", ordered=True) is None


def test_all_failed() -> None:
    assert choose(table([[inf, inf]], [[nan, 1.0]]), "1se", ordered=True) is None


def test_without_an_order_the_best_is_taken() -> None:
    losses = table([[1.0, 3.0]], [[1.5, 2.8]], [[9.0, 9.0]])
    ordered, free = (choose(losses, "paired", ordered=way) for way in (True, False))
    assert ordered is not None
    assert free is not None
    assert ordered.index == 1
    assert free.index == free.best == 0


def test_a_single_loss_per_try_shows_no_spread() -> None:
    choice = choose(table([[1.0]], [[0.9]], [[0.95]]), "1se", ordered=True)
    assert choice is not None
    assert choice.index == choice.best == 1
    assert choice.error == (0.0, 0.0, 0.0)
    tie = choose(table([[0.9]], [[0.9]], [[0.95]]), "1se", ordered=True)
    assert tie is not None
    assert (tie.index, tie.best) == (1, 1)  # equal loss: the more regularized one
    alone = choose(table([[3.0]]), "1se", ordered=True)
    assert alone is not None
    assert alone.index == 0


def test_the_grid_begins_lower_for_many_examples() -> None:
    assert weakest_for(10) == weakest_for(2000) == 1e-4
    assert weakest_for(200_000) == pytest.approx(1e-5)
    assert strengths(3, weakest_for(50_000)) == (2e-5, 7.7e-4, 3e-2)
