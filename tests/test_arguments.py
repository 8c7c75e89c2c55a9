"""Numbers and flags as callers pass them, and as they are refused."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from shrinkage.arguments import BELOW_ONE, as_flag, as_int, as_number
from shrinkage.errors import FitError, PenaltyError

INTS = (
    3,
    np.int64(3),
    np.uint8(3),
    np.array(3),
    torch.tensor(3),
    torch.tensor(3, dtype=torch.int8),
)
NUMBERS = (0.5, np.float64(0.5), np.float32(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2))
FLAGS = (True, np.True_, np.array(True), torch.tensor(True))


@pytest.mark.parametrize("value", INTS, ids=lambda v: type(v).__name__)
def test_whole_numbers_of_all_makes_become_ints(value) -> None:
    assert as_int("seeds", value, least=1) == 3
    assert type(as_int("seeds", value, least=1)) is int
    assert type(as_number("strength", value)) is int


@pytest.mark.parametrize("value", NUMBERS, ids=lambda v: type(v).__name__)
def test_numbers_of_all_makes_become_floats(value) -> None:
    found = as_number("strength", value, least=0)
    assert found == 0.5
    assert type(found) is float


@pytest.mark.parametrize("value", FLAGS, ids=lambda v: type(v).__name__)
def test_flags_of_all_makes_become_bools(value) -> None:
    assert as_flag("biases", value) is True


@pytest.mark.parametrize(
    "value",
    [
        *(True, np.True_, torch.tensor(True), 3.0, np.float64(3), "3", None, 3j),
        *([3], np.array([3]), torch.tensor([3]), torch.empty((), device="meta")),
    ],
    ids=repr,
)
def test_what_is_no_whole_number_is_refused(value) -> None:
    with pytest.raises(FitError, match=r"seeds is not a whole number: got .*; expected .* ≥ 1"):
        as_int("seeds", value, least=1)


@pytest.mark.parametrize("value", [True, np.False_, "1", None, [1.0], np.ones(1), 1j], ids=repr)
def test_what_is_no_number_is_refused(value) -> None:
    with pytest.raises(PenaltyError, match="strength is not a number"):
        as_number("strength", value, error=PenaltyError)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-300, np.float64("nan"), 10**400])
def test_numbers_outside_are_refused(value) -> None:
    with pytest.raises(FitError, match=r"strength is out of range: got .* a finite number ≥ 0"):
        as_number("strength", value, least=0)


def test_bounds_are_told_as_they_hold() -> None:
    assert as_number("refit", 0, least=0, most=BELOW_ONE) == 0
    with pytest.raises(FitError, match="got 1; expected a finite number ≥ 0 and < 1"):
        as_number("refit", 1, least=0, most=BELOW_ONE)
    assert as_number("share", 1, above=0.5, most=1) == 1
    with pytest.raises(FitError, match=r"got 0.5; expected a finite number > 0.5 and ≤ 1"):
        as_number("share", 0.5, above=0.5, most=1)
    assert as_int("folds", 2, least=2, most=5) == 2
    with pytest.raises(FitError, match=r"folds is out of range: got 6; .* from 2 to 5"):
        as_int("folds", 6, least=2, most=5)


@pytest.mark.parametrize(
    "value", ["no", "yes", 0, 1, None, np.int64(1), np.array([True])], ids=repr
)
def test_what_merely_counts_as_a_flag_is_refused(value) -> None:
    with pytest.raises(FitError, match=r"biases is neither True nor False: got .* biases=False"):
        as_flag("biases", value)
