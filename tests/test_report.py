"""The report from hand-made run folders: its sentences must follow the numbers."""

import json
import random
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
import torch
from plotly.offline import get_plotlyjs
from safetensors.torch import save_file

from shrinkage.lesson.estimates import difference
from shrinkage.reports import report_page, table_text
from shrinkage.reports.claims import CLAIMS, Claim, judge
from shrinkage.reports.facts import Facts
from shrinkage.reports.figures import Dots, Line, bars, colour, dots, legend, lines, to_json
from shrinkage.reports.figures.style import COLOURS, lean
from shrinkage.reports.first_layer import FirstLayer, packed
from shrinkage.reports.networks import BINS
from shrinkage.reports.panels import first_screen
from shrinkage.reports.sections import Plot
from shrinkage.reports.sections.survival import survival
from shrinkage.reports.summary import column_summaries
from shrinkage.reports.table import remarks
from shrinkage.reports.words import num, percent
from shrinkage.runs import RunView, StudyConfig

Point = dict[str, Any]
STRENGTHS = (1e-3, 1e-2)
N = 100
COLUMNS = (
    ("none", "learning rate", None, "exact"),
    ("l1_term", "strength", "L1", "term"),
    ("l1", "strength", "L1", "exact"),
    ("l2", "strength", "L2", "exact"),
    ("dropout", "dropout", None, "exact"),
)


def column(name: str, knob: str, penalty: str | None, form: str) -> Point:
    knobs = list(STRENGTHS) if knob == "strength" else [0.5]
    label = {"l1": "L1 exact", "l1_term": "L1 as loss term", "l2": "L2"}.get(name, name)
    return {
        "name": name, "label": label, "knob": knob, "knobs": knobs, "penalty": penalty, "form": form
    }  # fmt: skip


def config(seeds: int) -> Point:
    entry = {"role": "weight", "penalised": True, "reason": "rule '*'"}
    return {
        "command": "contrast",
        "data": {"name": "toy", "task": "classification", "examples": 500,
                 "classes": ["a", "b"], "columns": ["age", "height", "weight", "iq"]},
        "spec": {"n_inputs": 4, "input_shape": [4], "n_outputs": 2},
        "model": {"name": "linear"},
        "training": {"epochs": 2, "batch_size": 32, "optimizer": "sgd", "lr": None},
        "columns": [column(*c) for c in COLUMNS],
        "seeds": seeds,
        "epochs": 2,
        "cut": {"train_size": None, "validation": 0.2, "test": 0.2},
        "choose": "1se",
        "biases": True,
        "norms": False,
        "plan": [
            {"name": "out.weight", "path": "out.weight", "shape": [25, 4], **entry},
            {"name": "out.bias", "path": "out.bias", "shape": [2], **entry | {"role": "bias"}},
        ],
    }  # fmt: skip


def fit(name: str, index: int, knob: float, seed: int, **own: float) -> Point:
    """A fit; ``own``: train, held (losses), zeros, l1, top10, gini, max_abs, unused (inputs)."""
    n = {"train": 0.10, "held": 0.30, "zeros": 0, "l1": 50.0, "top10": 0.3, "gini": 0.4,
         "max_abs": 1.0, "unused": 0} | own  # fmt: skip
    wobble = 0.001 * seed
    l2 = n["l1"] / 10
    penalty = {"l1": knob * n["l1"], "l1_term": knob * n["l1"], "l2": knob * l2**2}.get(name, 0.0)
    score = 1 - n["held"] / 3
    weights = {
        "name": "total", "shape": [N], "size": N, "zeros": n["zeros"], "nonzeros": N - n["zeros"],
        "l1": n["l1"], "l2": l2, "max_abs": n["max_abs"], "top1": n["top10"] / 5,
        "top10": n["top10"], "gini": n["gini"], "units": 2, "zero_units": 0,
    }  # fmt: skip
    held = n["held"] + wobble
    return {
        "kind": "fit", "key": f"{name}/{index}/{seed}", "column": name, "index": index,
        "knob": knob, "seed": seed, "keep": None,
        "train": {"loss": n["train"] + wobble, "score": 0.98},
        "validation": {"loss": held, "score": score, "chunks": [held]},
        "score_name": "accuracy", "penalty": penalty,
        "penalty_share": penalty / (penalty + n["train"]), "weights": weights,
        "n_parameters": N, "nonzero_parameters": N - n["zeros"],
        "layers": [weights | {"name": "out.weight"}],
        "reach": {"inputs": 4, "inputs_unused": n["unused"], "units": 2, "units_dead": 0},
        "history": {"epoch": [1, 2], "train_loss": [0.7, n["train"]],
                    "validation_loss": [0.7, held],
                    "train_score": [0.5, 0.98], "validation_score": [0.5, score],
                    "penalty": [penalty, penalty], "nonzeros": [N, N]},
    }  # fmt: skip


