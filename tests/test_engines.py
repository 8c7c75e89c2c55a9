"""Engines: the same results in this process, over the cores and on Ray; deaths and errors.

Whole paths over processes and on Ray: ``test_path_interrupts``.
"""

import importlib.util
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pytest
import torch

import shrinkage as sh
from shrinkage.errors import FitError, PlanError, RunError
from shrinkage.experiments.runner import Staff, Workers
from shrinkage.experiments.runner.desk import left, taken

HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="needs the extra ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One small cluster for all tests; an engine without an address takes what it finds."""
    ray = pytest.importorskip("ray")
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(params=["here", "process", pytest.param("ray", marks=needs_ray)])
def staff(request: pytest.FixtureRequest) -> Staff:
    if request.param == "ray":
        request.getfixturevalue("cluster")
        return Staff(2, "ray")
    return {"here": Staff(1), "process": Staff(2, "process")}[request.param]


def work(
    function: Callable[..., Any], shared: Any, jobs: Sequence[Any], staff: Staff, threads: int = 1
) -> Generator[tuple[Any, Any], None, None]:
    with Workers(staff.engine_for(shared, threads=threads)) as workers:
        yield from workers.work(function, jobs)


@dataclass(frozen=True)
class Shared:
    base: torch.Tensor
    twist: Callable[[float], float]


def compute(shared: Shared, job: dict[str, int]) -> list[float]:
    """Depends on its job alone: seeds its own generator."""
    generator = torch.Generator().manual_seed(job["seed"])
    noise = torch.randn(3, generator=generator)
    return [shared.twist(v) for v in (shared.base * noise).tolist()]


def by_seed(results: Any) -> dict[int, Any]:
    return {job["seed"]: value for job, value in results}


JOBS = [{"seed": seed} for seed in range(5)]  # dictionaries: jobs need not be hashable


def test_results_do_not_depend_on_the_engine_or_order(staff: Staff) -> None:
    offset = 1.0
    shared = Shared(torch.arange(3.0), lambda v: 2 * v + offset)  # a lambda inside the data
    expected = {job["seed"]: compute(shared, job) for job in JOBS}

    def tell(shared: Shared, job: dict[str, int]) -> tuple[list[float], int, int]:
        return compute(shared, job), os.getpid(), torch.get_num_threads()

    def step(shared: Shared, job: tuple[str, int]) -> int:
        return int(shared.twist(job[1]))

    def then(job: tuple[str, int], result: int) -> tuple[str, int] | None:
        return (job[0], result) if result < 40 else None

    with Workers(staff.engine_for(shared, threads=1)) as workers:
        for jobs in (JOBS, JOBS[::-1]):
            told = by_seed(workers.work(tell, jobs))
            assert {seed: value for seed, (value, _, _) in told.items()} == expected
            assert {threads for _, _, threads in told.values()} == {1}
            assert {pid == os.getpid() for _, pid, _ in told.values()} == {staff == Staff(1)}
        assert list(workers.work(tell, [])) == []
        chains = list(workers.work(step, [("a", 1), ("b", 7)], then))  # each from its own result
    assert [result for (name, _), result in chains if name == "a"] == [3, 7, 15, 31, 63]
    assert [result for (name, _), result in chains if name == "b"] == [15, 31, 63]


def fails(_shared: object, kind: str) -> None:
    if kind == "plan":
        raise PlanError("wrong", got=kind, expected="another", remedy="Try again.")
    raise KeyError(kind)


def test_an_exception_comes_through_with_its_type(staff: Staff) -> None:
    with Workers(staff.engine_for(None, threads=1)) as workers:
        with pytest.raises(PlanError, match=r"wrong: got plan; expected another.") as caught:
            list(workers.work(fails, ["plan"]))
        with pytest.raises(KeyError, match="key"):
            list(workers.work(fails, ["key"]))
    assert caught.value.remedy == "Try again."


