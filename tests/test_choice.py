"""The rules of a choice against their definitions, written once more in another way."""

from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

import shrinkage as sh
from shrinkage.experiments.paths.choice import _walked, choose
from shrinkage.experiments.paths.selection import Table


def lambda_min_and_1se(losses: list[list[float]]) -> tuple[int, int]:
    """glmnet's ``getOptcv``, tries from least to most regularized; folds of equal weight."""
    means = [mean(row) for row in losses]
    errors = [stdev(row) / len(row) ** 0.5 for row in losses]
    best = max(t for t, value in enumerate(means) if value <= min(means))
    return best, max(t for t, value in enumerate(means) if value <= means[best] + errors[best])


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_random_tables_are_judged_as_by_glmnet(folds: int) -> None:
    rng = np.random.default_rng(folds)
    differs = 0
    for _ in range(100):
        trend = rng.uniform(0, 1) * np.linspace(-1, 1, 12) ** 2
        losses = 1 + trend[:, None] + rng.normal(0, 0.3, folds) + rng.normal(0, 0.1, (12, folds))
        best, sparse = lambda_min_and_1se(losses.tolist())
        found = choose(losses[:, :, None], "1se", ordered=True)
        assert found is not None
        assert (found.best, found.index) == (best, sparse)
        lowest = choose(losses[:, :, None], "best", ordered=True)
        assert lowest is not None
        assert lowest.index == best
        differs += best != sparse
    assert differs > 30


def test_what_lies_between_need_not_be_within() -> None:
    losses = [[[1.0], [1.2]], [[3.0], [3.0]], [[1.1], [1.2]], [[5.0], [5.0]]]
    found = choose(losses, "1se", ordered=True)
    assert found is not None
    assert (found.best, found.index) == (0, 2)


def test_one_seed_has_the_error_of_its_examples() -> None:
    best = [1.0, 1.2, 0.8, 1.1]
    error = stdev(best) / 2
    for factor, index in ((0.99, 1), (1.01, 0)):
        other = [value + factor * error for value in best]  # equal differences: paired, no error
        found = choose([[best], [other]], "1se", ordered=True)
        assert found is not None
        assert found.best_error == pytest.approx(error)
        assert found.index == index
        paired = choose([[best], [other]], "paired", ordered=True)
        assert paired is not None
        assert paired.index == 0


def test_several_seeds_have_the_error_of_their_means_alone() -> None:
    seeds = [[0.9, 1.1], [0.8, 1.2], [1.0, 1.0]]  # every mean is 1: no error, whatever the chunks
    found = choose([seeds, [[v + 0.01 for v in row] for row in seeds]], "1se", ordered=True)
    assert found is not None
    assert found.best_error == pytest.approx(0)
    assert found.index == 0


def test_seeds_may_have_different_numbers_of_examples() -> None:
    chunks = [[[1.0, 2.0, 3.0], [4.0]], [[2.0, 3.0, 4.0], [1.0]]]
    found = choose(chunks, "best", ordered=True)
    assert found is not None
    assert found.means == (3.0, 2.0)
    # chunks of different sizes: the mean over the examples counts, where it is known
    found = choose(chunks, "best", ordered=True, losses=[[1.0, 1.0], [2.0, 1.0]])
    assert found is not None
    assert (found.index, found.means) == (0, (1.0, 1.5))


def test_equal_points_give_the_most_regularized() -> None:
    for rule in ("1se", "best", "paired"):
        found = choose([[[0.5], [0.5]]] * 4, rule, ordered=True)
        assert found is not None
        assert found.index == 3


def test_of_equal_tries_without_an_order_the_first_is_taken() -> None:
    found = choose([[[0.7]], [[0.5]], [[0.5]]], "best", ordered=False)
    assert found is not None
    assert (found.best, found.index) == (1, 1)


def test_a_try_whose_mean_is_unknown_is_not_usable_however_low_its_chunks() -> None:
    chunks, losses = [[[1.0, 2.0]], [[0.1, 0.1]]], [[1.5], [float("inf")]]
    found = choose(chunks, "best", ordered=True, losses=losses)
    assert found is not None
    assert found.index == 0
    assert np.isnan(found.excess[1])
    assert np.isnan(found.error[1])


def test_excess_and_error_are_those_of_paired_differences() -> None:
    losses = np.array([[1.0, 1.4, 0.9], [1.3, 1.5, 1.6]])
    found = choose(losses[:, :, None], "paired", ordered=True)
    assert found is not None
    differences = (losses[1] - losses[0]).tolist()
    assert found.excess == pytest.approx((0.0, mean(differences)))
    assert found.error == pytest.approx((0.0, stdev(differences) / 3**0.5))


def test_a_point_that_failed_is_skipped_and_not_the_end() -> None:
    nan = float("nan")
    losses = [[1.0, 1.4], [nan, 1.0], [1.2, 1.3]]
    chunks = [[[v] if v == v else [] for v in row] for row in losses]
    found = choose(chunks, "1se", ordered=True, losses=losses)
    assert found is not None
    assert (found.best, found.index) == (0, 2)
    assert choose([[[]], [[]]], "1se", ordered=True, losses=[[nan], [nan]]) is None


SMALL = np.random.default_rng(1)
X = SMALL.normal(size=(20, 4))
Y = X @ [2.0, -1.0, 0.0, 0.0] + SMALL.normal(size=20)


@pytest.mark.parametrize("folds", [6, 10, 16], ids=["unequal", "of one or two rows", "one out"])
def test_folds_of_any_size_end_in_a_choice(folds: int, tmp_path: Path) -> None:
    path = sh.path(
        "linear", (X, Y), "l1", run=tmp_path, folds=folds, points=2, refine=0, refit=None, jobs=1
    )
    assert len(path.view.of_kind("fit")) == 2 * folds
    table = Table(path.view).of("fit")
    losses = [[part.loss for part in row] for row in table.values()]
    assert all(len(row) == folds for row in losses)
    best, sparse = lambda_min_and_1se(losses)
    assert path.choose("best").scale == list(table)[best]
    chosen = path.choose("1se")
    assert chosen.scale == list(table)[sparse]
    assert f"≤ {mean(losses[best]):.4g} + " in chosen.why
    assert f"over {folds} seeds or folds" in chosen.why


def test_more_folds_than_rows_are_refused_before_any_fit(tmp_path: Path) -> None:
    with pytest.raises(sh.ShrinkageError, match="folds do not fit: got 17 folds"):
        sh.path("linear", (X, Y), "l1", run=tmp_path / "run", folds=17)
    assert not (tmp_path / "run").exists()


def test_a_fold_that_would_lack_a_class_is_refused_before_any_fit(tmp_path: Path) -> None:
    labels = np.repeat([0, 1], [13, 7])
    with pytest.raises(sh.ShrinkageError, match="every class must be in each"):
        sh.path("linear", (X, labels), "l1", run=tmp_path / "run", folds=10)
    assert not (tmp_path / "run").exists()


def test_a_walk_begins_at_the_best_and_ends_before_the_first_outside() -> None:
    tolerated = np.array([False, False, True, True, False, True])
    assert _walked(2, tolerated) == 3
    assert _walked(3, tolerated) == 3
    assert _walked(5, tolerated) == 5
    assert _walked(1, np.array([False, True, True, True])) == 3