GOOD: dict[str, list[dict[str, float]]] = {
    "none": [{"train": 0.01, "held": 0.40}],
    "l1_term": [{"train": 0.05, "held": 0.32, "l1": 40}, {"train": 0.09, "held": 0.33, "l1": 21,
                                                        "max_abs": 0.9}],
    "l1": [
        {"train": 0.05, "held": 0.31, "l1": 30, "zeros": 40, "top10": 0.5, "gini": 0.6},
        {"train": 0.09, "held": 0.30, "l1": 20, "zeros": 70, "top10": 0.7, "gini": 0.8,
         "max_abs": 0.9, "unused": 1},
    ],
    "l2": [{"train": 0.05, "held": 0.30, "l1": 40}, {"train": 0.09, "held": 0.31, "l1": 30,
                                                   "max_abs": 0.6}],
    "dropout": [{"train": 0.06, "held": 0.32}],
}  # fmt: skip


def steps(name: str, strength: float, shrink: Callable[[float], float]) -> Point:
    after = [0.05 * k for k in range(-20, 21) if k]
    delta = [-shrink(abs(w)) * (1 if w > 0 else -1) for w in after]
    key = f"{name}/1/0"
    return {"kind": "steps", "key": key, "lr": 0.01, "w": after, "after": after, "delta": delta}


def certificate(name: str, index: int, seed: int, **own: float | None) -> Point:
    parts = {"out.weight": {"gap": 0.5, "residual": 5e-3, "nonzeros": 30, "size": N},
             "out.bias": {"gap": 0.7, "residual": 7e-3, "nonzeros": 2, "size": 2}}  # fmt: skip
    return {
        "kind": "certificate", "key": f"{name}/{index}/{seed}", "objective": 0.4 + seed / 100,
        "null_objective": 0.69, "gap": 0.7, "kink_gap": None if seed else 0.123, "samples": 20,
        "radius": 1e-4, "residual": 7e-3, "per_parameter": parts, "examples": 320,
        "kinks_up_to": 1000, "notes": [],
    } | own  # fmt: skip


def trace(name: str, strength: float, *, worth: bool, rise: float = 2.0, active: float = 1.0,
          without: float = 0.5) -> Point:  # fmt: skip
    squares = name == "l2"
    w = [0.0, 0.1, 0.2, 0.5, 1.0] if name == "l1" else [0.1, 0.2, 0.5, 1.0]
    slope = [2 * strength * v if squares else strength if v else 0.3 * strength for v in w]
    saved = [strength * (v * v if squares else v) for v in w]
    survivors = [{"w": v, "rise": rise * s, "saved": s} for v, s in zip(w, saved, strict=True) if v]
    index = 1 if worth else 0
    return {
        "kind": "trace", "key": f"{name}/{index}/0",
        "history": {"epoch": [1, 2], "train_loss": [0.7, 0.1], "test_loss": [0.7, 0.3],
                    "test_score": [0.5, 0.9]},
        "activity": [{"name": layer, "mean_abs": active, "strongest_share": active / 4}
                     for layer in ("a", "b", "c")],
        "without_top": {"0.01": 0.8, "0.1": without},
        "worth": {"w": w, "grad": slope, "survivors": survivors} if worth else None,
        "inputs_used": [True] * 4,
    }  # fmt: skip


def made(
    folder: Path,
    table: dict[str, list[dict[str, float]]] = GOOD,
    *,
    seeds: int = 3,
    finished: bool = True,
    test: bool = True,
    shrink_l1: Callable[[float], float] = lambda _: 1e-2,
    shrink_l2: Callable[[float], float] = lambda w: 2e-2 * w,
    rise: float = 2.0,
    without: float = 0.5,
) -> RunView:
    """A run folder of four columns that does what the lesson says, unless told otherwise."""
    setting = config(seeds)
    by_name = {c["name"]: c for c in setting["columns"]}
    points = [
        fit(name, index, by_name[name]["knobs"][index], seed, **own)
        for name, tries in table.items()
        for index, own in enumerate(tries)
        for seed in range(seeds)
    ]
    choices = {
        name: {"index": len(tries) - 1, "knob": by_name[name]["knobs"][len(tries) - 1]}
        for name, tries in table.items()
        if tries
    }
    if finished and test:
        held = [(p["key"], p["validation"]) for p in points]
        points += [
            {"kind": "test", "key": k, "loss": v["loss"], "score": v["score"], "n": 100}
            for k, v in held
        ]
        for name in ("l1_term", "l1", "l2"):
            points.append(trace(name, 1e-2, worth=True, rise=rise, active=0.5, without=without))
        points.append(trace("none", 0.0, worth=False))
        points += [steps("l1", 1e-2, shrink_l1), steps("l1_term", 1e-2, shrink_l1)]
        points.append(steps("l2", 1e-2, shrink_l2))
    decisions = {"choices": choices, "finished": True} if finished else {}
    return RunView(folder, setting, decisions, tuple(points))


def swapped(table: dict[str, list[dict[str, float]]], a: str, b: str) -> Any:
    """The last tries of two columns, exchanged."""
    result = deepcopy(table)
    result[a][-1], result[b][-1] = result[b][-1], result[a][-1]
    return result


