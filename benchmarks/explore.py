"""What the live page costs: training with it and without, updates a second, dial to screen.

python benchmarks/explore.py [SECONDS] [DATA MODEL]
Training alone and training under a page (headless Chromium at 1280×860, everything drawn) take
turns in one run on the same networks; medians over the turns. Needs the extras explore and dev.
"""

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import sync_playwright

from shrinkage.explorer._explore import prepare, session_of
from shrinkage.explorer.server import Live
from shrinkage.explorer.session import Session

TURNS = 5
DIAL = """async () => {
  const dial = document.getElementById("strength");
  const shown = document.querySelector("#column-l1 .knob"), times = [];
  for (const mark of [13, 31, 19, 37, 25, 16, 34, 22, 28, 25]) {
    await new Promise((done) => setTimeout(done, 650 + 37 * times.length));
    const before = shown.textContent, start = performance.now();
    dial.value = mark;
    dial.dispatchEvent(new Event("input"));
    while (shown.textContent === before) await new Promise((done) => requestAnimationFrame(done));
    times.push(performance.now() - start);
  }
  return times;
}"""


def alone(session: Session, seconds: float) -> float:
    """Steps per second of bare training."""
    end, before = time.perf_counter() + seconds, session.step
    while time.perf_counter() < end:
        session.advance()
    return (session.step - before) / seconds


def watched(live: Live, page: Any, seconds: float) -> tuple[float, float]:
    """Steps and updates per second under a page."""
    page.click("#play")
    page.wait_for_function("() => document.querySelector('#play').textContent === 'Pause'")
    glances = "Number(document.documentElement.dataset.glances)"
    start, steps, seen = time.perf_counter(), live.worker.session.step, page.evaluate(glances)
    time.sleep(seconds)
    took = time.perf_counter() - start
    rates = (live.worker.session.step - steps) / took, (page.evaluate(glances) - seen) / took
    page.click("#play")
    page.wait_for_function("() => document.querySelector('#play').textContent === 'Play'")
    return rates


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    data, model = sys.argv[2:4] if len(sys.argv) > 3 else ("digits", "cnn")
    torch.set_num_threads(1)
    session = session_of(model, data)
    session.change({"strength": 1e-3})
    alone(session, 1.0)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        live = prepare(session, port=0, runs=Path(folder), say=lambda _: None)
        thread = threading.Thread(target=live.run)
        thread.start()
        while not live.is_up:
            time.sleep(0.02)
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(live.address)
        page.wait_for_selector("#column-l1 .score:not(:text('—'))")
        rows = []
        for _ in range(TURNS):
            bare = alone(session, seconds)  # the worker waits for a command meanwhile
            rows.append((bare, *watched(live, page, seconds)))
        page.click("#play")
        times = sorted(page.evaluate(DIAL))
        browser.close()
        live.stop()
        thread.join()
    bare, under, updates = (statistics.median(column) for column in zip(*rows, strict=True))
    slower = statistics.median(1 - w / b for b, w, _ in rows)
    print(
        f"{data}, {model}: {len(session.lanes)} networks, medians of {TURNS} turns of {seconds:g} s"
    )
    print(f"steps/s without a page {bare:.0f}, with it {under:.0f}: {100 * slower:.0f} % slower")
    print(f"updates/s {updates:.1f}")
    print(f"dial to screen: median {times[len(times) // 2]:.0f} ms, longest {times[-1]:.0f} ms")


if __name__ == "__main__":
    main()
