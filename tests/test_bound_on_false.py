"""The bound on false features, beside the largest tails that an exhaustive search finds."""

from collections.abc import Callable
from math import ceil, inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from folders import of_path
from shrinkage.analysis.features.bound import _tail, expected_false
from shrinkage.analysis.features.stability import Frequencies, Stability, StableSet, frequencies
from shrinkage.errors import FitError
from shrinkage.runs import RunView, StableSetRecord


def searched(mean: float, at: int, steps: int, r: float) -> float:
    """The largest P(X ≥ at) of f(i) ∝ (a + i)^(1/r) up to k, with the rest of the mean at k + 1.

    Every k, and a grid of the log a at which f^r is convex up to k + 1: the rest falls with a.
    """
    m, best = mean * steps, 0.0
    for k in range(int(m), steps):
        from_a = _last(lambda rest, following: rest > following, k, m, r)
        to_a = _last(lambda rest, following: rest >= 0, k, m, r)
        _, _, tails = _tails(np.linspace(from_a, to_a, 4001), k, m, at, r)
        best = max(best, float(tails.max()))
    return best


def _last(holds: Callable[[np.ndarray, np.ndarray], np.ndarray], k: int, m: float, r: float) -> Any:
    """The log a up to which it holds, by bisection."""
    low, high = -24.0, 24.0
    for _ in range(60):
        middle = (low + high) / 2
        rest, following, _ = _tails(np.array([middle]), k, m, 0, r)
        low, high = (middle, high) if holds(rest, following)[0] else (low, middle)
    return low


def _tails(log_a: np.ndarray, k: int, m: float, at: int, r: float) -> tuple[np.ndarray, ...]:
    places = np.arange(k + 2)
    f = (1 + places / np.exp(log_a)[:, None]) ** (1 / r)
    family, following = f[:, :-1], f[:, -1]
    whole, moment = family.sum(axis=1), family @ places[:-1]
    rest = (m * whole - moment) / (k + 1 - m)  # moment + (k + 1)·rest = m·(whole + rest)
    upper = family[:, at:].sum(axis=1) + (rest if at <= k + 1 else 0.0)
    return rest, following, upper / np.maximum(whole + rest, 1e-300)


@pytest.mark.parametrize("r", [-0.5, -0.25])
@pytest.mark.parametrize(
    ("mean", "at", "steps"),
    [
        (0.01, 1, 8), (0.01, 8, 8), (0.04, 6, 10), (0.1, 4, 10), (0.1, 9, 12), (0.2, 7, 12),
        (0.25, 4, 6), (0.25, 5, 8), (0.3, 8, 9), (0.4, 9, 10), (0.45, 10, 10), (0.125, 3, 8),
    ],
)  # fmt: skip
def test_tails_are_the_largest(mean: float, at: int, steps: int, r: float) -> None:
    assert at >= ceil(2 * mean * steps) + 1 or _tail(mean, at, steps, r) == 1.0
    if at >= ceil(2 * mean * steps) + 1:
        assert _tail(mean, at, steps, r) == pytest.approx(searched(mean, at, steps, r), rel=1e-4)


def test_where_tails_begin_to_be_bounded() -> None:
    # mean ¼·8 = 2: a uniform distribution on 0 … 4 has it, so that 5 is the first bounded tail
    assert _tail(0.25, 4, 8, -0.5) == 1.0
    assert _tail(0.25, 5, 8, -0.5) == pytest.approx(searched(0.25, 5, 8, -0.5), rel=1e-4)
    assert _tail(0.26, 5, 8, -0.5) == 1.0  # 2·2.08 is rounded up
    assert _tail(0.26, 6, 8, -0.5) < 1.0
    assert _tail(0.5, 8, 8, -0.5) == 1.0
    assert _tail(0.45, 10, 10, -0.25) < 1.0  # 2·4.5 + 1 = 10 = steps is still one
    assert _tail(0.0, 1, 8, -0.5) == 0.0


@pytest.mark.parametrize("r", [-0.5, -0.25])
def test_tails_fall_with_where_they_begin_and_rise_with_the_mean(r: float) -> None:
    tails = [_tail(0.1, at, 20, r) for at in range(5, 21)]
    assert tails == sorted(tails, reverse=True)
    assert len(set(tails)) == len(tails)
    rising = [_tail(mean, 12, 20, r) for mean in (0.01, 0.05, 0.1, 0.2, 0.25)]
    assert rising == sorted(rising)