def changed(name: str, **own: float) -> Any:
    """Every try of one column, with these numbers."""
    result = deepcopy(GOOD)
    result[name] = [row | own for row in result[name]]
    return result


# What the lesson says is seen where the numbers say so …

SEEN = tuple(name for name in CLAIMS if name != "pruning")


@pytest.mark.parametrize("name", SEEN)
def test_a_run_that_does_what_the_lesson_says(name: str, tmp_path: Path) -> None:
    claim = judge(made(tmp_path))[name]
    assert claim.verdict == "seen", claim.sentence
    assert "ot seen here" not in claim.sentence
    assert re.search(r"\d", claim.sentence)


def test_every_sentence_is_one_sentence(tmp_path: Path) -> None:
    for claim in judge(made(tmp_path)).values():
        assert claim.sentence.endswith(".")
        assert ".." not in claim.sentence
        assert claim.sentence[0] == claim.sentence[0].upper()


def test_nothing_is_fixed_text(tmp_path: Path) -> None:
    other = {k: [row | {"l1": row.get("l1", 50) * 2} for row in v] for k, v in GOOD.items()}
    before, after = judge(made(tmp_path)), judge(made(tmp_path, other))
    assert before["smaller"].sentence != after["smaller"].sentence
    assert before["cost_split"].sentence != after["cost_split"].sentence


# … and not where they do not: saboteurs.


def saboteur(tmp_path: Path, name: str, **how: Any) -> Claim:
    claim = judge(made(tmp_path, **how))[name]
    assert claim.verdict == "not seen", claim.sentence
    assert claim.sentence.startswith("Not seen here")
    return claim


@pytest.mark.parametrize("name", ["overfitting", "selection", "concentration", "activations"])
def test_none_and_l1_swapped_flips_the_sentence(name: str, tmp_path: Path) -> None:
    view = made(tmp_path, swapped(GOOD, "none", "l1"))
    if name == "activations":
        for point in view.points:
            if point["kind"] == "trace":
                for layer in point["activity"]:
                    layer["mean_abs"] = 1.5 - layer["mean_abs"]
    claim = judge(view)[name]
    assert claim.verdict == "not seen", claim.sentence
    assert claim.sentence.startswith("Not seen here")


def test_l1_and_l2_swapped(tmp_path: Path) -> None:
    saboteur(tmp_path, "in_different_ways", table=swapped(GOOD, "l1", "l2"))


def test_shrinking_at_random_is_not_regularization(tmp_path: Path) -> None:
    """Zeros that cost accuracy: the gap closes because training is worse."""
    table = deepcopy(GOOD)
    table["l1"] = [
        {"train": 1.5, "held": 1.6, "l1": 30, "zeros": 40}, {"train": 1.9, "held": 2.0, "l1": 9,
                                                             "zeros": 70},
    ]  # fmt: skip
    gap = saboteur(tmp_path, "overfitting", table=table)
    assert "worse test loss" in gap.sentence
    assert "only worse training" in gap.sentence
    assert "not unimportant" in saboteur(tmp_path, "selection", table=table).sentence


def test_a_dead_network_selects_nothing(tmp_path: Path) -> None:
    table = changed("l1", zeros=N, held=0.4, train=0.4, l1=0)
    assert "nothing is left" in saboteur(tmp_path, "selection", table=table).sentence


def test_no_zeros_are_no_selection(tmp_path: Path) -> None:
    saboteur(tmp_path, "selection", table=changed("l1", zeros=0))


def test_zeros_that_none_has_too(tmp_path: Path) -> None:
    saboteur(tmp_path, "selection", table=changed("none", zeros=90))


@pytest.mark.parametrize(
    ("unused", "told"),
    [
        ({"l1": 0}, "but no input is dropped: 4 of 4 inputs are still used;"),
        ({"l1": 2, "none": 2},
         "but no input is dropped: 2 of 4 inputs are still used, no fewer than under none;"),
    ],
)  # fmt: skip
def test_zeros_that_leave_every_input_in_use_are_half_of_it(
    unused: dict[str, int], told: str, tmp_path: Path
) -> None:
    table = deepcopy(GOOD)
    for name, count in unused.items():
        table[name] = [row | {"unused": count} for row in table[name]]
    claim = judge(made(tmp_path, table))["selection"]
    assert claim.verdict == "partly"
    assert claim.sentence.startswith("Seen in part: ")
    assert told in claim.sentence


def test_inputs_dropped_in_some_seeds_are_told(tmp_path: Path) -> None:
    view = made(tmp_path)
    for point in view.points:
        if point["key"].startswith("l1/1/") and point["kind"] == "fit" and point["seed"]:
            point["reach"]["inputs_unused"] = 0
    claim = judge(view)["selection"]
    assert claim.verdict == "partly"
    told = "3.7 of 4 inputs are still used, fewer than under none in 1 of 3 seeds"
    assert told in claim.sentence


