"""Which inputs matter: rules, the order in which features leave, stability selection."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import shrinkage as sh
from shrinkage.analysis.features import Features, expected_false, first_layers, frequencies, leaving
from shrinkage.analysis.features.bound import _tail
from shrinkage.analysis.features.stability import Frequencies
from shrinkage.data import Data, Spec, load
from shrinkage.data.models import cnn, linear, mlp
from shrinkage.errors import FitError, PlanError
from shrinkage.experiments.paths.stability import stable_job
from shrinkage.experiments.paths.stable import check_reads_only, fit_stable, keep_inputs
from shrinkage.experiments.paths.subsamples import HalfSample, Walk, walk
from shrinkage.progress import Progress
from shrinkage.reports.figures import frequency_paths, leaving_order
from shrinkage.reports.paths.screen import path_screen
from shrinkage.reports.paths.stability import order_of_leaving, stability
from shrinkage.reports.paths.track import Track
from shrinkage.runs import FailedStableRecord, RunView, StableRecord, read

TABLE = Spec(6, (6,), 2)


def quietly(_: Progress) -> None:
    """No bars in tests."""


# ------------------------------------------------------------------------------- first layers


class Deep(nn.Module):
    """Standardises, flattens, and has a second way past the hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.body = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
        self.way = nn.Linear(6, 2)
        self.out = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.norm(x.flatten(1))
        return self.out(self.body(z)) + self.way(z)


