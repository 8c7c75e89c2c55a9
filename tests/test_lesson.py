"""The lesson's claims, judged once: what numbers make of them, for the report and the live page."""

from typing import Any

import pytest

from shrinkage.lesson import (
    About,
    BeatsPruning,
    Calmer,
    Compromise,
    Concentration,
    CostSplit,
    Coverage,
    DifferentWays,
    Ends,
    Exchange,
    Moves,
    Overfitting,
    PenaltyTerm,
    ProportionalStep,
    Removal,
    Selection,
    Slopes,
    Smaller,
    Sparsity,
    Stand,
    StepFit,
    Survival,
    moves,
)
from shrinkage.lesson.estimates import Difference

UP, DOWN = Difference(0.5, 0.01, 3), Difference(-0.5, 0.01, 3)
UNCLEAR = Difference(0.5, 0.5, 3)  # ± 4.3 standard errors
ONE_UP, ONE_DOWN = Difference(0.5, None, 1), Difference(-0.5, None, 1)


@pytest.mark.parametrize(
    ("found", "treatments", "networks"),
    [(UP, "seen", "seen"), (DOWN, "not seen", "not seen"), (UNCLEAR, "undecided", "undecided"),
     (ONE_UP, "undecided", "seen"), (ONE_DOWN, "undecided", "not seen"),
     (Difference(0.0, None, 1), "undecided", "not seen"), (None, "not measured", "not measured")],
)  # fmt: skip
def test_one_seed_speaks_of_its_networks_alone(
    found: Difference | None, treatments: str, networks: str
) -> None:
    assert moves(found, +1, "treatments") == treatments
    assert moves(found, +1, "networks") == networks


@pytest.mark.parametrize(
    ("gap", "loss", "base_gap", "verdict", "reason"),
    [
        (DOWN, DOWN, 0.3, "seen", "less overfitting"),
        (DOWN, UP, 0.3, "not seen", "only worse training"),
        (UP, UP, 0.3, "not seen", "worse loss"),
        (UP, DOWN, 0.3, "not seen", "wider gap"),
        (DOWN, UNCLEAR, 0.3, "undecided", "losses alike"),
        (UNCLEAR, DOWN, 0.3, "undecided", "gaps alike"),
        (UNCLEAR, UNCLEAR, 0.3, "undecided", "both alike"),
        (DOWN, DOWN, 0.01, "seen", "less overfitting"),
        (DOWN, DOWN, 0.0, "undecided", "nothing to reduce"),
        (ONE_DOWN, ONE_DOWN, 0.3, "undecided", "one seed"),
    ],
)
def test_less_overfitting_needs_a_smaller_gap_and_a_lower_loss(
    gap: Difference, loss: Difference, base_gap: float, verdict: str, reason: str
) -> None:
    found = Overfitting(gap, loss, base_gap).finding
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(("base_gap", "verdict"), [(0.1, "seen"), (0.09, "undecided")])
def test_one_network_must_plainly_overfit(base_gap: float, verdict: str) -> None:
    judged = Overfitting(ONE_DOWN, ONE_DOWN, base_gap, about="networks")
    assert judged.finding.verdict == verdict


@pytest.mark.parametrize(
    ("sizes", "verdict"),
    [((DOWN, DOWN, DOWN), "seen"), ((DOWN, DOWN, UP), "partly"), ((DOWN, UP, DOWN), "not seen"),
     ((DOWN, DOWN, UNCLEAR), "undecided"), ((ONE_DOWN, ONE_DOWN, ONE_DOWN), "seen"),
     ((DOWN, None, DOWN), "not measured")],
)  # fmt: skip
def test_sum_norm_and_largest_weight_fall(sizes: tuple[Any, ...], verdict: str) -> None:
    assert Smaller(*sizes).finding.verdict == verdict