def test_inputs_that_are_not_known_to_be_used_are_not_judged(tmp_path: Path) -> None:
    view = made(tmp_path)
    for point in view.points:
        if point["kind"] == "fit":
            point["reach"] = None
    claim = judge(view)["selection"]
    assert claim.verdict == "seen"
    assert "inputs" not in claim.sentence


def test_weights_that_grow(tmp_path: Path) -> None:
    table = deepcopy(GOOD)
    table["l2"].reverse()
    assert "does not fall" in saboteur(tmp_path, "smaller", table=table).sentence
    saboteur(tmp_path, "compromise", table=table)


def test_a_penalty_of_another_formula(tmp_path: Path) -> None:
    view = made(tmp_path)
    for point in view.points:
        if point.get("column") == "l2":
            point["penalty"] /= 2  # ½·λ·Σw²
    claim = judge(view)["cost_split"]
    assert claim.verdict == "not seen"
    assert "50.0 %" in claim.sentence


@pytest.mark.parametrize(
    ("claim", "how"),
    [
        ("constant_step", {"shrink_l1": lambda w: 2e-2 * w}),
        ("constant_step", {"shrink_l1": lambda w: -1e-2}),
        ("constant_step", {"shrink_l1": lambda w: 2e-2}),
        ("proportional_step", {"shrink_l2": lambda w: 1e-2}),
        ("proportional_step", {"shrink_l2": lambda w: 1e-2 * w}),
        ("survival", {"rise": 0.5}),
        ("concentration", {"without": 0.95}),
    ],
)
def test_other_numbers_are_told(claim: str, how: dict[str, Any], tmp_path: Path) -> None:
    saboteur(tmp_path, claim, **how)


def test_noise_cannot_be_told_apart(tmp_path: Path) -> None:
    view = made(tmp_path)
    draw = random.Random(0)  # noqa: S311
    for point in view.points:
        if point["kind"] == "test" and point["key"].startswith(("l1", "l2")):
            point["loss"] = 0.4 + draw.gauss(0, 0.5)
    claim = judge(view)["overfitting"]
    assert claim.verdict == "undecided"
    assert "which a paired t test over 3 seeds cannot tell from 0" in claim.sentence


def test_it_is_said_what_cannot_be_told_apart(tmp_path: Path) -> None:
    view = made(tmp_path)
    for point in view.points:
        if point["kind"] == "fit":
            point["weights"]["max_abs"] = 1.0 - 0.1 * point["index"] * point["seed"]
    claim = judge(view)["smaller"]
    doubt = "max|w| 1 → 0.9 (a paired t test over 3 seeds cannot tell the two values apart)"
    assert claim.verdict == "undecided"
    assert doubt in claim.sentence


@pytest.mark.parametrize("name", ["overfitting", "selection", "concentration", "dropout"])
def test_one_seed_decides_nothing_between_columns(name: str, tmp_path: Path) -> None:
    claim = judge(made(tmp_path, seeds=1))[name]
    assert claim.verdict == "undecided"
    assert "one seed: no uncertainty" in claim.sentence


def test_nothing_is_claimed_before_the_choice(tmp_path: Path) -> None:
    view = made(tmp_path, finished=False)
    for name, claim in judge(view).items():
        if CLAIMS[name].of_choice:
            assert claim.verdict in ("undecided", "not measured"), claim.sentence
    assert "validation loss" in judge(view)["overfitting"].sentence


def test_pruning_beside_l1(tmp_path: Path) -> None:
    def view(loss: float) -> RunView:
        table = {**GOOD, "dropout": [{"train": 0.05, "held": loss, "zeros": 70}]}
        result = made(tmp_path, table)
        for point in result.points:
            if point.get("column") == "dropout":
                point["keep"] = 30
        return result

    assert judge(view(0.5))["pruning"].verdict == "seen"
    assert judge(view(0.1))["pruning"].verdict == "not seen"
    assert judge(made(tmp_path))["pruning"].verdict == "not measured"


def certified(folder: Path, **own: float | None) -> RunView:
    """A run with certificates of L1, its last try, and of none."""
    view = made(folder)
    plain = {"gap": None, "kink_gap": None}
    more = [certificate("l1", 1, seed, **own) for seed in range(3)]
    more += [certificate("none", 0, seed, **plain) for seed in range(3)]
    return RunView(folder, view.config, view.decisions, (*view.points, *more))


def section(view: RunView, name: str) -> str:
    (found,) = re.findall(rf'<section id="{name}">.*?</section>', report_page(view), re.S)
    return str(found)


def test_certificates_are_shown_as_they_were_stored(tmp_path: Path) -> None:
    html = section(certified(tmp_path), "stationary")
    cells = [">0.41 ± 0.01<", ">0.69 ± 0<", ">0.7 ± 0<", ">out.bias<", ">0.123, plain 0.7<"]
    assert all(cell in html for cell in cells), html
    assert "of 20 gradients close by" in html
    assert "learnt" not in html
    assert "not below that of the best constant prediction in" not in html
    text = table_text(certified(tmp_path), 150)
    assert re.search(r"L1 exact .* 0\.7 ± 0\n", text)
    assert "KKT gap: how far from stationary" in text


