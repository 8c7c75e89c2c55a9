"""Ctrl-C and kill -9 in the middle of a real run, and going on from there."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

Process = subprocess.Popen[str]
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")


def command(run: Path, jobs: int) -> list[str]:
    options = (
        "--tries 2 --seeds 1 --epochs 30 --train-size 100 --model mlp --columns none,l1,magnitude"
    )
    program = (  # a test run in the background inherits an ignored Ctrl-C
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from shrinkage.cli import main; main()"
    )
    return [
        *(sys.executable, "-c", program, "contrast", "digits"),
        *(*options.split(), "--jobs", str(jobs), "--run", str(run)),
    ]


def start(run: Path, jobs: int) -> Process:
    return subprocess.Popen(
        command(run, jobs), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(run: Path, jobs: int) -> None:
    done = subprocess.run(command(run, jobs), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def children(parent: int) -> set[int]:
    """All processes below this one, at any depth."""
    found: set[int] = set()
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    while more := {pid for pid, up in parents.items() if up in {parent, *found}} - found:
        found |= more
    return found


def alive(pids: set[int]) -> set[int]:
    def runs(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state != "Z"

    return {pid for pid in pids if runs(pid)}


def assert_gone(pids: set[int], within: float = 20.0) -> None:
    end = time.monotonic() + within
    while left := alive(pids):
        assert time.monotonic() < end, f"still running: {left}"
        time.sleep(0.1)


def wait_for_points(process: Process, run: Path, count: int = 1) -> None:
    path = run / "points.jsonl"
    end = time.monotonic() + 90
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < end, "no points"
        time.sleep(0.02)


def points(run: Path) -> dict[tuple[str, str], Any]:
    """The points by kind and key; a line in two halves, or a key twice, fails."""
    lines = [json.loads(line) for line in (run / "points.jsonl").read_text().splitlines()]
    counts = Counter((point["kind"], point["key"]) for point in lines)
    assert set(counts.values()) == {1}, counts
    return {(point["kind"], point["key"]): point for point in lines}


def decisions(run: Path) -> Any:
    return json.loads((run / "run.json").read_text())["decisions"]


def weights(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "weights").glob("*.safetensors")}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "uninterrupted"
    finish(run, jobs=1)
    return run


def assert_equal(run: Path, uninterrupted: Path) -> None:
    assert points(run) == points(uninterrupted)
    assert decisions(run) == decisions(uninterrupted)
    assert weights(run) == weights(uninterrupted)
    assert not list(run.rglob("*.part"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_is_one_friendly_line(tmp_path: Path, uninterrupted: Path, jobs: int) -> None:
    run = tmp_path / "run"
    process = start(run, jobs)
    wait_for_points(process, run)
    below = children(process.pid)
    assert bool(below) == (jobs > 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert [line for line in errors.splitlines() if "Stopped" in line] == [
        "Stopped. Finished fits are kept: the same command goes on from there."
    ]
    assert errors.splitlines()[-1].startswith("Stopped")
    assert_gone(below)
    early = {path: path.stat().st_mtime_ns for path in (run / "weights").iterdir()}
    kept = points(run)
    assert kept
    finish(run, jobs=1)
    assert_equal(run, uninterrupted)
    known = {key.replace("/", "_") for kind, key in kept if kind == "fit"}
    rewritten = [p.stem for p, then in early.items() if p.stat().st_mtime_ns != then]
    assert not known.intersection(rewritten)


def test_ctrl_c_to_the_whole_group_while_workers_start(tmp_path: Path) -> None:
    """A terminal sends it to every process: the workers must not print tracebacks."""
    process = subprocess.Popen(
        command(tmp_path / "run", 2),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while len(below := children(process.pid)) < 3:  # two workers and a tracker
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("Stopped")
    assert_gone(below)


def test_killed_at_any_moment_it_goes_on(tmp_path: Path, uninterrupted: Path) -> None:
    run = tmp_path / "run"
    moments = random.Random(0)  # noqa: S311 (any moments will do)
    for count in (1, 4):
        process = start(run, jobs=2)
        wait_for_points(process, run, count)
        time.sleep(moments.uniform(0, 0.3))
        below = children(process.pid)
        process.kill()
        _, errors = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
        assert "Traceback" not in errors
        assert_gone(below)
    finish(run, jobs=2)  # and the number of workers does not matter
    assert_equal(run, uninterrupted)


def test_a_finished_run_computes_nothing_again(uninterrupted: Path) -> None:
    before = {
        path: path.read_bytes()
        for path in uninterrupted.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    times = {path: path.stat().st_mtime_ns for path in before if path.suffix == ".safetensors"}
    finish(uninterrupted, jobs=1)
    assert {path: path.read_bytes() for path in before} == before
    assert {path: path.stat().st_mtime_ns for path in times} == times
