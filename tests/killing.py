"""Helpers for tests that interrupt and kill real runs, and look at what is left of them."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

Process = subprocess.Popen[str]
PROGRAM = (  # a test run in the background inherits an ignored Ctrl-C
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from shrinkage.cli import main; main()"
)


def shrinkage(*arguments: object) -> list[str]:
    """The command line as a new process has it."""
    return [sys.executable, "-c", PROGRAM, *map(str, arguments)]


def launch(command: list[str], **options: Any) -> Process:
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options
    )


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


def wait_for_points(process: Process, run: Path, count: int = 1, *, may_end: bool = False) -> None:
    path = run / "points.jsonl"
    end = time.monotonic() + 200  # a machine may be busy
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        if process.poll() is not None:
            assert may_end, "it ended too early"
            return
        assert time.monotonic() < end, "no points"
        time.sleep(0.02)


def points(run: Path) -> dict[tuple[str, str], Any]:
    """The points by kind and key; a broken line that is not the last, or a key twice, fails."""
    text = (run / "points.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    counts = Counter((point["kind"], point["key"]) for point in lines)
    assert set(counts.values()) <= {1}, counts
    return {(point["kind"], point["key"]): point for point in lines}


def decisions(run: Path) -> dict[str, Any]:
    """All but the command line, which a run begun in Python does not have."""
    found: dict[str, Any] = json.loads((run / "run.json").read_text())["decisions"]
    return {name: value for name, value in found.items() if name != "command"}


def weights(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "weights").glob("*.safetensors")}


def assert_equal(run: Path, uninterrupted: Path) -> None:
    assert points(run) == points(uninterrupted)
    assert decisions(run) == decisions(uninterrupted)
    assert weights(run) == weights(uninterrupted)
    assert not list(run.rglob("*.part"))