def test_large_gaps_are_plain_numbers(tmp_path: Path) -> None:
    view = certified(tmp_path)
    gaps = iter((1210.0, 2410.0, 3010.0))
    for point in view.points:
        if point["kind"] == "certificate" and point["gap"] is not None:
            point["gap"] = next(gaps)
    assert re.search(r"L1 exact .* 2,210 ± 917\n", table_text(view, 150))


def test_figures_are_never_cut_for_long_names(tmp_path: Path) -> None:
    view = certified(tmp_path)
    view.config["columns"][-1]["label"] = "a column of my own with a long name " * 3
    view.config["model"]["name"] = "somewhere/deep/net.py:make_the_network" * 2
    text = table_text(view, 110)
    assert "…" not in text
    assert all(head in text for head in ("KKT gap", "gap in loss", "inputs used"))


def test_a_run_of_before_certificates_is_shown_without(tmp_path: Path) -> None:
    view = made(tmp_path)
    assert "best constant" not in section(view, "stationary")
    assert "KKT gap:" not in table_text(view, 150)
    assert re.search(r"L1 exact .* —\n", table_text(view, 150))


def test_an_objective_that_a_constant_beats_is_told(tmp_path: Path) -> None:
    view = certified(tmp_path, null_objective=0.41)  # of three seeds' 0.40, 0.41 and 0.42
    for text in (table_text(view, 300), section(view, "stationary")):
        assert "L1 exact: the objective" in text
        assert "constant prediction in 2 of 3 seeds" in text
    assert "none: the objective" not in table_text(view, 300)


def test_slopes_are_drawn_as_they_were_stored(tmp_path: Path) -> None:
    """Zeros at the left edge, the penalty's slope as a line, and how many of how many."""
    view = made(tmp_path)
    (worth,) = [p["worth"] for p in view.points if p["kind"] == "trace" and "l1/" in p["key"]]
    worth |= {"slope": [0.02] * 5, "of": {"zeros": 1234, "survivors": 4}}
    figure, _ = _survival_plots(view, "L1 exact")
    assert "4 of 4 weights left and 1 of 1,234 zeros" in figure.caption
    alive, zeros, line = figure.figure.data
    assert list(alive.x) == [0.1, 0.2, 0.5, 1.0]
    assert set(zeros.x) < set(line.x)
    assert max(zeros.x) < min(alive.x)
    assert set(line.y) == {0.02}
    assert "is 0.5·λ (it would be 1 at rest; with less," in judge(view)["survival"].sentence
    worth["slope"] = None
    view = RunView(view.folder, view.config, view.decisions, view.points)
    assert set(_survival_plots(view, "L1 exact")[0].figure.data[2].y) == {0.01}
    assert "is 1·λ, and 100 % of 1 zeros" in judge(view)["survival"].sentence
    squares, _ = _survival_plots(view, "L2")
    assert list(squares.figure.data[1].y) == [2e-3, 4e-3, 1e-2, 2e-2]


@pytest.mark.parametrize(
    ("pull", "rise", "verdict"),
    [(0.0, 2.0, "partly"), (0.185, 2.0, "partly"), (0.95, 2.0, "seen"), (1.44, 2.0, "seen"),
     (1.0, 0.5, "not seen")],
)  # fmt: skip
def test_weights_that_the_loss_does_not_hold_are_half_the_evidence(
    pull: float, rise: float, verdict: str, tmp_path: Path
) -> None:
    view = made(tmp_path, rise=rise)
    for point in view.points:
        if point["kind"] == "trace" and point["worth"]:
            point["worth"]["grad"] = [pull * g for g in point["worth"]["grad"]]
    claim = judge(view)["survival"]
    assert claim.verdict == verdict, claim.sentence
    assert f"median |∂loss/∂w| is {num(pull)}·λ" in claim.sentence


@pytest.mark.parametrize(("worth_it", "verdict"), [(4, "seen"), (3, "partly"), (1, "not seen")])
def test_the_share_of_weights_worth_their_cost_decides(
    worth_it: int, verdict: str, tmp_path: Path
) -> None:
    view = made(tmp_path)
    for point in view.points:
        if point["kind"] == "trace" and point["worth"]:
            for survivor in point["worth"]["survivors"][worth_it:]:
                survivor["rise"] = 0.0
    assert judge(view)["survival"].verdict == verdict


def test_zeros_that_would_leave_are_half_the_evidence(tmp_path: Path) -> None:
    view = made(tmp_path)
    for point in view.points:
        if point["kind"] == "trace" and point["key"].startswith("l1/"):
            point["worth"]["grad"][0] = 1.05e-2  # of the one zero; λ is 1e-2
    claim = judge(view)["survival"]
    assert claim.verdict == "partly"
    assert "0 % of 1 zeros have at most λ, so that the others would leave zero" in claim.sentence