def by_search(used: float, features: int, at: int, pairs: int, threshold: float) -> float:
    chance = used / features
    halves = searched(chance, at, 2 * pairs, -0.25)
    both = searched(chance**2, at - pairs, pairs, -0.5)
    return min(used**2 / ((2 * threshold - 1) * features), features * min(halves, both))


@pytest.mark.parametrize(
    ("used", "features", "threshold", "pairs", "at"),
    [
        (4, 40, 0.75, 6, 9),
        (4, 40, 0.75, 5, 8),  # 7.5 of 10 half samples are 8
        (6, 40, 0.9, 5, 9),
        (4, 40, 0.55, 10, 11),  # in floating point 11.000000000000002
        (4, 40, 0.7, 5, 7),
        (4, 40, 1.0, 4, 8),
    ],
)
def test_the_bound_is_the_smallest_of_three(
    used: float, features: int, threshold: float, pairs: int, at: int
) -> None:
    expected = by_search(used, features, at, pairs, threshold)
    assert expected_false(used, features, threshold, pairs) == pytest.approx(expected, rel=1e-4)


def test_each_of_the_three_is_the_smallest_somewhere() -> None:
    which = set()
    for used, features, at, pairs, threshold in (
        (4, 40, 9, 6, 0.75), (6, 20, 6, 5, 0.6), (1, 40, 11, 10, 0.55), (4, 40, 28, 25, 0.56)
    ):  # fmt: skip
        chance = used / features
        three = (
            used**2 / ((2 * threshold - 1) * features),
            features * _tail(chance, at, 2 * pairs, -0.25),
            features * _tail(chance**2, at - pairs, pairs, -0.5),
        )
        which.add(three.index(min(three)))
        assert expected_false(used, features, threshold, pairs) == min(three)
    assert which == {0, 1, 2}


# ------------------------------------------------------------------------------ what rests on it


def test_the_most_used_is_just_below_the_errors() -> None:
    for features, subsamples, threshold, errors in (
        (40, 20, 0.75, 1.0), (100, 50, 0.9, 0.5), (15, 10, 0.6, 2.0)
    ):  # fmt: skip
        plan = Stability(subsamples, threshold, errors)
        most, pairs = plan.most_used(features), subsamples // 2
        assert expected_false(most, features, threshold, pairs) <= errors
        assert expected_false(most + 0.5, features, threshold, pairs) > errors
        assert most > 0


def test_where_all_may_be_false_all_may_be_used() -> None:
    most = Stability(20, 0.75, 1000.0).most_used(8)
    assert 7.5 <= most <= 8


def test_usual_values_and_their_ends() -> None:
    usual = Stability()
    assert (usual.subsamples, usual.threshold, usual.errors) == (50, 0.9, 1.0)
    assert Stability(2, 1, 1e-9).subsamples == 2


def test_frequencies_are_read_by_scale() -> None:
    share = np.array([[1.0, 0.75, 0.5], [0.75, 0.25, 0.0]])
    found = Frequencies(("a", "b", "c"), (0.1, 0.2), share, 8)
    assert found.used.tolist() == [2.25, 1.0]
    assert found.at(0.2) == {"a": 0.75, "b": 0.25, "c": 0.0}
    assert found.expected(0.75) == [expected_false(q, 3, 0.75, 4) for q in (2.25, 1.0)]


def test_a_share_at_the_threshold_is_enough() -> None:
    share = np.array([[0.3, 0.9 - 1e-12, 0.899], [0.0, 0.9, 0.0], [0.0, 0.0, 0.0]])
    found = Frequencies(("a", "b", "c"), (0.1, 0.2, 0.4), share, 50, dropped=2)
    stable = found.stable(0.9, errors=1000.0)
    assert (stable.names, stable.scale, stable.used) == (("b",), 0.1, pytest.approx(2.099))
    assert (stable.threshold, stable.errors, stable.dropped) == (0.9, 1000.0, 2)
    assert stable.expected == found.expected(0.9)[0]
    assert found.stable().errors == 1.0
    # Exactly as many as are allowed count; where no scale has so few, the strongest is taken.
    second = found.expected(0.9)[1]
    assert found.stable(0.9, errors=second).scale == 0.2
    full = Frequencies(("a", "b"), (0.1, 0.2), np.ones((2, 2)), 4)
    assert full.stable(0.9, errors=1e-3).scale == 0.2


