"""The report of a path: it follows the run folder's numbers, whatever is in it so far."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from itertools import pairwise
from math import ceil
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

import shrinkage as sh
from shrinkage.analysis.features import Features
from shrinkage.errors import FitError
from shrinkage.experiments.paths.selection import Wanted, select
from shrinkage.reports.paths import path_figure, path_page, path_rows, path_table
from shrinkage.reports.paths.claims import judged
from shrinkage.reports.paths.curves import against
from shrinkage.reports.paths.screen import path_screen
from shrinkage.reports.paths.table import evenly
from shrinkage.reports.paths.track import Track
from shrinkage.runs import RunView, read
from shrinkage.runs.chains import complete, key, weights_key

Point = dict[str, Any]
DRAWN = "html[data-figures=drawn]"


def made(folder: Path, model: str, data: str, **options: Any) -> Path:
    sh.path(model, data, sh.L1(1.0), run=folder, jobs=1, progress=lambda _: None, **options)
    return folder


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, solved: columns, two seeds, from the sparse end."""
    folder = tmp_path_factory.mktemp("path") / "linear"
    return made(folder, "linear", "breast_cancer", points=6, seeds=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images through a dense layer, trained, one seed."""
    folder = tmp_path_factory.mktemp("path") / "trained"
    return made(
        folder, "mlp", "digits", points=5, seeds=1, refine=1, train_size=100, epochs=20,
        weakest=1e-3, strongest=0.3,
    )  # fmt: skip


def without(view: RunView, *, decisions: Point | None = None, keep: Callable[[Point], bool]
            = lambda _: True, config: Point | None = None) -> RunView:  # fmt: skip
    """The folder as it was earlier, or might have been."""
    known = view.decisions if decisions is None else decisions
    return RunView(
        view.folder, view.config | (config or {}), known, tuple(filter(keep, view.points))
    )


def words(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def body_of(page: str) -> str:
    """The page without its styles, data and scripts."""
    return page.partition("<body>")[2].partition("<script")[0]


def choice_of(page: str) -> str:
    found = re.search(r'<p class="choice">(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return words(found[1])


def data_of(page: str, name: str) -> Any:
    found = re.search(
        rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL
    )
    assert found is not None
    return json.loads(found[1])


# --------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("run", ["linear", "trained"])
def test_the_sentence_says_what_was_chosen(run: str, request: Any) -> None:
    view = read(request.getfixturevalue(run))
    choice = view.decisions["choice"]
    row = next(r for r in path_rows(view)
               if (r.scale, r.fit) == (choice["scale"], choice["family"]))  # fmt: skip
    said = choice_of(path_page(view))
    assert f"λ = {choice['scale']:.3g}," in said
    assert f"{row.nonzeros:,.0f} of" in said
    assert f"{100 * row.validation_score:.1f}" in said
    assert f"{100 * row.test_score:.1f}" in said
    assert choice["why"] in said


def test_the_slider_holds_every_point_of_the_path(linear: Path) -> None:
    view = read(linear)
    screen, rows = path_screen(Track(view)), [r for r in path_rows(view) if r.fit == "fit"]
    assert [p["scale"] for p in screen["points"]] == [f"{r.scale:.3g}" for r in rows]
    for point, row in zip(screen["points"], rows, strict=True):
        assert point["left"] == pytest.approx(row.density)
        assert point["held"][0] == pytest.approx(row.test_score)
        assert f"{100 * row.validation_score:.1f} ±" in point["scores"][0][1]
    assert screen["chosen"]["index"] == [r.scale for r in rows].index(
        view.decisions["choice"]["scale"])  # fmt: skip


def test_the_table_to_copy_is_the_frame(linear: Path) -> None:
    view = read(linear)
    text = data_of(path_page(view), "rows-data")
    head, *lines = [line.split("\t") for line in text.split("\n")]
    rows = list(path_rows(view))
    assert head == list(rows[0].to_json())
    assert len(lines) == len(rows)
    at = head.index("test_loss")
    assert [float(line[at]) for line in lines] == [row.test_loss for row in rows]


def test_the_columns_have_their_names(linear: Path) -> None:
    page = path_page(read(linear))
    figure = next(f for name, f in data_of(page, "figures-data").items() if name == "features-0")
    names = {trace["name"] for trace in figure["data"]}
    assert {"worst radius", "mean concave points"} <= names
    assert len(names) == 30
    assert sum(trace.get("showlegend") is not False for trace in figure["data"]) == 8


def test_signed_coefficients_are_those_of_the_network(linear: Path) -> None:
    view = read(linear)
    figure = data_of(path_page(view), "figures-data")["features-0"]
    line = next(trace for trace in figure["data"] if trace["name"] == "worst radius")
    scale = line["x"][0]
    weight = view.weights(f"0/{scale:g}")["out.weight"]
    column = view.config["data"]["columns"].index("worst radius")
    assert line["y"][0] == pytest.approx(float(weight[1, column] - weight[0, column]), rel=1e-3)


def test_both_claims_follow_the_numbers(linear: Path) -> None:
    view = read(linear)
    claims = judged(Track(view))
    assert claims["compromise"][1].verdict == claims["ends"][1].verdict == "seen"
    # The same folder with the losses of the penalised fits upside down says the opposite.
    top = max(p["train"]["loss"] for p in view.points if p["kind"] == "fit")
    turned = [
        p | {"train": p["train"] | {"loss": top - p["train"]["loss"]}} if p["kind"] == "fit" else p
        for p in view.points
    ]
    claims = judged(Track(RunView(view.folder, view.config, view.decisions, tuple(turned))))
    assert claims["compromise"][1].verdict == claims["ends"][1].verdict == "not seen"


def test_pruned_networks_stand_beside_their_points(trained: Path) -> None:
    view = read(trained)
    pruned = view.of_kind("magnitude")
    cloud = {t.name: t for t in against(Track(view)).plots[0].figure.data}["magnitude pruning"]
    assert list(cloud.x) == [p["nonzeros"] for p in sorted(pruned.values(), key=by_scale)]
    tests = view.of_kind("test")
    assert list(cloud.y) == pytest.approx(
        [tests[p["key"]]["score"] for p in sorted(pruned.values(), key=by_scale)], rel=1e-3
    )
    bare = without(view, keep=lambda p: p["kind"] != "magnitude")
    assert "pruning" in body_of(path_page(view))
    assert "pruning" not in body_of(path_page(bare))


def by_scale(point: Point) -> float:
    return float(point["scale"])


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.01, "seen"), (-0.01, "not seen"), (0.0, "undecided")]
)
def test_the_path_is_held_against_pruning(linear: Path, gain: float, verdict: str) -> None:
    view = read(linear)
    tests, points = view.of_kind("test"), []
    for fit in view.of_kind("fit").values():
        name = f"{fit['key']}/magnitude"
        for of in (fit["key"], f"{fit['key']}/refit"):
            tests[of] = tests[of] | {"score": 0.5}
        jitter = (1 if fit["seed"] else -1) * (1e-4 if gain else 1e-2)
        points.append({"kind": "magnitude", "key": name, "seed": fit["seed"], "nonzeros": 5,
                       "scale": fit["scale"], "epochs": 1.0, "train": fit["train"],
                       "validation": fit["validation"]})  # fmt: skip
        tests[name] = {
            "kind": "test",
            "key": name,
            "n": 9,
            "loss": 1.0,
            "score": 0.5 - gain + jitter,
        }
    points += [*view.of_kind("fit").values(), *tests.values()]
    claim = judged(Track(RunView(view.folder, view.config, view.decisions, tuple(points))))[
        "pruning"
    ]
    assert claim[1].verdict == verdict
    if gain:
        assert f"{'+' if gain > 0 else '−'}1 ± 0.01 points" in claim[1].sentence


def test_failed_prunings_are_left_out(trained: Path) -> None:
    view = read(trained)
    failed = tuple(
        {k: p[k] for k in ("kind", "key", "seed", "scale")} | {"failed": "it diverged"}
        if p["kind"] == "magnitude" else p
        for p in view.points
    )  # fmt: skip
    assert Track(RunView(view.folder, view.config, view.decisions, failed)).cut == {}
    path_page(RunView(view.folder, view.config, view.decisions, failed))


# ------------------------------------------------------------------------- folders half filled


def test_an_empty_folder_has_a_page_and_a_table(linear: Path) -> None:
    view = without(read(linear), decisions={}, keep=lambda _: False)
    page = path_page(view)
    assert "No network has been fit yet" in choice_of(page)
    assert 'http-equiv="refresh"' in page
    assert "0 points" in path_table(view)
    assert path_figure(view).data == ()


@pytest.mark.parametrize("run", ["linear", "trained"])
def test_a_running_folder_says_so(run: str, request: Any) -> None:
    whole = read(request.getfixturevalue(run))
    fits = list(whole.of_kind("fit"))
    for count in range(1, len(fits)):
        part = without(whole, decisions={}, keep=lambda p, n=count: p["key"] in fits[:n] and
                       p["kind"] == "fit")  # fmt: skip
        page = path_page(part)
        assert f"running: {count} of at most" in page
        assert choice_of(page).startswith("Nothing is chosen yet; so far: λ =")
        assert "test accuracy" not in words(body_of(page))
        assert 'class="claim seen"' not in page


def test_an_opening_test_set_is_not_shown_before_it_is_whole(trained: Path) -> None:
    whole = read(trained)
    first = next(iter(whole.of_kind("test")))
    decisions = {k: v for k, v in whole.decisions.items() if k != "finished"}
    part = without(
        whole, decisions=decisions, keep=lambda p: p["kind"] == "fit" or p["key"] == first
    )
    assert Track(part).held_out == "validation"
    page = path_page(part)
    assert "the choice is made; the test set is being opened" in page
    assert choice_of(page).startswith("Chosen: ")


def test_failed_fits_are_named_and_left_out(linear: Path) -> None:
    whole = read(linear)
    name = next(iter(whole.of_kind("fit")))
    points = [
        {
            "kind": "fit",
            "key": name,
            "seed": p["seed"],
            "scale": p["scale"],
            "failed": "it diverged",
        }
        if p["key"] == name and p["kind"] == "fit"
        else p
        for p in whole.points
    ]
    view = RunView(whole.folder, whole.config, whole.decisions, tuple(points))
    page = path_page(view)
    assert f"failed fits 1: {name}" in words(page)
    before, after = (len(data_of(path_page(v), "screen-data")["points"]) for v in (whole, view))
    assert after == before - 1
    assert len(path_table(view).splitlines()) == len(path_table(whole).splitlines()) - 1


def test_suggestions_name_every_option_once(linear: Path) -> None:
    whole = read(linear)
    line = "shrinkage path wine --seeds 2 --from=1e-9 --within 0.3"
    view = without(whole, decisions=whole.decisions | {"command": line}, keep=lambda _: True)
    told = words(body_of(path_page(view))).rpartition("What to type next")[2]
    for option in ("--from", "--seeds", "--within"):
        assert option in told
        assert [row for row in told.split("shrinkage ") if row.count(option) > 1] == []


def test_a_seed_that_emptied_early_counts_as_the_empty_network_it_ended_with(
    linear: Path,
) -> None:
    whole = read(linear)
    scales = sorted({p["scale"] for p in whole.points if p["kind"] == "fit"})
    emptied = key(1, scales[-2])
    never = key(1, scales[-1]), f"{key(1, scales[-1])}/refit"

    def ending_with(nonzeros: int) -> tuple[Point, ...]:
        known = (point for point in whole.points if point["key"] not in never)
        return tuple(
            p | {"weights": p["weights"] | {"nonzeros": nonzeros}}
            if (p["kind"], p["key"]) == ("fit", emptied)
            else p
            for p in known
        )

    view = RunView(whole.folder, whole.config, whole.decisions, ending_with(0))
    fits, tests = view.of_kind("fit"), view.of_kind("test")
    names = key(0, scales[-1]), emptied
    row = next(r for r in path_rows(view) if r.scale == scales[-1] and r.fit == "fit")
    assert row.nonzeros == fmean(fits[name]["weights"]["nonzeros"] for name in names)
    assert row.validation_score == fmean(fits[n]["validation"]["score"] for n in names)
    assert row.test_sd == stdev(tests[name]["score"] for name in names)
    assert weights_key(view, "refit", 1, scales[-1]) == f"{emptied}/refit"
    assert len(data_of(path_page(view), "screen-data")["points"]) == len(scales)
    growing = RunView(whole.folder, whole.config, {}, ending_with(1))
    assert scales[-1] not in complete(growing)  # it may still get there


def test_a_choice_by_size_counts_columns_and_is_no_constant(linear: Path) -> None:
    whole = read(linear)
    columns = [f"{'abc'[k % 3]}={k}" for k in range(30)]
    view = without(
        whole,
        config={
            "data": whole.config["data"] | {"columns": columns, "features": [c[0] for c in columns]}
        },
    )
    known = Features.of(view)
    rows = {r.scale: r for r in path_rows(view) if r.fit == "fit"}
    for scale, fits in complete(view).items():
        used = [{columns[k][0] for k in fit.features} for fit in fits]
        assert rows[scale].features == fmean(map(len, used))
    assert len(known) == 3
    dense = min(rows)
    assert rows[dense].features == 3
    assert sum(len(fit.features) for fit in complete(view)[dense]) > 2 * 3
    losses = {s: r.validation_loss for s, r in rows.items() if r.features}
    chosen = select(view, Wanted(features=3))
    assert chosen.scale in losses
    fewest = ceil(min(r.nonzeros for r in rows.values() if r.features))
    with pytest.raises(FitError, match=rf"no point.*predict a constant; expected.*={fewest} or"):
        select(view, Wanted(nonzeros=fewest - 1))
    assert rows[select(view, Wanted(nonzeros=0)).scale].nonzeros == 0


def test_only_failed_fits(trained: Path) -> None:
    whole = read(trained)
    fit = {"kind": "fit", "key": "0/0", "seed": 0, "scale": 0.0, "failed": "it diverged"}
    page = path_page(RunView(whole.folder, whole.config, {}, (fit,)))
    assert "running: 1 of at most" in page
    assert "No network has been fit yet" in choice_of(page)


def test_a_network_of_unknown_wiring(trained: Path) -> None:
    whole = read(trained)
    points = tuple(p | {"features": None, "reach": None} if p["kind"] == "fit" else p
                   for p in whole.points)  # fmt: skip
    view = RunView(whole.folder, whole.config, whole.decisions, points)
    assert "features" in path_table(whole)
    assert "features" not in path_table(view)
    assert "inputs in use" not in choice_of(path_page(view))


def test_missing_weights_leave_their_pictures_out(trained: Path, tmp_path: Path) -> None:
    view = read(trained)
    page = path_page(RunView(tmp_path, view.config, view.decisions, view.points))
    points = data_of(page, "screen-data")["points"]
    assert points
    assert not any("hist" in point or "first" in point for point in points)


def test_without_refits(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "linear", "diabetes", points=4, seeds=1, refit=None)
    page = path_page(read(run))
    assert Track(read(run)).families == ("fit",)
    assert "R²" in choice_of(page)
    assert "refit" not in words(body_of(page).replace(str(run), ""))
    assert "Coefficient against λ" in words(page)
    assert (run / "report.html").read_text(encoding="utf-8") == page


# --------------------------------------------------------------------------- table and notebook


def test_the_table_marks_the_choice_and_cuts_nothing(linear: Path) -> None:
    view = read(linear)
    text = path_table(view)
    marked = [line for line in text.splitlines() if line.startswith("▸") and "chosen" not in line]
    assert len(marked) == 1
    assert f"{view.decisions['choice']['scale']:.3g}" in marked[0]
    assert "…" not in text
    short = path_table(view, most=3)
    assert marked[0].split() in [line.split() for line in short.splitlines()]
    assert len(text.splitlines()) - len(short.splitlines()) == len(view.of_kind("fit")) // 2 - 3


@pytest.mark.parametrize(("count", "most", "keep"), [(5, 12, 2), (31, 12, 11), (31, 12, 0),
                                                    (31, 12, 30), (13, 12, None)])  # fmt: skip
def test_rows_are_evenly_chosen(count: int, most: int, keep: int | None) -> None:
    rows = evenly(count, most, keep)
    assert len(rows) == min(count, most)
    assert rows == sorted(set(rows))
    assert {0, count - 1, *([] if keep is None else [keep])} <= set(rows)
    steps = [b - a for a, b in pairwise(rows)]
    assert max(steps) <= 2 * (count / most) + 1


def test_the_notebook_figure_rings_the_choice(linear: Path) -> None:
    view = read(linear)
    figure = path_figure(view)
    choice = view.decisions["choice"]
    rings = [t for t in figure.data if t.mode == "markers" and t.marker.symbol == "circle-open"
             and t.showlegend is False]  # fmt: skip
    assert len(rings) == 2
    assert rings[0].x[0] == pytest.approx(choice["scale"], rel=1e-3)
    assert {t.xaxis for t in rings} == {"x", "x2"}
    assert figure.layout.xaxis.type == figure.layout.xaxis2.type == "log"
    assert len({t.name for t in figure.data if t.showlegend}) == 2


# ------------------------------------------------------------------------------ in the browser


@dataclass
class Visit:
    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        self.page.on("console", lambda m: self.complaints.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri(), timeout=90_000)
        self.page.wait_for_selector(DRAWN, state="attached", timeout=90_000)


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    contexts = []

    def go(path: Path, width: int = 1280, scheme: str = "light") -> Visit:
        size = {"width": width, "height": 800}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        contexts[-1].grant_permissions(["clipboard-read", "clipboard-write"])
        result = Visit(contexts[-1].new_page())
        result.open(path)
        return result

    yield go
    for context in contexts:
        context.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("run", "width", "scheme"),
    [("linear", 400, "dark"), ("trained", 1280, "light")],
)
def test_it_opens_without_complaints(
    run: str, visit: Any, width: int, scheme: str, request: Any
) -> None:
    seen = visit(request.getfixturevalue(run) / "report.html", width, scheme)
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    cut = """() => [...document.querySelectorAll('#panels .panel')].filter((box) =>
        !box.hidden && box.scrollWidth > box.clientWidth + 1).map((box) => box.innerText)"""
    assert seen.page.evaluate(cut) == []
    figures = seen.page.query_selector_all(".canvas")
    assert len(figures) >= 10
    for canvas in figures:
        assert canvas.query_selector("svg.main-svg"), canvas.get_attribute("id")


@pytest.mark.browser
def test_the_first_screen_fits(trained: Path, visit: Any) -> None:
    seen = visit(trained / "report.html")
    bottom = seen.page.evaluate("document.getElementById('panels').getBoundingClientRect().bottom")
    assert bottom <= 800


@pytest.mark.browser
def test_the_slider_goes_along_the_path_and_back_to_the_choice(linear: Path, visit: Any) -> None:
    view = read(linear)
    rows = [row for row in path_rows(view) if row.fit == "fit"]
    seen = visit(linear / "report.html")
    seen.page.focus("#strength")
    seen.page.keyboard.press("Home")
    curves = seen.page.inner_html("#curve")
    for row in rows:
        assert seen.page.inner_text("#strength-text") == f"{row.scale:.3g}"
        assert seen.page.inner_text("#panels .zeros") == f"{60 - row.nonzeros:,.0f}"
        assert seen.page.inner_text("#panels .score") == f"{100 * row.test_score:.1f} %"
        seen.page.keyboard.press("ArrowRight")
    assert seen.page.inner_html("#curve") != curves
    seen.page.click("#own")
    assert seen.page.inner_text("#strength-text") == f"{view.decisions['choice']['scale']:.3g}"
    seen.page.click("#curve", position={"x": 2, "y": 60})
    assert seen.page.inner_text("#strength-text") == f"{rows[0].scale:.3g}"
    assert seen.complaints == []


@pytest.mark.browser
def test_the_button_copies_the_table(linear: Path, visit: Any) -> None:
    seen = visit(linear / "report.html")
    seen.page.click(".copy")
    seen.page.wait_for_selector(".copy[data-copied=true]")
    text = seen.page.evaluate("navigator.clipboard.readText()")
    assert text == data_of(path_page(read(linear)), "rows-data")


@pytest.mark.browser
def test_a_running_page_keeps_its_place(trained: Path, visit: Any, tmp_path: Path) -> None:
    whole = read(trained)
    part = without(whole, decisions={}, keep=lambda p: p["kind"] == "fit")
    path = tmp_path / "report.html"
    path.write_text(path_page(part), encoding="utf-8")
    seen = visit(path)
    assert seen.page.get_attribute('meta[http-equiv="refresh"]', "content") == "10"
    seen.page.focus("#strength")
    seen.page.keyboard.press("Home")
    seen.page.keyboard.press("ArrowRight")
    kept = seen.page.inner_text("#strength-text")
    seen.page.reload()
    seen.page.wait_for_selector(DRAWN, state="attached", timeout=90_000)
    assert seen.page.inner_text("#strength-text") == kept
    assert seen.complaints == []


@pytest.mark.browser
def test_an_empty_page_opens(linear: Path, tmp_path: Path, browser: Any) -> None:
    path = tmp_path / "report.html"
    path.write_text(path_page(without(read(linear), decisions={}, keep=lambda _: False)),
                    encoding="utf-8")  # fmt: skip
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri(), timeout=90_000)
    assert "No network has been fit yet" in page.inner_text(".choice")
    assert not page.is_visible("#screen")
    assert errors == []


def test_a_choice_no_better_than_a_constant_is_told(linear: Path) -> None:
    view = read(linear)
    told = "No better than a constant prediction"
    assert told not in path_table(view)
    assert told not in choice_of(path_page(view))
    empty = max(fit["scale"] for fit in view.of_kind("fit").values())
    decisions = view.decisions | {"choice": view.decisions["choice"] | {"scale": empty}}
    constant = without(view, decisions=decisions)
    score = Track(constant).results(empty, "fit", "test", "score")
    for text in (path_table(constant), choice_of(path_page(constant))):
        assert f"{told}, whose accuracy is {100 * fmean(score.values()):.1f} % on test" in text


def test_what_to_type_next_fits_the_run(linear: Path) -> None:
    page = words(body_of(path_page(read(linear))))
    assert f"shrinkage compact {linear} --within 0.005" in page
    assert f"shrinkage predict {linear} NEW.csv" in page