def test_less_overfitting_needs_overfitting(tmp_path: Path) -> None:
    claim = judge(made(tmp_path, changed("none", train=0.5, held=0.4)))["overfitting"]
    assert claim.verdict == "undecided"
    assert "with nothing to reduce: without a penalty the gap is −0.1" in claim.sentence


def test_few_zeros_are_no_sparse_model(tmp_path: Path) -> None:
    claim = judge(made(tmp_path, changed("l1", zeros=30)))["selection"]
    assert claim.verdict == "partly"
    assert "less than half of them" in claim.sentence
    assert "less than half" not in judge(made(tmp_path))["selection"].sentence


def test_tiny_weights_do_not_stretch_the_axes(tmp_path: Path) -> None:
    """As Adam makes them under L2, where only the penalty moves a weight; zeros among them."""
    view = made(tmp_path)
    (worth,) = [p["worth"] for p in view.points if p["kind"] == "trace" and "l2/" in p["key"]]
    tiny = {"w": 1e-20, "rise": 0.0, "saved": 1e-42}
    worth["survivors"].append(tiny)
    for key, values in {"w": [1e-20, *[0.0] * 9], "grad": [0.0] * 10}.items():
        worth[key] = [*values, *worth[key]]
    left, right = _survival_plots(view, "L2")
    for plot in (left, right):
        assert "1 below 10⁻⁸ of the largest are left out" in plot.caption
        assert min(v for trace in plot.figure.data for v in trace.x) > 1e-3
        assert len(plot.figure.layout.xaxis.tickvals) <= 6
    assert min(v for trace in left.figure.data for v in trace.y) > 1e-7


@pytest.mark.parametrize(
    ("optimizer", "verdict", "why"),
    [
        ("adam", "partly", "divide a step by the size of the gradient"),
        ("sgd", "seen", "by the same factor at every step"),
    ],
)
def test_exact_zeros_under_l2_are_explained(
    optimizer: str, verdict: str, why: str, tmp_path: Path
) -> None:
    view = made(tmp_path, changed("l2", zeros=2))
    view.config["training"]["optimizer"] = optimizer
    claim = judge(view)["proportional_step"]
    told = "L2 ends with 6 exact zeros among 300 penalised weights of 3 seeds (2.0 %): "
    assert claim.verdict == verdict
    assert told in claim.sentence
    assert why in claim.sentence
    assert told in section(view, "zeros")


def test_zeros_that_none_has_too_are_not_l2s(tmp_path: Path) -> None:
    view = made(tmp_path, changed("l2", zeros=2) | {"none": [GOOD["none"][0] | {"zeros": 2}]})
    assert judge(view)["proportional_step"].verdict == "seen"


def _survival_plots(view: RunView, label: str) -> list[Plot]:
    return [p for p in survival(Facts(view)).plots if p.caption.startswith(f"{label}")]


def test_biases_left_out_are_named(tmp_path: Path) -> None:
    view = made(tmp_path)
    view.config["plan"][1]["penalised"] = False
    claim = judge(view)["coverage"]
    assert claim.verdict == "not seen"
    assert "out.bias" in claim.sentence
    assert "--biases" in claim.sentence


def test_differences_are_paired_by_seed() -> None:
    found = difference({0: 1.0, 2: 3.0}, {0: 0.5, 1: 9.0, 2: 2.5})
    assert found is not None
    assert (found.mean, found.se, found.n, found.sign) == (0.5, 0.0, 2, 1)
    assert difference({0: 1.0}, {1: 1.0}) is None
    one = difference({0: 1.0}, {0: 2.0})
    assert one is not None
    assert one.sign is None


# The page, from any folder.


