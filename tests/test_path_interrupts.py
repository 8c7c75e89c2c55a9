"""A path that is stopped, killed, run out of disk: nothing is lost, and it ends the same.

``KILLS=20 pytest tests/test_path_interrupts.py -k random`` kills as often at random moments.
"""

import importlib.util
import json
import os
import random
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from torch import nn
from torch.nn import functional

import shrinkage as sh
from killing import (
    alive,
    assert_equal,
    assert_gone,
    children,
    launch,
    points,
    shrinkage,
    wait_for_points,
)
from shrinkage.errors import FitError, RunError
from shrinkage.experiments.fit import Budget
from shrinkage.progress import Progress
from shrinkage.runs import Run

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")
OPTIONS = "--points 6 --seeds 2 --epochs 20 --point-epochs 2 --rounds 1 --train-size 100"


def command(run: Path, *more: object) -> list[str]:
    return shrinkage("path", "digits", "--model", "mlp", *OPTIONS.split(), "--run", run, *more)


def path(run: Path, **more: Any) -> sh.RegularizationPath:
    """The same as ``command``, in this process."""
    size = {"points": 6, "seeds": 2, "epochs": 20, "point_epochs": 2.0, "rounds": 1}
    options = {**size, "train_size": 100, "jobs": 1, **more}
    return sh.path("mlp", "digits", sh.L1(1.0), run=run, **options)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "uninterrupted"
    path(run)
    notes = [fit["shrunk"] for (kind, _), fit in points(run).items() if kind == "fit"]
    assert any(note and "parameters" in note for note in notes)  # so that this goes on as well
    return run


class StopError(KeyboardInterrupt):
    """Stands for whatever stops a run between two points."""


KILLS = int(os.environ.get("KILLS", "2"))
STOPS = (
    ("dense networks", 1), ("range of λ", 0), ("path", 1), ("path", 6), ("extra points", 0),
    ("extra points", 1), ("magnitude", 3), ("test", 1), ("test", 9),
)  # fmt: skip


def test_stopped_in_every_stage_it_goes_on(tmp_path: Path, uninterrupted: Path) -> None:
    run = tmp_path / "run"
    for stage, done in STOPS:

        def stop(event: Progress, moment: tuple[str, int] = (stage, done)) -> None:
            if event.stage == moment[0] and event.done >= moment[1]:
                raise StopError

        with pytest.raises(StopError):
            path(run, progress=stop)
        with (run / "points.jsonl").open("a") as file:  # what a kill may leave besides
            file.write('{"kind": "fit", "key": "1/0.0')
    path(run)
    assert_equal(run, uninterrupted)


def test_killed_between_the_weights_and_their_point(
    tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, run = Run.append, tmp_path / "run"

    def killed(self: Run, point: Any) -> None:
        if len(self.points) == 7:
            name = point.key.replace("/", "_")
            (self.folder / "weights" / f"{name}.safetensors.part").write_bytes(b"half a file")
            raise StopError
        append(self, point)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "append", killed)
        with pytest.raises(StopError):
            path(run)
    stored = {file.stem for file in (run / "weights").glob("*.safetensors")}
    assert stored - {key.replace("/", "_") for _, key in points(run)}  # weights without a point
    path(run)
    assert_equal(run, uninterrupted)


def loky_workers(below: set[int]) -> list[int]:
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in alive(below)}
    return sorted(pid for pid, words in commands.items() if b"popen_loky" in words)


def test_random_kills(tmp_path: Path, uninterrupted: Path) -> None:
    """Kill the parent or a worker, after some more points and a moment; each time go on."""
    run, chance = tmp_path / "0", random.Random(0)  # noqa: S311 (any moments will do)
    kills = 0
    while kills < KILLS:
        done = run_length(run)
        if done == run_length(uninterrupted):  # it outran the last kills: once more from the start
            path(run)
            assert_equal(run, uninterrupted)
            run, done = tmp_path / str(kills), 0
        process = launch(command(run, "--jobs", 2))
        wait_for_points(process, run, done + chance.randrange(4), may_end=True)
        time.sleep(chance.uniform(0, 0.4))
        below = children(process.pid)
        victim = chance.choice([process.pid, *loky_workers(below)])
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        _, errors = process.communicate(timeout=100)
        assert "Traceback" not in errors, errors
        assert process.returncode in {-signal.SIGKILL, 2, 0}, errors  # 2: a worker process died
        assert_gone(below)
        kills += process.returncode != 0
        what = "the parent" if victim == process.pid else "a worker"
        print(f"kill {kills}: {what} after {done} → {run_length(run)} points")  # noqa: T201
    path(run)
    assert_equal(run, uninterrupted)