def view(*walks: dict[str, Any], columns: tuple[str, ...] = ("a", "b=x", "b=y")) -> Any:
    """A run folder's half samples; each tells the inputs that it used, strongest scale last."""
    config = of_path()
    config["data"] |= {"columns": list(columns), "features": ["a", "b", "b"]}
    return RunView(Path(), config, {}, walks)


def half(number: int, *inputs: list[int], scales: tuple[float, ...] = (0.1, 0.4)) -> dict[str, Any]:
    return {
        "kind": "subsample", "key": f"subsample/{number}", "scales": list(scales),
        "inputs": list(inputs),
    }  # fmt: skip


def test_frequencies_count_what_is_used_at_a_scale_or_a_stronger_one() -> None:
    found = frequencies(
        view(half(0, [0], [2]), half(1, [0, 1], []), half(2, [0], [0]), half(3, [], [1, 2]))
    )
    assert found is not None
    assert (found.names, found.scales) == (("a", "b"), (0.1, 0.4))
    assert found.share.tolist() == [[0.75, 0.75], [0.25, 0.5]]
    assert (found.subsamples, found.dropped) == (4, 0)


def test_only_whole_pairs_count() -> None:
    failed = half(3) | {"failed": "diverged"}
    found = frequencies(view(half(0, [0], [0]), half(1, [0], []), half(2, [1], [1]), failed))
    assert found is not None
    assert found.share.tolist() == [[1.0, 0.0], [0.5, 0.0]]
    assert (found.subsamples, found.dropped) == (2, 1)
    # 1 and 2 are neighbours and no pair; 11 is the half of 10.
    assert frequencies(view(half(1, [0], [0]), half(2, [0], [0]))) is None
    assert frequencies(view(failed)) is None
    far = frequencies(view(half(10, [0], [0]), half(11, [0], [0]), half(12, [0], [0])))
    assert far is not None
    assert (far.subsamples, far.dropped) == (2, 0)


def test_scales_in_any_order_are_read_weakest_first() -> None:
    order = (0.4, 0.1)
    found = frequencies(view(half(0, [2], [0], scales=order), half(1, [], [0], scales=order)))
    assert found is not None
    assert found.scales == (0.1, 0.4)
    assert found.share.tolist() == [[1.0, 0.5], [0.0, 0.5]]


def test_what_a_run_folder_keeps_is_read() -> None:
    kept = {"names": ["a"], "scale": 0.1, "threshold": 0.9, "used": 2.0, "expected": 0.5}
    found = StableSet.of(StableSetRecord.from_json(kept))
    assert found == StableSet(("a",), 0.1, 0.9, 2.0, 0.5)
    assert (found.dropped, found.errors, found.doubt) == (0, inf, "")


def test_doubt_begins_above_what_was_allowed() -> None:
    assert StableSet(("a",), 0.1, 0.9, 2.0, 1.0, errors=1.0).doubt == ""
    assert "at most 1 false" in StableSet(("a",), 0.1, 0.9, 2.0, 1.01, errors=1.0).doubt


@pytest.mark.parametrize(
    "wrong",
    [
        {"subsamples": 0}, {"subsamples": 1}, {"subsamples": 3}, {"subsamples": 2.5},
        {"threshold": 0.5}, {"threshold": 1.01}, {"errors": 0.0}, {"errors": -1},
    ],
    ids=str,
)  # fmt: skip
def test_no_stability_selection_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(FitError, match=r"out of range|not a whole"):
        Stability(**wrong)
    if "subsamples" not in wrong:
        with pytest.raises(FitError, match="out of range"):
            Frequencies(("a",), (0.1,), np.ones((1, 1)), 4).stable(**wrong)


def test_the_search_for_the_most_used_ends_at_half_a_feature() -> None:
    assert Stability(20, 0.75, 1000.0).most_used(8) == 7.5  # 8 halved four times
    assert Stability(20, 0.75, 1e-12).most_used(8) == 0.0
    middle = expected_false(4.0, 8, 0.75, 10)
    assert 4 <= Stability(20, 0.75, middle).most_used(8) < 4.5  # as many as are allowed


def test_arguments_become_pythons_own() -> None:
    plan = Stability(np.int64(20), np.float64(0.75), np.float64(2.0))  # type: ignore[arg-type]
    assert [type(v) for v in (plan.subsamples, plan.threshold, plan.errors)] == [int, float, float]


def test_rounding_below_the_threshold_is_allowed_for() -> None:
    share = np.array([[0.9 - 1e-9, 0.9 - 2e-9]])
    assert Frequencies(("a", "b"), (0.1,), share, 50).stable(0.9, errors=1e3).names == ("a",)
