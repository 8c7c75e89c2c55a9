"""The page's server: who is let in, and what it does about tabs, ports and Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from shrinkage.cli import main
from shrinkage.errors import ExploreError
from shrinkage.explorer import _explore, worker
from shrinkage.explorer._explore import prepare, session_of
from shrinkage.explorer.server import Live

Message = dict[str, Any]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    made = session_of("mlp", "digits", columns=("none", "l1"), train_size=200)
    lines: list[str] = []
    server = prepare(made, port=0, runs=tmp_path, say=lines.append)
    server.lines = lines  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.run)
    thread.start()
    wait(lambda: server.is_up)
    yield server
    server.stop()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert not server.worker.is_alive()


def wait(happens: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def page(live: Live, **headers: str) -> ClientConnection:
    origin = headers.pop("origin", live.address.rsplit("/", 2)[0])
    return connect(
        live.address.replace("http", "ws") + "live",
        origin=origin,  # type: ignore[arg-type]
        additional_headers=headers,
        max_size=2**24,
        close_timeout=1,
    )


def ask(tab: ClientConnection, **message: Any) -> None:
    tab.send(json.dumps(message))


def hear(tab: ClientConnection, kind: str, fits: Callable[[Message], object] = bool) -> Message:
    """The next message of a kind that fits; others are skipped."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        message = json.loads(tab.recv(timeout=20))
        if message["kind"] == kind and fits(message):
            return dict(message)
    raise AssertionError(f"no such {kind}")


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class TestDoors:
    def test_the_page_and_all_it_needs_come_from_here(self, live: Live) -> None:
        status, text = get(live.address)
        assert status == 200
        assert "<title>explore" in text
        assert "http:" not in text.replace(live.address, "")
        assert "https:" not in text
        for name in ("main.js", "explore.css", "report.css", "words.js"):
            assert get(live.address + name)[0] == 200

    def test_it_listens_on_this_machine_only(self, live: Live) -> None:
        assert live.address.startswith("http://127.0.0.1:")
        assert live._socket.getsockname()[0] == "127.0.0.1"

    @pytest.mark.parametrize("path", ["", "main.js", "wrong/", "wrong/live", "%2e%2e/"])
    def test_a_wrong_token_sees_one_line(self, live: Live, path: str) -> None:
        status, text = get(f"http://127.0.0.1:{live.port}/{path}")
        assert (status, text) == (
            403, "Wrong token: open the address that shrinkage explore printed.\n")  # fmt: skip

    def test_a_wrong_token_gets_no_socket(self, live: Live) -> None:
        with pytest.raises(InvalidStatus, match="403"):
            connect(f"ws://127.0.0.1:{live.port}/wrong/live",
                    origin=f"http://127.0.0.1:{live.port}")  # type: ignore[arg-type]  # fmt: skip

    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "http://127.0.0.1:1", "null", "https://127.0.0.1", None]
    )
    def test_another_origin_gets_no_socket(self, live: Live, origin: str | None) -> None:
        with pytest.raises(InvalidStatus, match="403"):
            page(live, origin=origin)  # type: ignore[arg-type]

    def test_another_origin_sees_one_line(self, live: Live) -> None:
        status, text = get(live.address, Origin="http://evil.example")
        assert (status, text) == (403, "Another origin: only the page itself may connect.\n")

    def test_another_name_for_this_machine_is_refused(self, live: Live) -> None:
        status, text = get(live.address, Host=f"evil.example:{live.port}")
        assert status == 403
        assert text.startswith("Another host")

    def test_nothing_else_of_this_machine_is_served(self, live: Live) -> None:
        for path in ("../server.py", "%2e%2e/server.py", "saved/x/run.json", "saved/../../x"):
            assert get(live.address + path)[0] in (403, 404)

    def test_answers_allow_no_foreign_script(self, live: Live) -> None:
        with urllib.request.urlopen(live.address) as answer:  # noqa: S310
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self'" in policy
            assert answer.headers["Referrer-Policy"] == "no-referrer"