class Skip(nn.Module):
    """Reads its inputs twice: in a dense first layer, and beside the hidden units."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.o = nn.Linear(6, 8), nn.Linear(14, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.o(torch.cat([self.a(x).relu(), x], dim=1))


class Mixed(nn.Module):
    """Mixes its inputs before the first layer: no column of it belongs to one input."""

    def __init__(self, mix: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.mix, self.out = mix, nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.mix(x))


class Unknown(Mixed):
    """Branches on values, so that its wiring is not known."""

    def __init__(self) -> None:
        super().__init__(lambda x: x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x) if x.sum() > 0 else self.out(2 * x)


def test_first_layers_are_those_whose_columns_are_inputs() -> None:
    assert first_layers(mlp(TABLE), (6,)) == ("fc1",)
    assert first_layers(linear(TABLE), (6,)) == ("out",)
    assert first_layers(nn.Linear(6, 2), (6,)) == ("",)
    assert first_layers(Deep(), (6,)) == ("body.0", "way")
    assert first_layers(mlp(Spec(64, (1, 8, 8), 10)), (1, 8, 8)) == ("fc1",)
    assert first_layers(cnn(Spec(64, (1, 8, 8), 10)), (1, 8, 8)) == ()
    assert first_layers(Mixed(lambda x: x * 2 + 1), (6,)) == ("out",)


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x.flip(1),
        lambda x: x - x.mean(1, keepdim=True),
        lambda x: x.cumsum(1),
        lambda x: x.roll(1, 0),
        lambda x: x * torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
        lambda x: x @ torch.zeros(5, 6),
    ],
)
def test_mixed_inputs_have_no_column(mix: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert first_layers(Mixed(mix), (6,)) == ()


def test_first_layers_of_many_inputs() -> None:
    assert first_layers(nn.Linear(1500, 2), (1500,)) == ("",)


# -------------------------------------------------------------------------------------- rules


def test_rules_drop_inputs_and_penalise_what_follows() -> None:
    model = mlp(TABLE)
    plan = sh.Plan(model, sh.feature_rules(model, (6,), 0.5))
    penalties = {e.name: e.penalty for e in plan.penalised}
    assert penalties["fc1.weight"] == sh.GroupL1(0.5, by="input")
    assert set(penalties) == {"fc1.weight", "fc2.weight", "out.weight"}
    assert isinstance(penalties["out.weight"], sh.L1)
    first = next(e for e in plan.penalised if e.name == "fc1.weight")
    assert (first.grouping.n_groups, first.grouping.group_size) == (6, 64)


def test_rules_of_linear_models_are_the_lasso() -> None:
    for model in (linear(TABLE), nn.Linear(6, 2)):
        (entry,) = sh.Plan(model, sh.feature_rules(model, (6,))).penalised
        assert entry.penalty == sh.GroupL1(1.0, by="input")


def test_the_first_layer_cannot_be_dodged() -> None:
    # W/c and c·v compute the same: under the first layer's penalty alone the cost would fall.
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 2))
    alone = sh.Plan(model, {"0": sh.GroupL1(1.0, by="input")})
    whole = sh.Plan(model, sh.feature_rules(model, (6,)))
    before = alone.value(), whole.value()
    with torch.no_grad():
        model[0].weight.div_(1e3)
        model[2].weight.mul_(1e3)
    assert alone.value() < before[0] / 500
    assert whole.value() > before[1]


def test_networks_without_a_dense_first_layer_are_refused() -> None:
    with pytest.raises(PlanError, match="no dense first layer"):
        sh.feature_rules(cnn(Spec(64, (1, 8, 8), 10)), (1, 8, 8))


# ----------------------------------------------------------------------------------- features


def features_of(*columns: str, numbers: bool = False) -> tuple[str, ...]:
    """The features of data with these columns."""
    x = torch.eye(len(columns))
    y = torch.arange(len(columns)) % 2
    standardise = (numbers,) * len(columns)
    return Data("a", x, y, "classification", ("no", "yes"), columns, standardise).features


def test_one_hot_columns_are_one_feature() -> None:
    features = features_of("age", "colour=blue", "colour=a=b", "=odd")
    assert features == ("age", "colour", "colour", "=odd")
    found = Features.of_inputs(features, 4)
    assert found.names == ("age", "colour", "=odd")
    assert found.inputs == ((0,), (1, 2), (3,))
    assert found.used([2]) == [False, True, False]
    assert Features.of_inputs((), 3).names == ("0", "1", "2")


def test_comparisons_are_features_of_their_own() -> None:
    columns = ("bmi<=25", "bmi<=30", "age>=40", "age!=50", "old>=9=no", "old>=9=yes", "size=<=9")
    assert features_of(*columns) == (*columns[:4], "old>=9", "old>=9", "size")


def test_numbers_are_features_of_their_own_whatever_their_name() -> None:
    columns = ("q=1", "q=2", "z")
    assert features_of(*columns, numbers=True) == columns


def test_a_tables_columns_are_its_features(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = [f"{i},{i % 3},{'ab'[i % 2]},{i % 2}" for i in range(20)]
    file.write_text("\n".join(["q=1,q=2,col=our,t", *rows]) + "\n")
    found = load(str(file), target="t")
    assert found.columns == ("q=1", "q=2", "col=our=a", "col=our=b")
    assert found.features == ("q=1", "q=2", "col=our", "col=our")


# ------------------------------------------------------------------------------------- bounds


def test_where_nothing_is_used_nothing_is_false() -> None:
    assert expected_false(0.0, 15, 0.9, 25) == 0
    empty = Frequencies(("a", "b"), (0.1, 0.2), np.array([[1.0, 1.0], [0.0, 0.0]]), 20)
    found = empty.stable()
    assert (found.names, found.expected) == ((), 0.0)
    assert "no λ with few enough features has any" in str(found)


def test_more_false_ones_than_were_allowed_are_told() -> None:
    used = Frequencies(tuple("abcd"), (0.1, 0.2), np.ones((2, 4)), 4)
    told = str(used.stable(0.9, errors=1.0))
    assert "at most 1 false were allowed, and no λ of the path has so few" in told


@pytest.mark.parametrize(
    "given", [{"subsamples": "20"}, {"threshold": None}, {"errors": "a"}], ids=str
)
def test_stability_takes_numbers(given: dict[str, Any]) -> None:
    with pytest.raises(FitError, match=r"is not a (whole )?number"):
        sh.Stability(**given)


def test_bounds_by_hand() -> None:
    # q/p too large for any tail to be bounded: what holds for any procedure, q²/((2π − 1)p).
    assert expected_false(150, 200, 0.9, 25) == pytest.approx(150**2 / (0.8 * 200))
    # A threshold between two frequencies asks for the next one: 0.75 of 10 half samples are 8.
    by_next = expected_false(10, 200, 0.8, 5)
    assert expected_false(10, 200, 0.75, 5) == pytest.approx(min(by_next, 100 / (0.5 * 200)))
    # Shah & Samworth's example, p = 1000, q = 50, B = 50, at π = 0.6: 12.5 for any procedure.
    assert expected_false(50, 1000, 0.6, 50) < 12.5 / 4


def test_the_largest_tail_is_found_by_hand() -> None:
    # Two steps, mean ½·2·η = m: f(i) ∝ (a + i)^(1/r) on 0, 1, 2. With r = −½ weights 1, b, c with
    # √b, √c reciprocal to an arithmetic progression; a grid over a and the rest at k + 1.
    m, best = 0.4, 0.0
    for a in np.geomspace(1e-4, 1e6, 200_001):
        one = (1 + 1 / a) ** -2.0  # 0 and 1 from the family, the rest at 2
        share = (2 - m) / (2 + one)
        rest = 1 - share * (1 + one)
        if 0 <= rest <= share * (1 + 2 / a) ** -2.0:
            best = max(best, rest)
    assert _tail(0.2, 2, 2, -0.5) == pytest.approx(best, rel=1e-3)


@settings(max_examples=60)
@given(
    st.integers(2, 40), st.floats(0.01, 0.4), st.sampled_from([-0.5, -0.25]),
    st.lists(st.floats(0, 5), min_size=1, max_size=41), st.floats(-3, 3), st.floats(0.01, 1),
)  # fmt: skip
def test_no_concave_distribution_has_a_larger_tail(
    steps: int, most: float, r: float, bends: list[float], slope: float, start: float
) -> None:
    # f^r convex on a support 0 … k: its slopes rise by the bends.
    k = min(len(bends), steps)
    slopes = slope + np.cumsum(bends[:k])
    power = start + np.concatenate([[0.0], np.cumsum(slopes)])
    power -= min(0.0, power.min()) - 1e-3
    f = np.zeros(steps + 1)
    f[: k + 1] = power ** (1 / r)
    f /= f.sum()
    mean = float(np.arange(steps + 1) @ f) / steps
    assume(0 < mean <= most)
    for at in range(1 + steps // 7, steps + 1, 1 + steps // 7):
        assert f[at:].sum() <= _tail(mean, at, steps, r) + 1e-7


@pytest.mark.parametrize("threshold", [0.6, 0.75, 0.9])
def test_the_bound_holds_for_noise(threshold: float) -> None:
    # Selecting q of p at random in each half of a pair, without a truth: all that is stable is
    # false. Frequencies are binomial with success q/p, so they are log-concave.
    draw = np.random.default_rng(0)
    p, q, pairs, trials = 100, 20, 10, 400
    false = 0
    for _ in range(trials):
        counts = np.zeros(p)
        for _ in range(2 * pairs):
            counts[draw.choice(p, q, replace=False)] += 1
        false += int((counts >= threshold * 2 * pairs).sum())
    assert false / trials <= expected_false(q, p, threshold, pairs)


def test_the_stable_set_is_read_where_few_errors_are_expected() -> None:
    names = tuple("abcd")
    share = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 0.8, 0.1, 0.0], [0.9, 0.0, 0.0, 0.0]])
    found = Frequencies(names, (0.1, 0.2, 0.4), share, 100)
    bounds = found.expected(0.75)
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > 1 > bounds[1]
    stable = found.stable(0.75, errors=1.0)
    assert (stable.names, stable.scale) == (("a", "b"), 0.2)
    assert stable.expected == bounds[1]
    assert found.stable(0.75, errors=1e-9).names == ("a",)  # the strongest, with its own bound
    assert found.at(0.2)["b"] == 0.8


@pytest.mark.parametrize(
    ("given", "named"),
    [({"subsamples": 5}, "stability"), ({"subsamples": 0}, "stability"),
     ({"threshold": 0.5}, "threshold"), ({"threshold": 1.1}, "threshold"),
     ({"errors": 0.0}, "errors")],
)  # fmt: skip
def test_stability_out_of_range(given: dict[str, Any], named: str) -> None:
    with pytest.raises(FitError, match=rf"{named} is out of range"):
        sh.Stability(**given)


# --------------------------------------------------------------------------------- known truth


def known_truth(
    rows: int, columns: int, shapes: list[Callable[[np.ndarray], np.ndarray]], seed: int = 0
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """y = Σ f(x_k) + noise over the informative columns, signal-to-noise ratio 4."""
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((rows, columns)).astype(np.float32)
    truth = sorted(draw.choice(columns, len(shapes), replace=False).tolist())
    parts = np.stack([f(x[:, k]) for f, k in zip(shapes, truth, strict=True)])
    signal = (parts / parts.std(axis=1, keepdims=True)).sum(axis=0)
    y = signal + draw.standard_normal(rows) * signal.std() / 2
    return x, y.astype(np.float32)[:, None], truth


def frame_of(x: np.ndarray, y: np.ndarray) -> pl.DataFrame:
    columns = {f"c{k}": x[:, k] for k in range(x.shape[1])}
    colour = np.where(x[:, 0] > 0.5, "red", np.where(x[:, 0] > -0.5, "green", "blue"))
    return pl.DataFrame({**columns, "colour": colour, "y": y[:, 0]}).drop("c0")


@pytest.fixture(scope="module")
def linear_path(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, set[str]]:
    folder = tmp_path_factory.mktemp("linear")
    x, y, truth = known_truth(500, 40, [lambda x: x, lambda x: -x, lambda x: x, lambda x: -x], 1)
    assert 0 not in truth
    frame_of(x, y).write_csv(folder / "t.csv")
    data = sh_load(folder / "t.csv")
    path = sh.path(
        "linear", data, "features", run=folder / "run", stability=6, points=7, seeds=2, jobs=1,
        progress=quietly,
    )  # fmt: skip
    return path, {f"c{k}" for k in truth}


def sh_load(path: Path) -> Any:
    from shrinkage.data import load

    return load(path, target="y")


def test_linear_truth_is_found(linear_path: tuple[Any, set[str]]) -> None:
    path, truth = linear_path
    best = path.chosen
    assert best.family == "stable"
    assert set(best.features) == truth
    for seed in range(2):
        model, _ = best.of_seed(seed)
        used = {path.view.config["data"]["columns"][k] for k in model.out.weight[0].nonzero()[:, 0]}
        assert used == truth
    assert best.row["test_score"] > 0.7
    assert best.row["features"] == 4
    stable = path.view.decisions["stable"]
    assert stable["expected"] <= 1
    assert set(stable["names"]) == truth
    assert path.choose("1se").family != "stable"
    assert f"{best}".startswith(f"scale {stable['scale']:.3g} (stable features, refit): 4 nonzero")


def test_the_stable_network_is_the_least_squares_fit_of_its_features(
    linear_path: tuple[Any, set[str]],
) -> None:
    path, _ = linear_path
    model, _ = path.chosen.of_seed(0)
    train = path.setting.split(0).train
    used = model.out.weight[0].nonzero()[:, 0]
    x = torch.cat([train.x[:, used], torch.ones(len(train), 1)], dim=1).double()
    exact = torch.linalg.lstsq(x, train.y.double()).solution[:-1, 0]
    assert torch.allclose(model.out.weight[0, used].double(), exact, atol=1e-5)


def test_stable_features_are_validated_on_rows_that_did_not_select_them(
    linear_path: tuple[Any, set[str]],
) -> None:
    path, _ = linear_path
    fits = path.view.of_kind("stable")
    first, second = (fits[f"{seed}/stable"] for seed in range(2))
    assert first["validation"]["loss"] != second["validation"]["loss"]
    row = path.chosen.row
    assert row["validation_loss"] == first["validation"]["loss"]
    assert row["validation_score"] == first["validation"]["score"]
    assert row["validation_sd"] is None
    assert row["train_loss"] == np.mean([fit["train"]["loss"] for fit in (first, second)])


def test_the_table_of_features(linear_path: tuple[Any, set[str]]) -> None:
    path, truth = linear_path
    table = path.features()
    assert len(table) == 40
    assert table.columns == ["feature", "leaves", "size", "weight", "frequency", "stable"]
    top = table.head(4)
    assert set(top["feature"]) == truth
    assert top["frequency"].to_list() == [1.0] * 4
    assert table["stable"].to_list() == [True] * 4 + [False] * 36
    sizes = dict(zip(table["feature"], table["weight"], strict=True))
    assert sizes["colour"] is None  # three columns
    signs = [sizes[name] for name in sorted(truth, key=lambda name: int(name[1:]))]
    assert [np.sign(s) for s in signs] == [1, -1, 1, -1]
    # the last scale at which a feature is used, read from the points themselves
    fits = path.view.of_kind("fit").values()
    columns = path.view.config["data"]["columns"]
    for name in truth:
        last = [
            max(f["scale"] for f in fits if f["seed"] == s and columns.index(name) in f["features"])
            for s in range(2)
        ]
        row = table.row(by_predicate=pl.col("feature") == name, named=True)
        assert row["leaves"] == min(last)


def test_headline_table_and_slider_agree_on_the_stable_networks(
    linear_path: tuple[Any, set[str]],
) -> None:
    path, _ = linear_path
    row = path.chosen.row
    page = path.report.read_text(encoding="utf-8")
    body = page.partition("<body>")[2]
    headline = body.partition('<p class="choice">')[2].partition("</p>")[0]
    score = f"{row['test_score']:.3g}"
    assert "the stable features alone, refit, with 4 of" in headline
    assert score in headline
    marked = body.partition('<tr class="chosen">')[2].partition("</tr>")[0]
    assert body.count('<tr class="chosen">') == 1
    assert f"stable features, {path.chosen.scale:.3g}" in marked
    assert score in marked
    screen = path_screen(Track(path.view))
    start = screen["points"][screen["start"]]
    assert screen["chosen"] == {"index": screen["start"], "family": 1, "final": True}
    assert start["apart"]
    assert start["held"] == [None, row["test_score"]]
    assert start["inputs"].startswith("4 of")
    assert [point["apart"] for point in screen["points"]].count(True) == 1
    line = next(line for line in str(path).splitlines() if line.startswith("▸"))
    assert "stable" in line
    assert score in line


def test_the_report_shows_frequencies_and_the_order_of_leaving(
    linear_path: tuple[Any, set[str]],
) -> None:
    path, truth = linear_path
    track = Track(path.view)
    section = stability(track)
    assert "4 of 40 features are stable: at least 90 % of 6 half samples" in section.html
    assert len(section.plots[0].figure.data) == 40
    table = section.below
    assert table.count(">yes<") == 4
    assert [table.index(name) for name in truth] < [table.index(">no<")] * 4
    order = order_of_leaving(track)[0].figure
    assert list(order.data[0].y)[:6] == [one.name for one in leaving(path.view)[:6]]
    early = RunView(path.folder, path.view.config, {}, path.view.points)
    assert "6 of 6 half samples so far; nothing is decided yet" in stability(Track(early)).html
    none = tuple(point for point in path.view.points if point["kind"] != "subsample")
    assert not stability(Track(RunView(path.folder, path.view.config, {}, none))).plots


def test_figures_of_features(linear_path: tuple[Any, set[str]]) -> None:
    path, truth = linear_path
    found = frequencies(path.view)
    assert found is not None
    stable = path.view.decisions["stable"]
    share = {name: found.share[:, k].tolist() for k, name in enumerate(found.names)}
    made = frequency_paths(
        found.scales,
        share,
        stable=stable["names"],
        threshold=stable["threshold"],
        scale=stable["scale"],
    )
    assert len(made.data) == 40
    assert {trace.name for trace in made.data if trace.showlegend} == truth
    assert [trace.name for trace in made.data[-4:]] == stable["names"]
    assert len(made.layout.shapes) == 2
    order = leaving(path.view)[:6]
    bars = leaving_order([o.name for o in order], [o.scale for o in order], stable=stable["names"])
    assert list(bars.data[0].y) == [o.name for o in order]
    assert set(list(bars.data[0].y)[:4]) == truth


def test_additive_truth_is_found(tmp_path: Path) -> None:
    shapes = [np.tanh, np.exp, lambda x: x**3, lambda x: np.maximum(x, 0)]
    x, y, truth = known_truth(700, 30, shapes)

    def small(spec: Spec) -> nn.Module:
        return nn.Sequential(nn.Linear(spec.n_inputs, 16), nn.ReLU(), nn.Linear(16, 1))

    path = sh.path(
        small, (x, y), "features", run=tmp_path / "run", stability=6, seeds=1, jobs=1,
        points=10, weakest=3e-3, strongest=0.1, epochs=10, point_epochs=2.0, rounds=1, refine=0,
        progress=quietly,
    )  # fmt: skip
    found = frequencies(path.view)
    assert found is not None
    assert (np.diff(found.share, axis=0) <= 0).all()  # at this scale or a stronger one
    assert set(path.chosen.features) == {f"x{k}" for k in truth}
    model = path.chosen.model
    assert model[0].weight.abs().sum(0).nonzero()[:, 0].tolist() == truth
    assert path.chosen.row["test_score"] > 0.4


def test_the_stable_networks_use_all_stable_inputs_and_no_others(tmp_path: Path) -> None:
    # Few points and a strong penalty: no linear model of the path uses all of them.
    draw = np.random.default_rng(1)
    x, y = (draw.standard_normal((n, k)).astype(np.float32) for n, k in ((120, 60), (120, 1)))
    stability = sh.Stability(6, threshold=0.55, errors=1e3)
    shared = {"points": 2, "refine": 0, "jobs": 1, "seeds": 2, "progress": quietly}
    trained = {"epochs": 2, "point_epochs": 2.0, "rounds": 1}
    for model, penalty, options in (
        ("linear", sh.L1(1.0), {"weakest": 0.18, "strongest": 0.35}),
        ("mlp", "features", {"weakest": 1e-3, "strongest": 0.03, **trained}),
    ):
        path = sh.path(
            model, (x, y), penalty, run=tmp_path / model, stability=stability,
            choose="stable", **shared, **options,
        )  # fmt: skip
        stable = {f"x{k}" for k in range(60)} & set(path.stable.names)
        assert 0 < len(stable) == len(path.stable.names)
        for fit in path.view.of_kind("stable").values():
            assert {f"x{k}" for k in fit["features"]} == stable
        used = [{f"x{k}" for k in f["features"]} for f in path.view.of_kind("fit").values()]
        assert model == "mlp" or not any(stable <= mine for mine in used)


def test_a_way_past_the_first_layer_is_found() -> None:
    for model in (Deep(), mlp(TABLE), linear(TABLE)):
        keep_inputs(model, (6,), (1, 4))
        check_reads_only(model, (6,), (1, 4))
    skip = Skip()
    keep_inputs(skip, (6,), (1, 4))
    with pytest.raises(FitError, match="reads the inputs too, 4 of those"):
        check_reads_only(skip, (6,), (1, 4))
    with torch.no_grad():
        skip.o.weight[:, 8:] = 0.0
    check_reads_only(skip, (6,), (1, 4))


# ------------------------------------------------------------------------------------ the run


def small_path(folder: Path, **options: Any) -> Any:
    x, y, _ = known_truth(300, 12, [lambda x: x, lambda x: x])
    options = {"stability": 4, "points": 6, "seeds": 1, "progress": quietly, "jobs": 1} | options
    return sh.path("linear", (x, y), "features", run=folder, **options)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "points.jsonl").read_text().splitlines()]


def test_half_samples_are_complementary(tmp_path: Path) -> None:
    setting = small_path(tmp_path / "run").setting
    rows = [
        {tuple(row) for row in HalfSample.of(setting, number).split(7).train.x.tolist()}
        for number in range(4)
    ]
    whole = setting.split(0).train
    assert len(rows[0]) == len(rows[1]) == len(whole) // 2
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] <= {tuple(row) for row in whole.x.tolist()}
    assert rows[0] not in (rows[2], rows[3])


def named(point: dict[str, Any]) -> tuple[str, str]:
    return point["kind"], point["key"]


def test_a_run_that_stopped_among_half_samples_goes_on(tmp_path: Path) -> None:
    class Stopped(KeyboardInterrupt):
        pass

    events: list[Progress] = []

    def stop(event: Progress) -> None:
        events.append(event)
        if event.stage == "half samples" and event.done == 2:
            raise Stopped

    whole = small_path(tmp_path / "whole")
    with pytest.raises(Stopped):
        small_path(tmp_path / "cut", progress=stop)
    assert sum(point["kind"] == "subsample" for point in lines(tmp_path / "cut")) == 2
    events.clear()
    again = small_path(tmp_path / "cut", progress=events.append)
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")
    assert [e.done for e in events if e.stage == "half samples"] == [2, 3, 4]
    assert not [e for e in events if e.stage == "path" and 0 < e.done < e.total]
    assert again.view.decisions["stable"] == whole.view.decisions["stable"]
    for name, tensor in whole.view.weights("0/stable").items():
        assert torch.equal(tensor, again.view.weights("0/stable")[name])


def test_a_half_sample_that_failed_drops_its_pair(tmp_path: Path) -> None:
    view = small_path(tmp_path / "run").view

    def counted(*failed: int) -> Frequencies | None:
        keys = [f"subsample/{number}" for number in failed]
        points = [
            {"kind": "subsample", "key": p["key"], "scales": p["scales"], "failed": "diverged"}
            if p["key"] in keys
            else p
            for p in view.points
        ]
        return frequencies(RunView(view.folder, view.config, view.decisions, tuple(points)))

    left = RunView(
        view.folder,
        view.config,
        view.decisions,
        tuple(p for p in view.points if p["key"] not in ("subsample/2", "subsample/3")),
    )
    whole, first = counted(), frequencies(left)
    assert whole is not None
    assert first is not None
    assert (whole.subsamples, whole.dropped) == (4, 0)
    assert (first.subsamples, first.dropped) == (2, 0)  # the second pair is not there yet
    for failed in ((3,), (2,), (2, 3)):
        found = counted(*failed)
        assert found is not None
        assert (found.subsamples, found.dropped) == (2, 1)
        assert np.array_equal(found.share, first.share)
        assert found.stable().dropped == 1
        assert str(found.stable()).endswith("; pairs dropped, because one diverged: 1")
    assert "dropped" not in str(whole.stable())
    assert counted(0, 3) is None


def test_a_seed_without_a_network_has_no_stable_one(tmp_path: Path) -> None:
    path = small_path(tmp_path / "run", seeds=2)
    view = path.view
    points = [
        {"kind": "fit", "key": p["key"], "seed": 1, "scale": p["scale"], "failed": "diverged"}
        if p["kind"] == "fit" and p["seed"] == 1
        else p
        for p in view.points
    ]
    failed = RunView(view.folder, view.config, view.decisions, tuple(points))
    job = stable_job(failed, 1)
    point, weights = fit_stable(path.setting, job)
    assert job.start is None
    assert isinstance(point, FailedStableRecord)
    assert point.failed == "no network of this seed could be trained"
    assert (point.kind, point.key, weights) == ("stable", "1/stable", {})
    point, _ = fit_stable(path.setting, stable_job(failed, 0))
    assert point == view.records(StableRecord)["0/stable"]


def test_a_half_sample_travels(tmp_path: Path) -> None:
    # What a worker process computes from what it is sent is what this process computes.
    path = small_path(tmp_path / "run")
    setting = cloudpickle.loads(cloudpickle.dumps(path.setting))
    for point in path.view.of_kind("subsample").values():
        number = int(point["key"].removeprefix("subsample/"))
        walked = walk(setting, Walk(number, tuple(point["scales"])))
    assert walked.to_json() == point


def test_a_run_without_a_stable_feature_chooses_by_1se_and_says_so(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x, y = (draw.standard_normal((300, k)).astype(np.float32) for k in (12, 1))
    path = sh.path(
        "linear", (x, y), "features", run=tmp_path / "run", points=6, seeds=1, jobs=1,
        stability=sh.Stability(4, threshold=1.0, errors=1e-3), progress=quietly,
    )  # fmt: skip
    assert path.stable is not None
    assert not path.stable.names
    assert path.chosen.scale == path.choose("1se").scale
    assert str(path.chosen).endswith("; no feature is stable")


def test_what_stability_selection_refuses(tmp_path: Path) -> None:
    x, y, _ = known_truth(300, 12, [lambda x: x])
    run = tmp_path / "run"
    for penalty in ({"fc2": sh.L1(1.0)}, {"fc1": None, "*": sh.L1(1.0)}):
        with pytest.raises(FitError, match="needs a penalty that drops inputs"):
            sh.path("mlp", (x, y), penalty, run=run, stability=4, epochs=1, progress=quietly)
    for model, got in ((Unknown, "wiring"), (lambda: Mixed(lambda x: x.flip(1)), "no dense first")):
        with pytest.raises(FitError, match=f"drops inputs: got .*{got}"):
            sh.path(model, (x[:, :6], np.hstack([y, y])), sh.L1(1.0), run=run, stability=4)
    with pytest.raises(FitError, match="another layer that reads the inputs too"):
        sh.path(Skip, (x[:, :6], np.hstack([y, y])), "features", run=run, stability=4)
    with pytest.raises(FitError, match="stable features are not known"):
        small_path(run, stability=None, choose="stable")
    with pytest.raises(FitError, match=r"penalty is unknown: got 'feature'.*mean 'features'"):
        sh.path("mlp", (x, y), "feature", run=run)
    assert not run.exists()
    plain = small_path(run, stability=None)
    assert plain.chosen.family != "stable"
    assert plain.features().columns == ["feature", "leaves", "size", "weight"]
    assert frequencies(read(run)) is None
    with pytest.raises(FitError, match="stable features are not known"):
        plain.choose("stable")


def test_the_command_prints_the_features(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from shrinkage.cli import app

    x, y, truth = known_truth(300, 6, [lambda x: x, lambda x: x])
    frame_of(x, y).write_csv(tmp_path / "t.csv")
    words = f"path {tmp_path / 't.csv'} --target y --model linear --penalty features --stability 4"
    words += " --threshold 0.95 --errors 3 --refine 1"
    more = f"--points 5 --seeds 1 --jobs 1 --run {tmp_path / 'run'}"
    result = CliRunner().invoke(app, [*words.split(), *more.split()], catch_exceptions=False)
    assert result.exit_code == 0
    path = read(tmp_path / "run")
    found = path.decisions["stable"]["names"]
    assert found
    assert path.config["stability"]["threshold"] == 0.95
    assert path.config["stability"]["errors"] == 3
    assert path.config["refine"] == 1
    assert set(found) <= {"colour", *(f"c{k}" for k in truth)}
    table, _, summary = result.stdout.partition(f"{len(found)} features used by at least")
    assert summary
    assert [name for name in found if f"\n{name} " in table] == found


@pytest.mark.parametrize("name", ["--threshold", "--errors"])
def test_what_belongs_to_half_samples_is_refused_alone(name: str) -> None:
    from typer.testing import CliRunner

    from shrinkage.cli import app

    with pytest.raises(FitError, match=f"{name} has no meaning without half samples"):
        CliRunner().invoke(app, ["path", "wine", name, "0.8"], catch_exceptions=False)
