"""The tour words what the lesson's room judges: verdicts of made-up networks."""

from dataclasses import replace
from typing import Any

import pytest

from shrinkage.explorer.controls import ColumnChoice, Controls
from shrinkage.explorer.looks import Standing
from shrinkage.explorer.tour import TOUR, Check, View
from shrinkage.explorer.worth import Worth
from shrinkage.lesson import Moves, Slopes, StepFit, Survival

NAMES = ("none", "l1_term", "l1", "l2", "dropout")
CONTROLS = Controls((ColumnChoice("l1", 1e-3),), lr=0.1, batch_size=32, train_size=100)
LAYERS = ((1.0, 0.5), (1.0, 0.5), (1.0, 0.5))


def standing(name: str, **own: Any) -> Standing:
    n = {
        "name": name, "step": 100, "knob": 1e-3, "train": 0.1, "train_score": 0.9, "held": 0.5,
        "held_score": 0.8, "score_name": "accuracy", "penalty": 0.0, "zeros": 0, "size": 100,
        "n_parameters": 100, "left_out": 0, "l1": 10.0, "l2": 2.0, "max_abs": 1.0, "top10": 0.3,
        "gini": 0.4, "activity": 1.0, "loudest": 2.0, "strongest": 0.5, "layers": LAYERS,
        "constant": None, "proportional": None,
    }  # fmt: skip
    return Standing(**(n | own))


def told(title: str, *, worth: Worth | None = None, **own: dict[str, Any]) -> Check:
    """The check of the step whose title begins so; ``own``: what columns have of their own."""
    (step,) = [step for step in TOUR if step.title.startswith(title)]
    points = {name: [standing(name, **own.get(name, {}))] for name in NAMES}
    return step.check(View(points, CONTROLS, worth))


SMALL = {"l1": 5.0, "l2": 1.0, "max_abs": 0.5}
BETTER = {"train": 0.2, "held": 0.4}


@pytest.mark.parametrize(
    ("title", "own", "verdict"),
    [
        ("L1 adds", {"l1": {"penalty": 1e-2}, "l2": {"penalty": 4e-3}}, "seen"),
        ("L1 adds", {"l1": {"penalty": 1e-2}, "l2": {"penalty": 2e-3}}, "not seen"),
        ("Both constrain", {}, "seen"),
        ("Both constrain", {"l1": {"left_out": 10}}, "not seen"),
        ("Both push", {"l1": SMALL, "l2": SMALL}, "seen"),
        ("Both push", {"l1": SMALL | {"max_abs": 1.2}, "l2": SMALL}, "partly"),
        ("Both push", {"l1": SMALL, "l2": SMALL | {"l1": 11.0}}, "not seen"),
        ("That reduces", {"l1": BETTER, "l2": BETTER}, "seen"),
        ("That reduces", {"l1": BETTER, "l2": {"train": 0.5, "held": 0.6}}, "not seen"),
        ("That reduces", {"none": {"held": 0.15}, "l1": BETTER, "l2": BETTER}, "undecided"),
        ("Smaller weights", {"l2": {"layers": ((0.5, 0.4),) * 3}}, "seen"),
        ("Smaller weights", {"l2": {"layers": ((0.5, 0.6),) * 3}}, "partly"),
        ("Smaller weights", {"l2": {"layers": ((1.5, 0.4),) * 3}}, "not seen"),
        ("λ controls", {"l1": {"penalty": 0.11}}, "seen"),
        ("λ controls", {"l1": {"penalty": 0.09}}, "not seen"),
        ("L1 takes", {"l1": {"zeros": 60}}, "seen"),
        ("L1 takes", {"l1": {"zeros": 40}}, "partly"),
        ("L1 takes", {"l1": {"zeros": 60}, "l2": {"zeros": 60}}, "not seen"),
        ("L1 takes", {"l1": {"zeros": 100}}, "not seen"),
        ("L1 concentrates", {"l1": {"top10": 0.6, "gini": 0.7}}, "seen"),
        ("L1 concentrates", {"l1": {"top10": 0.6}}, "not seen"),
        ("L1 and L2", {"l1": {"zeros": 1}}, "seen"),
        ("L1 and L2", {"l2": {"zeros": 1}}, "not seen"),
        ("Dropout", {"dropout": BETTER}, "seen"),
        ("Dropout", {"none": {"held": 0.15}, "dropout": BETTER}, "undecided"),
    ],
)
def test_verdicts_follow_the_numbers(title: str, own: Any, verdict: str) -> None:
    check = told(title, **own)
    assert check.verdict == verdict, check.sentence


def test_not_overfitted_is_said_and_waited_for() -> None:
    assert "Not overfitted yet" in told("That reduces", none={"held": 0.15}).sentence


@pytest.mark.parametrize(("sign", "verdict"), [(1, "seen"), (-1, "not seen")])
def test_a_weight_that_grows_by_λ_is_not_shrunk(sign: int, verdict: str) -> None:
    w, strength = [0.5, -0.2, 1.0], 1e-3
    moves = Moves.of(w, [-sign * strength * (1 if v > 0 else -1) for v in w], 0.1, 1e-16)
    fit = StepFit.constant(moves, strength)
    assert told("L1 shrinks", l1={"constant": fit}).verdict == verdict
    assert told("L1 shrinks").verdict == "not measured"


@pytest.mark.parametrize(
    ("paying", "pull", "within", "verdict"),
    [(10, 1.0, 1.0, "seen"), (10, 0.5, 1.0, "partly"), (10, 1.0, 0.5, "partly"),
     (4, 1.0, 1.0, "not seen"), (10, 1.0, None, "not measured")],
)  # fmt: skip
def test_what_zeros_and_large_weights_are_worth(
    paying: int, pull: float, within: float | None, verdict: str
) -> None:
    worth = Worth(100, Survival(paying, 10, Slopes(pull, 20, within, 0 if within is None else 50)))
    check = told("A large weight", worth=worth)
    assert check.verdict == verdict
    assert ("still shrinks" in check.sentence) is (pull < 0.9)


@pytest.mark.parametrize(
    ("sizes", "verdict"), [((10.0, 4.0), "seen"), ((10.0, 6.0), "partly"), ((4.0, 6.0), "not seen")]
)
def test_both_ends_of_the_dial(sizes: tuple[float, float], verdict: str) -> None:
    ends = standing("l1", knob=1e-4, l1=sizes[0]), standing("l1", knob=1e-2, l1=sizes[1], train=0.3)
    points = [replace(end, step=step) for end in ends for step in (400, 800)]
    points = [replace(p, step=p.step + 800 * (k > 1)) for k, p in enumerate(points)]
    (step,) = [step for step in TOUR if step.title.startswith("A small λ")]
    assert step.check(View({"l1": points}, CONTROLS)).verdict == verdict