def test_a_worker_process_that_dies() -> None:
    with pytest.raises(RunError, match=r"worker process died.*--jobs 1"):
        list(work(lambda shared, job: os._exit(3), None, [1, 2], Staff(2)))


@pytest.mark.skipif(not Path("/bin/false").exists(), reason="needs a program that ends at once")
def test_a_worker_that_dies_before_it_has_read_what_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a pipe holds: whoever writes it into one waits for a reader without end."""
    elsewhere = SimpleNamespace(**{**vars(sys), "executable": "/bin/false"})
    monkeypatch.setattr("loky.backend.popen_loky_posix.sys", elsewhere)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(RunError, match="worker process died"):
        list(work(lambda shared, job: job, bytes(10**6), [1, 2], Staff(2, "process")))
    assert not list(tmp_path.glob("shrinkage-*"))


def die_half_way(_: None, job: int) -> bytes:
    """A large result; whoever sends a long message from here dies when half of it is written."""
    whole = Connection._send  # type: ignore[attr-defined]

    def half(self: Any, message: Any, *more: Any) -> None:
        if len(message) > select.PIPE_BUF:
            os.write(self.fileno(), bytes(message[: len(message) // 2]))
            os.kill(os.getpid(), signal.SIGKILL)
        whole(self, message, *more)

    if job == 1:
        Connection._send = half  # type: ignore[attr-defined]
    return bytes(1_000_000)


@pytest.mark.timeout(60)
def test_no_worker_can_die_half_way_through_a_message() -> None:
    """The reader would wait for the rest without end: the other worker keeps the pipe open."""
    results = work(die_half_way, None, range(6), Staff(2, "process"))
    assert [len(result) for _, result in results] == [1_000_000] * 6


def test_what_goes_through_a_pipe_is_short_whatever_the_result(tmp_path: Path) -> None:
    path = left(tmp_path, lambda: bytes(10_000_000))
    assert len(cloudpickle.dumps(path)) < select.PIPE_BUF
    assert len(taken(path)) == 10_000_000
    assert list(tmp_path.iterdir()) == []


class Odd(Exception):  # noqa: N818
    """Takes more than it is pickled with."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def test_an_error_that_cannot_be_pickled_comes_through_in_words(tmp_path: Path) -> None:
    def fails() -> None:
        raise Odd("so ", "odd")

    with pytest.raises(RuntimeError, match="so odd"):
        taken(left(tmp_path, fails))


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a result cannot be handed over"):
        left(tmp_path / "gone", lambda: 1)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="this system has no masks")
