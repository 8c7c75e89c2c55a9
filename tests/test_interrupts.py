"""Ctrl-C and kill -9 in the middle of a real run, and going on from there."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from killing import (
    Process,
    assert_equal,
    assert_gone,
    children,
    launch,
    points,
    shrinkage,
    wait_for_points,
)
from shrinkage.cli import app

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")
OPTIONS = "--tries 2 --seeds 1 --epochs 30 --train-size 100 --model mlp --columns none,l1,magnitude"


def command(run: Path, jobs: int) -> list[str]:
    return shrinkage("contrast", "digits", *OPTIONS.split(), "--jobs", jobs, "--run", run)


def start(run: Path, jobs: int) -> Process:
    return launch(command(run, jobs))


def finish(run: Path) -> None:
    """The same command once more, in this process."""
    parts = command(run, 1)
    app(parts[parts.index("contrast") :], standalone_mode=False)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "uninterrupted"
    finish(run)
    return run


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
    early = {path: path.stat().st_mtime_ns for path in (run / "weights").glob("*.safetensors")}
    kept = points(run)
    assert kept
    finish(run)
    assert_equal(run, uninterrupted)
    known = {key.replace("/", "_") for kind, key in kept if kind == "fit"}
    rewritten = [p.stem for p, then in early.items() if p.stat().st_mtime_ns != then]
    assert not known.intersection(rewritten)


def test_ctrl_c_to_the_whole_group_while_workers_start(tmp_path: Path) -> None:
    """A terminal sends it to every process: the workers must not print tracebacks."""
    process = launch(command(tmp_path / "run", 2), start_new_session=True)
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
    finish(run)  # and the number of workers does not matter
    assert_equal(run, uninterrupted)


def test_a_finished_run_computes_nothing_again(uninterrupted: Path) -> None:
    before = {
        path: path.read_bytes()
        for path in uninterrupted.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    times = {path: path.stat().st_mtime_ns for path in before if path.suffix == ".safetensors"}
    finish(uninterrupted)
    assert {path: path.read_bytes() for path in before} == before
    assert {path: path.stat().st_mtime_ns for path in times} == times