@pytest.mark.parametrize(
    ("share", "more", "loss", "dropped", "verdict", "reason"),
    [
        (0.7, UP, DOWN, {0: True}, "seen", ""),
        (0.7, UP, DOWN, {0: True, 1: False}, "partly", ""),
        (0.7, UP, DOWN, {}, "seen", ""),
        (0.3, UP, DOWN, {0: True}, "partly", "few zeros"),
        (0.7, UP, UP, {0: True}, "not seen", "not unimportant"),
        (0.7, UP, UNCLEAR, {0: True}, "undecided", "losses alike"),
        (0.7, UP, -UNCLEAR, {0: True}, "seen", "losses alike"),
        (0.7, UP, ONE_DOWN, {0: True}, "undecided", "one seed"),
        (0.7, None, None, {}, "undecided", "nothing to compare with"),
        (0.7, DOWN, DOWN, {0: True}, "not seen", "no more than others"),
        (0.0, None, DOWN, {0: True}, "not seen", "no zeros"),
        (1.0, UP, DOWN, {0: True}, "not seen", "nothing left"),
    ],
)
def test_zeros_select_where_they_cost_nothing(
    share: float, more: Any, loss: Any, dropped: dict[int, bool], verdict: str, reason: str
) -> None:
    found = Selection(Sparsity(share, more), loss, dropped).finding
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("top10", "gini", "drop", "about", "verdict"),
    [(UP, UP, 0.1, "treatments", "seen"), (UP, UP, -0.1, "treatments", "not seen"),
     (UP, DOWN, None, "treatments", "not seen"), (ONE_UP, ONE_UP, 0.1, "treatments", "undecided"),
     (ONE_DOWN, ONE_UP, 0.1, "treatments", "undecided"), (ONE_UP, ONE_UP, None, "networks", "seen"),
     (ONE_UP, ONE_DOWN, None, "networks", "not seen")],
)  # fmt: skip
def test_few_connections_carry_more(
    top10: Any, gini: Any, drop: float | None, about: About, verdict: str
) -> None:
    assert Concentration(top10, gini, drop, about).finding.verdict == verdict


def step(shrink: Any, *, w: tuple[float, ...] = (0.5, -0.25, 1.0)) -> Moves:
    return Moves.of(w, [-shrink(abs(v)) * (1 if v > 0 else -1) for v in w], 0.01, 1e-16)


def test_a_constant_step_is_told_from_a_proportional_one_and_from_growth() -> None:
    strength = 0.1
    same, share = step(lambda _: strength), step(lambda w: 2 * strength * w)
    grows = step(lambda _: -strength)
    fit = StepFit.constant(same, strength)
    assert (fit.n, fit.low, fit.high, fit.smallest, fit.largest) == (3, 1.0, 1.0, 0.25, 1.0)
    assert fit.finding.verdict == "seen"
    assert StepFit.proportional(share, strength).finding.verdict == "seen"
    assert StepFit.proportional(share, strength).stretch == pytest.approx(2.0)
    assert StepFit.proportional(same, strength).finding.verdict == "not seen"
    assert StepFit.constant(share, strength).finding.verdict == "not seen"
    assert StepFit.constant(grows, strength).finding.verdict == "not seen"
    assert StepFit.constant(grows, strength).stretch is None
    assert StepFit.constant(step(lambda _: 0.0), strength).stretch is None


def test_weights_that_land_on_zero_are_counted_apart_and_rounding_is_allowed_for() -> None:
    landing = Moves.of([1.0, 0.0005, 0.0], [-0.1, -0.05, 0.0], 0.01, 1e-16)
    fit = StepFit.constant(landing, 0.1)
    assert (fit.n, fit.landed, fit.finding.verdict) == (1, 1, "seen")
    coarse = Moves.of([1.0], [0.0], 0.01, 1.2e-7)
    # 1e-8 is lost beside 1 in float32.
    assert StepFit.constant(coarse, 1e-6).finding.verdict == "undecided"


@pytest.mark.parametrize(
    ("zeros", "without", "optimizer", "verdict"),
    [(0.0, 0.0, "adam", "seen"), (0.1, 0.0, "adam", "partly"), (0.1, 0.0, "SGD(lr)", "seen"),
     (0.1, 0.1, "adam", "seen"), (0.1, None, "adam", "partly")],
)  # fmt: skip
def test_zeros_by_division_speak_against_a_proportion(
    zeros: float, without: float | None, optimizer: str, verdict: str
) -> None:
    fit = StepFit.proportional(step(lambda w: 0.2 * w), 0.1)
    assert ProportionalStep(fit, zeros, without, optimizer).finding.verdict == verdict


def test_a_zero_at_the_edge_of_the_penaltys_slope_stays() -> None:
    assert Slopes.of([(0.0, 1.0, 1.0), (0.0, 1.1, 1.0)]).within == 0.5


def slopes(pull: float = 1.0, zero: float = 0.5) -> Slopes:
    return Slopes.of([(1.0, pull, 1.0), (0.5, pull, 1.0), (0.05, 9.0, 1.0), (0.0, zero, 1.0)])