class TestTabs:
    def test_a_page_trains_turns_and_sees(self, live: Live) -> None:
        with page(live) as tab:
            assert hear(tab, "hello")["title"] == "digits, mlp"
            ask(tab, do="change", changes={"strength": 3e-3})
            assert hear(tab, "glance", lambda m: m["lanes"][1]["knob"] == 3e-3)["step"] == 0
            ask(tab, do="play")
            assert hear(tab, "glance", lambda m: m["lanes"][1]["zeros"] > 1000)["step"] > 10
            ask(tab, do="pause")
            assert not hear(tab, "state", lambda m: not m["playing"])["playing"]

    def test_nonsense_is_answered_in_one_line_and_harms_nobody(self, live: Live) -> None:
        with page(live) as tab:
            for message in ("no json", '{"do": "rm"}', "[]", '{"do":"change","changes":{"lr":-1}}'):
                tab.send(message)
                assert "\n" not in hear(tab, "said")["text"]
            tab.send(b"\x00\xff")
            ask(tab, do="step")
            assert hear(tab, "glance", lambda m: m["step"] == 1)

    def test_two_tabs_show_and_steer_the_same(self, live: Live) -> None:
        with page(live) as first, page(live) as second:
            assert hear(first, "pages", lambda m: m["pages"] == 2)
            ask(second, do="change", changes={"strength": 0.02})
            ask(first, do="step")
            shown = hear(first, "state", lambda m: m["controls"]["columns"][1]["knob"] == 0.02)
            assert "l1@0.02" in shown["query"]
            assert hear(second, "glance", lambda m: m["step"] == 1)

    def test_a_late_tab_sees_at_once_what_there_is(self, live: Live) -> None:
        with page(live) as tab:
            ask(tab, do="step")
            hear(tab, "look", lambda m: m["step"] == 1)
        with page(live) as late:
            assert {json.loads(late.recv(timeout=10))["kind"] for _ in range(4)} == {
                "hello", "state", "glance", "look"}  # fmt: skip

    def test_without_a_tab_training_pauses_and_says_so(
        self, live: Live, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker, "_ALONE", 0.2)
        with page(live) as tab:
            ask(tab, do="play")
            hear(tab, "glance", lambda m: m["step"] > 3)
        wait(lambda: not live.worker.playing)
        wait(lambda: live.lines)  # type: ignore[attr-defined]
        (line,) = live.lines  # type: ignore[attr-defined]
        assert line.startswith("No page is open: training paused at step ")
        with page(live) as tab:
            at = hear(tab, "glance")["step"]
            ask(tab, do="play")
            assert hear(tab, "glance", lambda m: m["step"] > at)

    def test_a_diverging_column_is_said_and_reset_recovers(self, live: Live) -> None:
        with page(live) as tab:
            ask(tab, do="change", changes={"lr": 1e12})
            ask(tab, do="play")
            note = hear(tab, "glance", lambda m: m["lanes"][0]["note"])["lanes"][0]["note"]
            assert note.startswith("Diverged at step")
            assert not live.worker.playing
            ask(tab, do="change", changes={"lr": 0.05})
            ask(tab, do="reset")
            ask(tab, do="play")
            assert hear(tab, "glance", lambda m: m["step"] > 5 and not m["lanes"][0]["note"])

    def test_what_is_saved_can_be_opened(self, live: Live, tmp_path: Path) -> None:
        with page(live) as tab:
            ask(tab, do="step")
            ask(tab, do="save")
            saved = hear(tab, "saved")
            assert Path(saved["folder"]).parent == tmp_path
            assert get(live.address + saved["report"])[0] == 200
            assert get(live.address + saved["report"].replace("report.html", "run.json"))[0] == 404


def test_a_port_in_use_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["shrinkage", "explore", "--port", str(port),
                                        "--model", "mlp", "--no-browser"])  # fmt: skip
            with pytest.raises(SystemExit) as exit_:
                main()
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"port {port} cannot be used: got Address already in use" in error


def test_a_port_out_of_range(tmp_path: Path) -> None:
    made = session_of("mlp", "digits", columns=("none", "l1"))
    with pytest.raises(ExploreError, match="port is out of range"):
        prepare(made, port=70000, runs=tmp_path, say=print)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "shrinkage.explorer.server")
    made = session_of("mlp", "digits", columns=("none", "l1"))
    with pytest.raises(ExploreError, match=r"pip install 'shrinkage\[explore\]'"):
        _explore.prepare(made, port=0, runs=tmp_path, say=print)


NET = """
from torch import nn

def make_net(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.n_inputs, 20), nn.ReLU(),
                         nn.Linear(20, spec.n_outputs))

def broken(spec):
    raise RuntimeError("on\\npurpose")
"""


def test_a_factory_that_raises_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    argv = ["shrinkage", "explore", "digits", "--model", "net.py:broken", "--no-browser"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "the factory broken failed: got RuntimeError: on purpose" in error


def test_ctrl_c_ends_the_command_cleanly_with_a_page_open_and_training(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    program = (  # a test run in the background inherits an ignored Ctrl-C
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from shrinkage.cli import main; main()"
    )
    command = [sys.executable, "-u", "-c", program, "explore", "digits", "--model",
               "net.py:make_net", "--no-browser", "--seed", "3", "--settings",
               "columns=none,l1@0.004&lr=0.1"]  # fmt: skip
    running = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http://"))
        host = address.rsplit("/", 2)[0]
        with connect(address.replace("http", "ws") + "live", origin=host, max_size=2**24,  # type: ignore[arg-type]
                     close_timeout=1) as tab:  # fmt: skip
            assert "seed=3" in hear(tab, "state")["query"]
            ask(tab, do="play")
            shown = hear(tab, "glance", lambda m: m["step"] > 5)
            assert [lane["knob"] for lane in shown["lanes"]] == [0.0, 0.004]
            running.send_signal(signal.SIGINT)
            out, errors = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 0
    assert out == "Stopped.\n"
    assert errors == ""


def test_the_port_is_free_again_whatever_fails(tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]

    def broken(_: str) -> None:
        raise OSError("nobody listens")

    for _ in range(2):  # the second time the port would be in use
        with pytest.raises(ExploreError, match="say failed"):
            _explore.explore("mlp", "digits", port=port, say=broken, browser=False)
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))