def check_page(html: str) -> None:
    assert html.startswith("<!doctype html>")
    assert len(html.encode()) < 8_000_000
    for script in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S):
        json.loads(script, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    own = html.replace(get_plotlyjs(), "")
    assert not re.search(r'(?:src|href)="(?:https?:)?//', own)


def test_a_finished_page(tmp_path: Path) -> None:
    html = report_page(made(tmp_path))
    check_page(html)
    assert 'http-equiv="refresh"' not in html
    assert "running:" not in html
    for statement in CLAIMS.values():
        assert escape(statement.text) in html


def test_a_running_page_says_so(tmp_path: Path) -> None:
    html = report_page(made(tmp_path, {"none": GOOD["none"]}, finished=False, seeds=2))
    check_page(html)
    assert '<meta http-equiv="refresh" content="10">' in html
    assert "running: 2 of 16 fits so far" in html
    assert "nothing is chosen yet" in html


@pytest.mark.parametrize("count", range(0, 56, 5))
def test_any_partial_folder(count: int, tmp_path: Path) -> None:
    whole = made(tmp_path)
    points = list(whole.points)
    random.Random(count).shuffle(points)  # noqa: S311
    for decisions in ({}, {"choices": whole.decisions["choices"]}, whole.decisions):
        view = RunView(tmp_path, whole.config, decisions, tuple(points[:count]))
        check_page(report_page(view))


def test_failed_fits_and_columns_that_do_not_apply(tmp_path: Path) -> None:
    view = made(tmp_path, {k: v for k, v in GOOD.items() if k != "dropout"})
    failed = [
        {"kind": "fit", "key": f"dropout/0/{seed}", "column": "dropout", "index": 0, "knob": 0.5,
         "seed": seed, "keep": None, "failed": "dropout is not applicable: no layers",
         "applies": False}
        for seed in range(3)
    ]  # fmt: skip
    gone = [
        {**{k: p[k] for k in ("kind", "key", "column", "index", "knob", "seed", "keep")},
         "failed": "training diverged", "applies": True}
        for p in view.points
        if p["key"].startswith("l1/0") and p["kind"] == "fit"
    ]  # fmt: skip
    kept = [p for p in view.points if not p["key"].startswith("l1/0")]
    view = RunView(tmp_path, view.config, view.decisions, (*kept, *failed, *gone))
    assert judge(view)["dropout"].verdict == "not measured"
    html = report_page(view)
    check_page(html)
    assert "dropout is not applicable" in html
    assert "training diverged" in html
    how = section(view, "making")
    assert "<dt>failed fits</dt><dd>3: l1/0/0, l1/0/1 and l1/0/2</dd>" in how
    assert "<dt>not applicable</dt><dd>dropout: no layers</dd>" in how


@pytest.mark.parametrize(
    ("seeds", "why"),
    [
        (1, "More seeds, so that differences have a standard error:"),
        (2, "More seeds: with 2 a difference is told from 0 where it exceeds 12.7 standard errors, "
            "with 5 where it exceeds 2.78:"),
    ],
)  # fmt: skip
def test_suggestions_name_every_option_once(seeds: int, why: str, tmp_path: Path) -> None:
    view = made(tmp_path, seeds=seeds)
    view.decisions["command"] = f"shrinkage contrast 'a b.csv' --seeds {seeds} --epochs=2 --biases"
    told = section(view, "next")
    assert why in told
    assert "shrinkage contrast &#x27;a b.csv&#x27; --epochs=2 --biases --seeds 5<" in told
    assert f"--seeds {seeds} --biases --epochs 8<" in told


def test_many_seeds_need_no_more(tmp_path: Path) -> None:
    assert "More seeds" not in section(made(tmp_path, seeds=3), "next")


def test_numbers_that_are_missing(tmp_path: Path) -> None:
    """A loss that overflowed is null in the run folder."""
    view = made(tmp_path)
    for point in view.points:
        if point["key"].startswith("l2/0"):
            for part in ("train", "validation"):
                if part in point:
                    point[part]["loss"] = None
            if "loss" in point:
                point["loss"] = None
        if point["kind"] in ("steps", "trace") and "delta" in point:
            point["delta"][0] = None
    check_page(report_page(view))


def test_names_are_escaped(tmp_path: Path) -> None:
    view = made(tmp_path)
    evil = "</script><script>alert('x')</script><img src=x onerror=alert(1)>&\"'"
    view.config["data"]["name"] = view.config["model"]["name"] = evil
    view.config["data"]["columns"] = [evil + str(k) for k in range(4)]
    view.config["columns"][2]["label"] = evil
    view.config["plan"][0]["name"] = evil
    for seed in range(3):
        (tmp_path / "weights").mkdir(exist_ok=True)
        weights = {"out.weight": torch.ones(25, 4), "out.bias": torch.zeros(2)}
        save_file(weights, tmp_path / "weights" / f"l1_1_{seed}.safetensors")
    html = report_page(view)
    check_page(html)
    assert "<script>alert" not in html
    assert "<img src=x" not in html


def test_a_custom_column_has_a_colour_of_its_own() -> None:
    names = ["none", "mine", "yours"]
    assert len({colour(name, names) for name in names}) == 3
    assert colour("l1", names) == COLOURS["l1"]


# The first screen's pictures.


def test_histograms_count_every_penalised_weight_once(tmp_path: Path) -> None:
    weights = torch.linspace(-1, 1, 100).reshape(25, 4)
    weights[:, 0] = 0.0
    (tmp_path / "weights").mkdir()
    save_file({"out.weight": weights, "out.bias": torch.tensor([0.0, 0.5])},
              tmp_path / "weights" / "l1_1_0.safetensors")  # fmt: skip
    screen = first_screen(Facts(made(tmp_path)))
    (panel,) = [p for p in screen["panels"] if p["name"] == "l1"]
    counts = panel["tries"][1]["hist"]
    assert len(counts) == BINS
    assert sum(counts) == int((weights != 0).sum()) + 1
    assert panel["tries"][1]["first"]["bars"][-1] == 0
    assert panel["tries"][1]["first"]["used"] == "3 of 4 columns used"
    assert "hist" not in panel["tries"][0]  # its weights are not there


def test_only_exact_zeros_are_packed_as_zero() -> None:
    import base64

    import numpy as np

    data = np.array([0.0, 1e-9, -1e-9, 1.0, -1.0])
    found = np.frombuffer(base64.b64decode(packed(data, 1.0)), dtype=np.int8)
    assert found.tolist() == [0, 1, -1, 127, -127]


@pytest.mark.parametrize(
    ("shape", "image", "kind"),
    [
        ([16, 1, 3, 3], [1, 8, 8], "kernels"),
        ([16, 3, 3, 3], [3, 8, 8], "kernels"),
        ([10, 64], [1, 8, 8], "neurons"),
        ([10, 4], [4], "columns"),
        ([10, 7, 3], [7, 20], None),
        ([10, 5], [20], None),
    ],
)
def test_first_layers(shape: list[int], image: list[int], kind: str | None) -> None:
    setting = config(1)
    setting["plan"][0]["shape"] = shape
    setting["spec"]["input_shape"] = image
    layer = FirstLayer.of_run(StudyConfig.from_json(setting))
    assert (None if layer is None else layer.kind) == kind
    if layer is not None:
        picture = layer.picture({"out.weight": torch.randn(shape).numpy()})
        assert picture is not None
        assert layer.describe([picture])["kind"] == kind
        assert layer.encode(picture, [picture])


# Figures and numbers.


def test_figures_are_lean_and_strict_json() -> None:
    series = [Line("a", "#123456", [1e-3, 1e-2], [0.123456789, None])]
    made_lines = lines(series, y="loss")
    data = json.loads(to_json(made_lines))
    assert data["data"][0]["y"] == [0.1235, None]
    assert "bdata" not in to_json(made_lines)
    assert lean([float("inf"), float("nan"), None, 0, -1234567.0]) == [
        None,
        None,
        None,
        0,
        -1235000,
    ]
    cloud = dots([Dots("</script>", "#123456", [1.0], [2.0])], x="x", y="y")
    assert "</script>" not in to_json(cloud)


def test_legends_name_what_is_drawn() -> None:
    made_bars = bars(["x"], {"a": ("#111111", [1.0]), "b": ("#222222", [2.0])}, y="y")
    assert legend(made_bars) == [("a", "#111111", "box"), ("b", "#222222", "box")]
    level = Line("none", "#333333", [0], [1.0], level=True)
    line = Line("l1", "#444444", [1, 2], [1.0, 2.0], chosen=1)
    found = legend(lines([line, level], y="y"))
    assert found == [("l1", "#444444", "solid"), ("none", "#333333", "dash")]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([300, 480, 1005], "300 500 700 1,000"),  # plotly labelled these with a lone 5
        ([420, 980], "500 600 700 800 900"),
        ([500], "100 300 1,000 3,000"),
        ([3e-4, 1e-3, 3e-3, 1e-2], "0.0003 0.001 0.003 0.01"),
        ([1e-20, 1e-3, None, 0.0, 1.0], "10⁻²⁰ 10⁻¹⁶ 10⁻¹² 10⁻⁸ 10⁻⁴ 1"),
        ([4800, 5118], "4,800 4,900 5,000 5,100"),
    ],
)
def test_logarithmic_axes_have_a_few_whole_numbers(values: list[Any], text: str) -> None:
    cloud = Dots("a", "#123456", values, values)
    made_dots = dots([cloud], x="x", y="y", log_x=True, log_y=True)
    for axis in (made_dots.layout.xaxis, made_dots.layout.yaxis):
        assert " ".join(axis.ticktext) == text
        assert len(axis.tickvals) == len(axis.ticktext) <= 6


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.5, "1,234"), (-0.0204, "−0.0204"), (0.00012345, "0.000123"), (None, "—"),
     (99.96, "100"), (2.5e8, "2.5·10⁸")],
)  # fmt: skip
def test_numbers_in_words(value: float | None, text: str) -> None:
    assert num(value) == text


def test_percentages_do_not_round_away() -> None:
    assert percent(1 - 1e-6) == "> 99.9 %"
    assert percent(1e-6) == "< 0.1 %"
    assert percent(1.0) == "100 %"


def test_three_seeds_need_more_than_two_standard_errors() -> None:
    barely = difference({0: 1.0, 1: 2.0, 2: 3.6}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert barely is not None
    assert barely.se is not None
    assert barely.mean > 2 * barely.se
    assert barely.half_width == pytest.approx(4.302653 * barely.se)  # t table, 2 degrees of freedom
    assert barely.sign == 0


@pytest.mark.parametrize("own", [True, False])
def test_another_learning_rate_is_recommended_where_it_can_be_set(
    tmp_path: Path, *, own: bool
) -> None:
    view = made(tmp_path)
    if own:
        training = {"name": "your own", "fingerprint": "0"}
        view = RunView(tmp_path, {**view.config, "training": training}, view.decisions, view.points)
    rows = [
        replace(row, value=2.0) if row.name == "none" else row for row in column_summaries(view)
    ]
    (said,) = (note for note in remarks(view, rows) if "none validated best" in note)
    assert ("--lr at that rate" in said) is not own
    assert ("in your training function" in said) is own
