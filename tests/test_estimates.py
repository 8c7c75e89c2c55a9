"""Mean, spread and paired differences: what one seed says, and what is not known."""

from math import inf, nan, sqrt
from statistics import fmean, stdev

import numpy as np
import pytest

from shrinkage.lesson.estimates import (
    Difference,
    array_standard_error,
    difference,
    known,
    mean,
    paired,
    sd,
    standard_error,
)

VALUES = [0.3, 0.1, 0.4, 0.15]


def test_the_figures_of_a_sample() -> None:
    assert mean(VALUES) == fmean(VALUES)
    assert sd(VALUES) == stdev(VALUES)
    assert standard_error(VALUES) == stdev(VALUES) / sqrt(4)
    assert mean({7: 1.0, 9: 3.0}) == 2.0  # of the values, not of the seeds


@pytest.mark.parametrize("unknown", [None, nan, inf, -inf])
def test_what_is_not_known_counts_nowhere(unknown: float | None) -> None:
    assert known([unknown, 1.0]) == [1.0]
    assert (mean([unknown, 1.0, 3.0]), sd([unknown, 1.0, 3.0])) == (2.0, sqrt(2))
    assert (mean([unknown]), sd([unknown]), standard_error([unknown])) == (None, None, None)
    assert paired({0: 1.0, 1: unknown, 2: 5.0}, {0: unknown, 1: 1.0, 2: 2.0}) == {2: 3.0}
    assert difference({0: unknown}, {0: 1.0}) is None


def test_one_seed_has_a_direction_and_no_uncertainty() -> None:
    assert (mean([2.0]), sd([2.0]), standard_error([2.0])) == (2.0, None, None)
    one = difference({0: 1.0}, {0: 2.0})
    assert one == Difference(-1.0, None, 1)
    assert (one.half_width, one.sign, one.direction) == (None, None, -1)


def test_a_sign_needs_an_interval_that_leaves_out_0() -> None:
    two = Difference.of([1.0, 3.0])
    assert two is not None
    assert two.half_width == pytest.approx(12.7062047 * two.se)  # t table, 1 degree of freedom
    assert (two.sign, two.direction) == (0, 1)
    assert Difference(-1.0, 0.0, 3).sign == -1
    assert Difference(0.0, 0.0, 3).sign == Difference(0.0, 0.0, 3).direction == 0


def test_tables_of_losses_have_the_same_error() -> None:
    drawn = np.random.default_rng(0).normal(size=(50, 7))
    for row in drawn:
        assert array_standard_error(row) == pytest.approx(standard_error(row), rel=1e-12)
    assert array_standard_error(np.array([1.0])) == 0.0
