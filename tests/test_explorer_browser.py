"""The live page in a real browser: the dial, the zeros, stories, tour, saving, every size."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log10
from pathlib import Path
from typing import Any

import pytest

from shrinkage.data import load
from shrinkage.explorer._explore import prepare, session_of
from shrinkage.explorer.server import Live

pytestmark = pytest.mark.browser
WAIT = 40_000


def mark(strength: float) -> int:
    """Where the dial stands at λ: 0, then 24 marks a decade from 1e-4 on."""
    return round(24 * (log10(strength) + 4)) + 1 if strength else 0


@dataclass
class Visit:
    """An open page and everything it complained about or asked for elsewhere."""

    page: Any
    address: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def open(self, link: str = "") -> None:
        self.page.on("console", lambda m: self.complaints.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.goto(self.address + link, timeout=90_000)
        self.page.wait_for_selector("#column-l1 .score:not(:text('—'))", timeout=WAIT)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.strangers.append(url)

    def turn(self, strength: float) -> None:
        self.drag("#strength", mark(strength))

    def drag(self, dial: str, mark: int) -> None:
        move = "(d, mark) => { d.value = mark; d.dispatchEvent(new Event('input')) }"
        self.page.eval_on_selector(dial, move, mark)

    def zeros(self, column: str) -> int:
        return int(self.page.get_attribute(f"#column-{column} .zeros", "data-count"))

    def size(self) -> int:
        return int(self.page.inner_text("#column-l1 .of").split(" of ")[1].replace(",", ""))

    def until(self, script: str, arg: object = None) -> None:
        self.page.wait_for_function(script, arg=arg, timeout=WAIT)

    def zeros_of_l1(self, relation: str, count: float) -> None:
        zeros = "Number(document.querySelector('#column-l1 .zeros').dataset.count)"
        self.until(f"(n) => {zeros} {relation} n", count)

    def reads(self, selector: str, text: str) -> None:
        """Wait until a part of the page reads so, or contains it."""
        script = "([s, t]) => document.querySelector(s)?.textContent.includes(t)"
        self.until(script, [selector, text])


def serve(session: Any, runs: Path) -> Iterator[Live]:
    server = prepare(session, port=0, runs=runs, say=lambda _: None)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.is_up:
        time.sleep(0.02)
    yield server
    server.stop()
    thread.join(timeout=20)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    yield from serve(session_of("cnn", "digits"), tmp_path / "runs")


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    contexts = []

    def go(server: Live, width: int = 1280, scheme: str = "light", link: str = "") -> Visit:
        size = {"width": width, "height": 860}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        result = Visit(contexts[-1].new_page(), server.address)
        result.open(link)
        return result

    yield go
    for context in contexts:
        context.close()


def test_the_first_screen_is_four_columns_a_dial_and_play(live: Live, visit: Any) -> None:
    seen = visit(live)
    assert seen.page.inner_text("#play") == "Play"
    assert seen.page.inner_text("#strength-text") == "0"
    for name in ("none", "l1_term", "l1", "l2"):
        box = seen.page.query_selector(f"#column-{name}").bounding_box()
        assert box["y"] + box["height"] <= 860
    assert seen.strangers == []
    assert seen.complaints == []


def test_the_dial_makes_zeros_and_gives_the_weights_back(live: Live, visit: Any) -> None:
    seen = visit(live)
    seen.page.click("#play")
    step = "Number(document.querySelector('#clock').textContent.match(/step (\\d+)/)[1])"
    seen.until(f"() => {step} > 100")  # random weights may collapse for good under so strong a λ
    seen.until("() => / [0-9,]+ steps.s$/.test(document.querySelector('#clock').textContent)")
    assert seen.zeros("l1") == seen.zeros("l1_term") == 0
    seen.turn(3.2e-3)
    seen.reads("#column-l1 .knob", "λ = 0.0032")
    seen.zeros_of_l1(">", 0.5 * seen.size())
    many = seen.zeros("l1")
    assert seen.zeros("l1_term") == seen.zeros("l2") == seen.zeros("none") == 0
    assert "some" in seen.page.get_attribute("#column-l1 .zeros", "class")
    seen.turn(0)
    seen.zeros_of_l1("<", 0.5 * many)
    seen.page.click("#play")
    seen.reads("#play", "Play")
    assert seen.complaints == []


def test_every_change_of_the_dial_is_shown(live: Live, visit: Any) -> None:
    """How soon: ``benchmarks/explore.py``."""
    seen = visit(live)
    seen.page.click("#play")
    for strength in (3.2e-4, 1.8e-3, 5.6e-4, 3.2e-3, 1e-3):
        seen.turn(strength)
        seen.reads("#column-l1 .knob", f"λ = {strength:g}")
    assert seen.complaints == []


def test_a_filter_and_a_weight_tell_their_stories(live: Live, visit: Any) -> None:
    seen = visit(live)
    seen.page.click("#reset")
    seen.turn(1e-3)
    seen.page.click("#play")
    seen.zeros_of_l1(">", 100)
    seen.page.click("#column-l1 [data-picture=first] canvas", position={"x": 20, "y": 15})
    seen.page.wait_for_selector("#story li[data-column=l1] .sentence", timeout=WAIT)
    assert seen.page.inner_text("#story h2") == "conv1.weight, filter 1"
    sheet = seen.page.query_selector("#story").bounding_box()
    for part in ("weights", "first"):
        own = seen.page.query_selector(f"#column-l1 [data-picture={part}]").bounding_box()
        assert own["y"] + own["height"] <= sheet["y"]
    sentence = seen.page.inner_text("#story li[data-column=l1] .sentence")
    assert "zero" in sentence
    assert "price" in sentence
    assert "No price on it" in seen.page.inner_text("#story li[data-column=none] .sentence")
    seen.page.click("#column-l1 [data-picture=weights] canvas", position={"x": 16, "y": 100})
    seen.until("() => !document.querySelector('#story h2').textContent.includes('filter')")
    seen.reads("#story li[data-column=l1] .facts", "threshold 0.001")
    seen.page.keyboard.press("Escape")
    seen.page.wait_for_selector("#story", state="hidden")
    seen.page.click("#play")
    assert seen.complaints == []


def test_reset_goes_back_to_the_start(live: Live, visit: Any) -> None:
    seen = visit(live)
    seen.page.click("#step")
    seen.until("() => !document.querySelector('#clock').textContent.startsWith('step 0')")
    seen.page.click("#reset")
    seen.reads("#clock", "step 0 · epoch 0")
    assert seen.zeros("l1") == 0
    seen.page.click("#epoch")
    seen.reads("#clock", "epoch 1")
    seen.reads("#play", "Play")
    assert seen.complaints == []


def test_every_mark_of_the_dial_is_another_strength(live: Live, visit: Any) -> None:
    seen = visit(live)
    found = seen.page.evaluate(
        """async () => {
          const { toMark, toStrength } = await import("./words.js");
          const dial = document.getElementById("strength");
          const marks = [...Array(Number(dial.max) + 1).keys()], values = marks.map(toStrength);
          return { values, back: values.map(toMark), marks };
        }"""
    )  # fmt: skip
    values = found["values"]
    assert values == sorted(set(values))
    assert (values[0], values[1], values[-1]) == (0, 1e-4, 0.01)
    assert found["back"] == found["marks"]
    assert seen.page.inner_text("#dial .ticks").split() == ["0", "10⁻⁴", "10⁻³", "10⁻²"]


def test_a_network_put_to_sleep_says_why_and_is_woken(live: Live, visit: Any) -> None:
    seen = visit(live)
    seen.page.click("#reset")
    seen.page.click("#settings summary")
    seen.page.select_option("#dial-end", "0.1")
    seen.page.click("#settings summary")
    seen.turn(0.1)
    seen.page.click("#play")
    seen.reads("#column-l1 .stopped", "a saddle")
    assert seen.zeros("l1") == seen.size()
    seen.turn(0)
    seen.page.click("#column-l1 .stopped button")
    seen.page.wait_for_selector("#column-l1 .stopped", state="hidden", timeout=WAIT)
    seen.zeros_of_l1("==", 0)
    seen.page.click("#play")
    assert seen.complaints == []


def test_a_diverged_network_shows_no_numbers_of_before(live: Live, visit: Any) -> None:
    seen = visit(live)
    seen.page.click("#reset")
    seen.page.click("#epoch")
    seen.reads("#clock", "epoch 1")
    seen.page.click("#settings summary")
    seen.page.fill("#controls [name=lr]", "1e12")
    seen.page.keyboard.press("Tab")
    seen.page.click("#play")
    seen.reads("#column-l1 .stopped", "Diverged")
    seen.reads("#column-l1 .sum", "loss —")
    assert seen.page.inner_text("#column-l1 .score") == "—"
    assert seen.page.inner_text("#column-l1 .train") == "training —"
    seen.page.fill("#controls [name=lr]", "0.05")
    seen.page.keyboard.press("Tab")
    seen.page.click("#reset")
    seen.reads("#column-l1 .score", "%")
    assert seen.complaints == []


def test_settings_change_what_is_trained(live: Live, visit: Any) -> None:
    seen = visit(live)
    seen.page.click("#settings summary")
    seen.page.select_option("#controls [name=optimizer]", "adam")
    seen.reads("#settings-text", "adam, learning rate 0.001")
    seen.page.uncheck("#linked")
    seen.drag("#column-l2 .own", mark(0.01))
    seen.reads("#column-l2 .knob", "λ = 0.01")
    assert seen.page.inner_text("#strength-text") == "each its own"
    seen.page.select_option("#column-l1_term select", "dropout")
    seen.page.wait_for_selector("#column-dropout", timeout=WAIT)
    seen.page.fill("#controls [name=lr]", "-1")
    seen.page.keyboard.press("Enter")
    seen.page.keyboard.press("Tab")
    seen.page.wait_for_selector("#said:has-text('learning rate is out of range')", timeout=WAIT)
    seen.page.select_option("#column-dropout select", "l1_term")
    seen.page.wait_for_selector("#column-l1_term", timeout=WAIT)
    seen.page.select_option("#controls [name=optimizer]", "sgd")
    assert seen.complaints == []


def test_the_tour_sets_the_controls_and_judges_live(live: Live, visit: Any) -> None:
    seen = visit(live)
    seen.page.click("#tour-open")
    seen.page.wait_for_selector("#tour .verdict:text-is('seen')", timeout=WAIT)
    assert "λ·Σ|w|" in seen.page.inner_text("#tour .live")
    assert seen.page.query_selector("#column-l1 .split.focus")
    seen.page.click("#tour [data-go=on]")
    seen.reads("#tour .place", "2 of 15")
    seen.until("() => document.querySelector('#controls [name=biases]').checked")
    seen.page.click("#tour [data-go=end]")
    seen.page.wait_for_selector("#tour", state="hidden")
    assert not seen.page.query_selector(".focus")
    seen.page.click("#play")
    assert seen.complaints == []


def test_the_tour_of_a_network_without_dropout_has_an_end(
    visit: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for server in serve(session_of("linear", "digits"), tmp_path_factory.mktemp("runs")):
        seen = visit(server)
        seen.page.click("#tour-open")
        for step in range(1, 14):
            seen.reads("#tour .place", f"{step} of 14")
            seen.page.click("#tour [data-go=on]")
        seen.reads("#tour .place", "14 of 14")
        seen.page.click("#tour [data-go=on]:text-is('End')")
        seen.page.wait_for_selector("#tour", state="hidden")
        assert seen.complaints == []


def test_what_is_on_screen_is_kept(live: Live, visit: Any, tmp_path: Path) -> None:
    seen = visit(live, link="#columns=none,l1_term@0.002,l1@0.002,l2@0.002&lr=0.02&seed=4")
    seen.reads("#settings-text", "learning rate 0.02")
    assert seen.page.inner_text("#strength-text") == "0.002"
    assert "seed 4" in seen.page.inner_text("#settings-text")
    with seen.page.expect_download() as found:
        seen.page.click("#picture")
    found.value.save_as(tmp_path / "explore.png")
    assert (tmp_path / "explore.png").stat().st_size > 20_000
    seen.page.click("#save")
    seen.page.wait_for_selector("#said a", timeout=WAIT)
    with seen.page.expect_popup() as popup:
        seen.page.click("#said a")
    report = popup.value
    report.wait_for_selector("html[data-figures=drawn]", state="attached", timeout=WAIT)
    assert "L1 exact" in report.inner_text("#screen")
    assert seen.complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_nothing_overflows(live: Live, visit: Any, width: int, scheme: str) -> None:
    seen = visit(live, width, scheme)
    seen.page.click("#column-l1 [data-picture=first] canvas", position={"x": 10, "y": 10})
    seen.page.wait_for_selector("#story .sentence", timeout=WAIT)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    box = "document.querySelector('{}').getBoundingClientRect()".format
    clicked, story = box("#column-l1 [data-picture=first]"), box("#story")
    seen.until(f"() => {clicked}.bottom <= {story}.top")
    texts = ".big dt, .big dd, .knob, .sum, .picture h3, .facts, .ticks"
    cut = """(texts) => [...document.querySelectorAll(texts)]
      .filter((part) => part.offsetParent && part.scrollWidth > part.clientWidth + 1)
      .map((part) => part.textContent)"""
    assert seen.page.evaluate(cut, texts) == []
    paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(20, 23, 27)") == (scheme == "dark")
    seen.page.keyboard.press("Escape")
    assert seen.complaints == []


def test_a_second_tab_is_said_and_both_move(live: Live, visit: Any) -> None:
    first, second = visit(live), visit(live)
    first.page.wait_for_selector("#said:has-text('Open in 2 tabs')", timeout=WAIT)
    second.turn(3.2e-4)
    first.reads("#strength-text", "0.00032")
    second.page.context.close()
    first.page.wait_for_selector("#said", state="hidden", timeout=WAIT)


def test_an_ended_program_is_said(browser: Any, visit: Any, tmp_path: Path) -> None:
    serving = serve(session_of("mlp", "digits", columns=("none", "l1"), train_size=100), tmp_path)
    seen = visit(next(serving))
    next(serving, None)
    seen.page.wait_for_selector("#said:has-text('has ended')", timeout=WAIT)


def test_tables_show_their_columns(browser: Any, visit: Any, tmp_path: Path) -> None:
    made = session_of(None, load("breast_cancer"), columns=("none", "l1", "l2", "group_l1"))
    serving = serve(made, tmp_path)
    seen = visit(next(serving))
    seen.turn(0.01)
    seen.page.click("#play")
    seen.zeros_of_l1(">", 0.5 * seen.size())
    assert seen.page.query_selector("#column-l1 [data-picture=pixels] canvas")
    assert seen.complaints == []
    next(serving, None)
