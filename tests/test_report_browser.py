"""The report in a real browser, opened from a file: it draws, moves, fits, and asks nobody."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from shrinkage.experiments.contrasts import contrast
from shrinkage.reports import report_page
from shrinkage.runs import RunView, read

pytestmark = pytest.mark.browser
DRAWN = "html[data-figures=drawn]"
PANELS = ["none", "L1 as loss term", "L1 exact", "L2"]


@dataclass
class Visit:
    """An open page and everything it complained about or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        self.page.on("console", lambda m: self.complaints.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri(), timeout=90_000)
        self.page.wait_for_selector(DRAWN, state="attached", timeout=90_000)

    def panel(self, name: str, part: str) -> str:
        return str(self.page.inner_text(f"#panel-{PANELS.index(name)} {part}"))

    def move(self, index: int) -> None:
        self.page.focus("#strength")
        self.page.keyboard.press("Home")
        for _ in range(index):
            self.page.keyboard.press("ArrowRight")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits through a dense layer; the larger λ is large enough for zeros in a few epochs."""
    folder = tmp_path_factory.mktemp("report") / "run"
    contrast(
        "mlp",
        "digits",
        columns=["none", "l1_term", "l1", "l2", "dropout"],
        run=folder,
        seeds=1,
        grid=[1e-4, 1e-2],
        epochs=4,
        train_size=100,
        biases=True,
        jobs=1,
        progress=lambda _: None,
    )
    return folder


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Opens pages of a width and a colour scheme."""
    contexts = []

    def go(path: Path, width: int = 1280, scheme: str = "light") -> Visit:
        size = {"width": width, "height": 800}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        result = Visit(contexts[-1].new_page())
        result.open(path)
        return result

    yield go
    for context in contexts:
        context.close()


def test_it_opens_without_complaints_and_without_a_network(run: Path, visit: Any) -> None:
    seen = visit(run / "report.html")
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    figures = seen.page.query_selector_all(".canvas")
    assert len(figures) > 15
    for canvas in figures:
        assert canvas.query_selector("svg.main-svg"), canvas.get_attribute("id")
    assert [h.inner_text().split("\n")[0].strip() for h in seen.page.query_selector_all(
        ".panel h2")][1].startswith("L1 as loss term")  # fmt: skip


def test_the_first_screen_fits(run: Path, visit: Any) -> None:
    seen = visit(run / "report.html")
    bottom = seen.page.evaluate("document.getElementById('screen').getBoundingClientRect().bottom")
    assert bottom <= 800


def test_the_slider_moves_the_zeros(run: Path, visit: Any) -> None:
    seen = visit(run / "report.html")
    seen.move(0)
    few, fixed = seen.panel("L1 exact", ".zeros"), seen.panel("none", ".zeros")
    assert seen.panel("L1 exact", ".knob") == "λ = 0.0001"
    pictures = seen.page.inner_html("#panel-2 .hist")
    seen.move(1)
    many = seen.panel("L1 exact", ".zeros")
    assert int(many.replace(",", "")) > int(few.replace(",", ""))
    assert seen.page.inner_html("#panel-2 .hist") != pictures
    assert seen.panel("none", ".zeros") == fixed == "0"
    assert seen.panel("L1 as loss term", ".zeros") == "0"
    assert seen.page.get_attribute("#strength", "aria-valuetext") == "λ = 0.01"
    assert seen.complaints == []


def test_the_slider_shows_what_was_measured(run: Path, visit: Any) -> None:
    seen = visit(run / "report.html")
    fits = read(run).of_kind("fit")
    for index in (0, 1):
        seen.move(index)
        for name, column in (("L1 exact", "l1"), ("L2", "l2"), ("L1 as loss term", "l1_term")):
            zeros = fits[f"{column}/{index}/0"]["weights"]["zeros"]
            assert seen.panel(name, ".zeros") == f"{zeros:,}"


def test_each_column_at_its_own_choice(run: Path, visit: Any) -> None:
    seen = visit(run / "report.html")
    seen.page.click("#own")
    chosen = read(run).decisions["choices"]
    for name, column in (("L1 exact", "l1"), ("L2", "l2")):
        assert seen.panel(name, ".knob") == f"λ = {chosen[column]['knob']:g}"


LABELS = """() => [...document.querySelectorAll(".canvas")].flatMap((canvas) =>
    ["xaxis", "yaxis"].filter((axis) => canvas._fullLayout[axis].type === "log").map((axis) =>
        [...canvas.querySelectorAll(`.${axis[0]}tick text`)].map((label) => {
            const box = label.getBoundingClientRect();
            return { text: label.textContent, left: box.left, right: box.right,
                     top: box.top, bottom: box.bottom };
        })))"""


@pytest.mark.parametrize("width", [400, 1280])
def test_logarithmic_axes_can_be_read(run: Path, visit: Any, width: int) -> None:
    axes = visit(run / "report.html", width).page.evaluate(LABELS)
    assert len(axes) > 5
    for labels in axes:
        texts = [label["text"] for label in labels]
        assert 2 <= len(texts) <= 6, texts
        for a, b in combinations(labels, 2):
            beside = a["right"] <= b["left"] or b["right"] <= a["left"]
            above = a["bottom"] <= b["top"] or b["bottom"] <= a["top"]
            assert beside or above, texts


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_nothing_overflows(run: Path, visit: Any, width: int, scheme: str) -> None:
    seen = visit(run / "report.html", width, scheme)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.complaints == []


def test_light_and_dark_differ_in_page_and_figures(run: Path, visit: Any) -> None:
    look = """() => [getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector('.canvas .xtick text')).fill]"""
    page = visit(run / "report.html", scheme="light").page
    light = page.evaluate(look)
    page.emulate_media(color_scheme="dark")
    differs = f"(light) => ({look})().every((colour, k) => colour !== light[k])"
    page.wait_for_function(differs, arg=light)
    page.emulate_media(color_scheme="light")
    page.wait_for_function(
        f"(light) => JSON.stringify(({look})()) === JSON.stringify(light)", arg=light
    )


def test_a_running_page_reloads_and_keeps_the_slider(run: Path, visit: Any, tmp_path: Path) -> None:
    whole = read(run)
    part = RunView(run, whole.config, {}, whole.points[:6])
    path = tmp_path / "report.html"
    path.write_text(report_page(part), encoding="utf-8")
    seen = visit(path)
    assert "running: 6 of 10 fits so far" in seen.page.inner_text(".status")
    assert seen.page.get_attribute('meta[http-equiv="refresh"]', "content") == "10"
    seen.move(1)
    seen.page.reload()
    seen.page.wait_for_selector(DRAWN, state="attached", timeout=90_000)
    assert seen.page.input_value("#strength") == "1"
    assert seen.complaints == []


def test_an_empty_folder_opens(run: Path, visit: Any, tmp_path: Path, browser: Any) -> None:
    path = tmp_path / "report.html"
    path.write_text(report_page(RunView(tmp_path, read(run).config, {}, ())), encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri(), timeout=90_000)
    assert "not run yet" in page.inner_text("#panel-0")
    assert errors == []
    context.close()