def test_ctrl_c_never_reaches_a_worker_even_while_it_starts() -> None:
    def held(_: Any, __: int) -> bool:
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    assert [is_held for _, is_held in work(held, None, range(2), Staff(2, "process"))] == [True] * 2
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_this_process_gets_its_threads_back() -> None:
    before = torch.get_num_threads()
    running = work(lambda s, j: torch.get_num_threads(), None, [1, 2], Staff(1), before + 1)
    assert next(running) == (1, before + 1)
    running.close()
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        list(work(lambda s, j: 1 // j, None, [0], Staff(1), before + 1))
    assert torch.get_num_threads() == before


# ---------------------------------------------------------------------------------------- ray


def killed_once(folder: Path, job: int) -> int:
    """The first worker that takes job 1 is killed in the middle of it."""
    mark = folder / "killed"
    if job == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * job


@needs_ray
def test_a_killed_worker_is_survived(cluster: None, tmp_path: Path) -> None:
    results = dict(work(killed_once, tmp_path, [0, 1, 2], Staff(2, "ray")))
    assert (tmp_path / "killed").exists()
    assert results == {0: 0, 1: 10, 2: 20}
    assert importlib.import_module("ray").is_initialized()  # a cluster that was found is left


@needs_ray
def test_a_job_that_kills_every_worker(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shrinkage.experiments.runner.cluster._RETRIES", 1)

    def deadly(folder: Path, job: int) -> None:
        (folder / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RunError, match=r"a job on the Ray cluster was lost.*fits are kept"):
        list(work(deadly, tmp_path, [1], Staff(2, "ray")))
    assert len(list(tmp_path.iterdir())) == 2  # and once more


def silent_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@needs_ray
@pytest.mark.parametrize("prefix", ["", "ray://"])
def test_a_cluster_that_cannot_be_reached(prefix: str, tmp_path: Path) -> None:
    address = f"{prefix}127.0.0.1:{silent_port()}"
    with pytest.raises(RunError, match=rf"cluster cannot be reached: got {address}: .*refused"):
        path(tmp_path / "run", address=address)
    assert not (tmp_path / "run").exists()  # nothing was begun


@needs_ray
def test_an_address_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be reached: got nonsense"):
        list(work(compute, None, JOBS, Staff(address="nonsense")))


# ------------------------------------------------------------------------------------- choice


def test_the_engine_that_is_chosen() -> None:
    def kind(staff: Staff, **options: Any) -> str:
        return type(staff.engine_for(None, threads=1, **options)).__name__

    assert kind(Staff(1)) == "Here"
    assert kind(Staff(4), chains=1) == "Here"
    assert kind(Staff(4), chains=3) == "Processes"
    assert kind(Staff(1, "process")) == "Processes"
    if HAS_RAY:
        assert kind(Staff(1, "ray")) == "Cluster"
        assert kind(Staff(address="auto")) == "Cluster"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "rey"}, r"engine is unknown: got 'rey'; .*Did you mean 'ray'\?"),
        ({"engine": "process", "address": "auto"}, r"address has no meaning here"),
        ({"jobs": 2, "address": "auto"}, r"jobs has no meaning here"),
        ({"jobs": 0}, r"jobs is out of range"),
    ],
)
def test_choices_without_meaning(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(FitError, match=message):
        path(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shrinkage.experiments.runner.staff.has_ray", lambda: False)
    with pytest.raises(FitError, match=r"needs Ray: .*pip install 'shrinkage\[ray\]'"):
        Staff(engine="ray")
    assert Staff().engine == "auto"


# -------------------------------------------------------------------------------------- paths


def path(run: Path, **options: Any) -> sh.RegularizationPath:
    size = {"points": 5, "refine": 1, "seeds": 2, "epochs": 2, "point_epochs": 0.5, "rounds": 1}
    return sh.path("mlp", "digits", sh.L1(1.0), run=run, train_size=100, **size, **options)


def test_one_process_walks_a_chain_to_its_end_before_the_next() -> None:
    """The parts of a seed's data are cut once, and not at every step of alternating chains."""

    def go_on(job: tuple[int, int], _: object) -> tuple[int, int] | None:
        seed, step = job
        return (seed, step + 1) if step < 2 else None

    with Workers(Staff(1).engine_for(None, threads=1)) as workers:
        order = [job for job, _ in workers.work(lambda _shared, job: job, [(0, 0), (1, 0)], go_on)]
    assert order == [(seed, step) for seed in (0, 1) for step in range(3)]


@needs_ray
def test_a_contrast_finds_the_same_on_ray(cluster: None, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "columns": ["none", "l1", "magnitude"], "tries": 1, "seeds": 1, "epochs": 2,
    }  # fmt: skip
    here, there = (
        sh.contrast("mlp", "wine", run=tmp_path / name, jobs=jobs, engine=name, **options)
        for name, jobs in (("auto", 1), ("ray", 2))
    )
    found, expected = (
        sorted((result.folder / "points.jsonl").read_bytes().splitlines())
        for result in (there, here)
    )
    assert found == expected


def test_an_unknown_engine_is_refused_by_name() -> None:
    with pytest.raises(FitError, match=r"engine.*'spark'.*auto is the default"):
        Staff(2, "spark")