def run_length(run: Path) -> int:
    return len(points(run)) if (run / "points.jsonl").exists() else 0


def test_ctrl_c_is_one_friendly_line(tmp_path: Path, uninterrupted: Path) -> None:
    run = tmp_path / "run"
    process = launch(command(run, "--jobs", 2), start_new_session=True)
    wait_for_points(process, run, 3)
    below = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to every process
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("Stopped. Finished fits are kept")
    assert_gone(below)
    path(run)
    assert_equal(run, uninterrupted)
    kept = json.loads((run / "run.json").read_text())["decisions"]["command"]
    assert kept.startswith("shrinkage path"), "going on from Python erased the command line"


def ray_workers(parent: int) -> set[int]:
    names = (b"ray::IDLE", b"ray::_call")
    below = children(parent)
    return {p for p in below if Path(f"/proc/{p}/cmdline").read_bytes().startswith(names)}


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray")
def test_kills_on_ray(tmp_path: Path, uninterrupted: Path) -> None:
    """A worker that is killed is replaced; a parent that is killed takes its workers with it."""
    run = tmp_path / "run"
    process = launch(command(run, "--jobs", 2, "--engine", "ray"))
    wait_for_points(process, run, 2)
    workers = ray_workers(process.pid)
    os.kill(min(workers), signal.SIGKILL)
    wait_for_points(process, run, 8)
    workers |= ray_workers(process.pid)
    process.kill()
    process.communicate(timeout=60)
    assert_gone(workers)  # Ray's own agents take a minute to notice
    path(run)
    assert_equal(run, uninterrupted)


def test_a_second_process_on_the_folder(tmp_path: Path, uninterrupted: Path) -> None:
    before = points(uninterrupted)
    with FileLock(uninterrupted / ".lock"), pytest.raises(RunError, match="folder is in use"):
        path(uninterrupted)
    assert points(uninterrupted) == before


def test_another_configuration(uninterrupted: Path) -> None:
    before = points(uninterrupted)
    with pytest.raises(RunError, match=r"another configuration: got grid.points = 9"):
        path(uninterrupted, points=9)
    assert points(uninterrupted) == before


def test_a_full_disk(tmp_path: Path, uninterrupted: Path) -> None:
    """A limit on file sizes, which the kernel enforces as it does a full disk: half a line fits."""
    run, most = tmp_path / "run", 50_000
    process = launch(
        command(run, "--jobs", 1),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    told = [line for line in errors.splitlines() if "cannot be written" in line]
    assert len(told) == 1
    assert "Traceback" not in errors
    kept, whole = points(run), points(uninterrupted)
    assert 3 < len(kept) < len(whole)
    assert kept == {name: whole[name] for name in kept}
    path(run)
    assert_equal(run, uninterrupted)


def test_a_seed_whose_dense_network_diverges(tmp_path: Path) -> None:
    """There is nothing to start its chain from: the run says so at once, and says it again."""

    def train(model: nn.Module, plan: sh.Plan, budget: Budget) -> None:
        sgd = torch.optim.SGD(model.parameters(), lr=1e30 if budget.seed == 1 else 0.1)
        sh.attach(sgd, plan)
        for x, y in budget.batches(32):
            sgd.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            sgd.step()

    for _ in range(2):
        with pytest.raises(FitError, match=r"dense network cannot be trained.*--lr"):
            path(tmp_path / "run", train=train, epochs=1, point_epochs=1.0, points=3)