@pytest.mark.parametrize(
    ("rises", "found", "verdict", "reason"),
    [
        ([2, 2, 2, 0], slopes(), "seen", ""),  # the last is no large weight
        ([2, 2, 0, 0], slopes(), "partly", ""),
        ([2, 0, 0, 0], slopes(), "not seen", ""),
        ([2, 2, 2, 0], slopes(pull=0.8), "partly", "still shrinking"),
        ([2, 2, 2, 0], slopes(zero=1.01), "partly", "zeros would leave"),
        ([2, 2], slopes(), "undecided", "too few"),
        ([], slopes(), "not seen", "no weight left"),
    ],
)
def test_large_weights_pay_and_zeros_would_not(
    rises: list[float], found: Slopes, verdict: str, reason: str
) -> None:
    sizes = (1.0, 0.5, 0.1, 0.01)
    tried = [Removal(w, rise * w, w) for w, rise in zip(sizes, rises, strict=False)]
    judged = Survival.of(tried, found).finding
    assert (judged.verdict, judged.reason) == (verdict, reason)


def test_slopes_are_those_of_large_survivors_and_of_zeros() -> None:
    assert slopes(pull=0.7, zero=0.5) == Slopes(0.7, 2, 1.0, 1)
    assert Slopes.of([]) == Slopes(None, 0, None, 0)
    assert Slopes.of([(1.0, 1.0, 0.0), (0.0, 1.0, 0.0)]) == Slopes(None, 1, None, 0)  # λ = 0


@pytest.mark.parametrize(
    ("strong", "verdict"), [((0.5, 4.0), "seen"), ((0.5, 6.0), "partly"), ((0.1, 4.0), "not seen")]
)
def test_the_ends_of_a_path_are_two_different_networks(
    strong: tuple[float, float], verdict: str
) -> None:
    assert Ends(Stand(1e-4, 0.1, 10.0), Stand(1e-2, *strong)).finding.verdict == verdict


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [([1, 2, 3, 3], "seen"), ([1, 2, 3, 2], "partly"), ([1, 0, 3, 2], "not seen")],
)
def test_every_step_along_a_path_buys_weights_with_loss(losses: list[int], verdict: str) -> None:
    assert Exchange([Stand(k, x, 9 - k) for k, x in enumerate(losses)]).finding.verdict == verdict


@pytest.mark.parametrize(
    ("judged", "verdict"),
    [
        (CostSplit(1.000001, 1.0), "seen"),
        (CostSplit(0.5, 1.0), "not seen"),
        (CostSplit(1.0001, 1.0), "not seen"),
        (Coverage(0), "seen"),
        (Coverage(3), "not seen"),
        (PenaltyTerm([{0: 0.1}, {0: 0.2}]), "seen"),
        (PenaltyTerm([{0: 0.1}, {0: 0.3}, {0: 0.2}]), "seen"),
        (PenaltyTerm([{0: 0.2}, {0: 0.1}]), "not seen"),
        (PenaltyTerm([{0: 0.2}]), "not measured"),
        (PenaltyTerm([{0: 0.2}], 0.51), "seen"),
        (PenaltyTerm([{0: 0.2}], 0.5), "not seen"),
        (Calmer([(1, 2), (1, 2), (3, 2)]), "seen"),
        (Calmer([(1, 2), (3, 2)]), "undecided"),
        (Calmer([(1, 2), (3, 2), (3, 2)]), "not seen"),
        (Calmer([(1, 2)]), "undecided"),
        (Calmer([(1, 2)], about="networks"), "seen"),
        (Calmer([]), "not measured"),
        (Compromise(DOWN, UP), "seen"),
        (Compromise(ONE_DOWN, ONE_UP), "seen"),
        (Compromise(DOWN, UNCLEAR), "undecided"),
        (Compromise(DOWN, DOWN), "not seen"),
        (Compromise(None, UP), "not measured"),
        (DifferentWays(ONE_UP), "seen"),
        (DifferentWays(DOWN), "not seen"),
        (BeatsPruning(UP), "seen"),
        (BeatsPruning(ONE_UP), "undecided"),
        (BeatsPruning(-UP), "not seen"),
    ],
)
def test_findings(judged: Any, verdict: str) -> None:
    assert judged.finding.verdict == verdict
