"""The run folder: atomic, recoverable, locked, plain text and safetensors."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from shrinkage.errors import FitError, RunError
from shrinkage.runs import Run, read
from shrinkage.runs import folder as runs

CONFIG = {"command": "test", "seeds": 2, "training": {"lr": 0.1, "epochs": 3}}
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def point(number: int) -> dict[str, object]:
    return {"kind": "fit", "key": f"l1/{number}/0", "note": "λ ü", "loss": number / 7}


def filled(folder: Path, count: int = 3) -> bytes:
    with Run(folder, CONFIG) as run:
        for number in range(count):
            run.append(point(number))
    return (folder / "points.jsonl").read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_points_decisions_and_configuration_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    with Run(folder, CONFIG) as run:
        run.append(point(0))
        run.decide(threads=1)
        run.decide(choices={"l1": 2})
    with Run(folder, CONFIG) as run:
        assert run.points == [point(0)]
        assert run.decisions == {"threads": 1, "choices": {"l1": 2}}
    view = read(folder)
    assert view.config == CONFIG
    assert view.points == (point(0),)
    assert view.of_kind("fit") == {"l1/0/0": point(0)}
    assert view.of_kind("test") == {}


def test_nan_and_infinities_become_null(tmp_path: Path) -> None:
    values = {"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": (-float("inf"),)}}
    with Run(tmp_path / "run", {**CONFIG, "x": float("nan")}) as run:
        run.append({**point(0), **values})
        run.decide(worst=float("inf"))
        seen = run.points[0]
    for name in ("points.jsonl", "run.json"):
        text = (tmp_path / "run" / name).read_text()
        assert "NaN" not in text
        assert "Infinity" not in text
    assert (seen["a"], seen["b"], seen["c"]) == (None, [None, 1.5], {"d": [None]})
    assert read(tmp_path / "run").points == (seen,)
    with Run(tmp_path / "run", {**CONFIG, "x": float("nan")}) as run:  # and NaN is no difference
        assert run.decisions == {"worst": None}


def test_a_torn_last_line_is_dropped_wherever_it_is_torn(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    whole = filled(folder)
    path = folder / "points.jsonl"
    start = whole[:-1].rindex(b"\n") + 1
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        assert read(folder).points == (point(0), point(1)), cut
        with Run(folder, CONFIG) as run:
            assert run.points == [point(0), point(1)], cut
            assert path.read_bytes() == whole[:start]
            run.append(point(2))
        assert path.read_bytes() == whole


@pytest.mark.parametrize("wrong", [b"{\n", b"\n", b"\xff\xfe\n", b"3\n", b"{}\n", b"null\n"])
def test_a_damaged_middle_line_is_an_error(tmp_path: Path, wrong: bytes) -> None:
    folder = tmp_path / "run"
    lines = filled(folder).splitlines(keepends=True)
    damaged = lines[0] + wrong + lines[2]
    (folder / "points.jsonl").write_bytes(damaged)
    with pytest.raises(RunError, match=r"damaged.*line 2"), Run(folder, CONFIG):
        pass
    with pytest.raises(RunError, match=r"damaged.*line 2"):
        read(folder)
    assert (folder / "points.jsonl").read_bytes() == damaged


@pytest.mark.parametrize("header", ["", "{", "[]", '{"format": 99}', '{"format": 1}', "null"])
def test_a_damaged_header_is_an_error(tmp_path: Path, header: str) -> None:
    folder = tmp_path / "run"
    points = filled(folder)
    (folder / "run.json").write_text(header)
    with pytest.raises(RunError, match="damaged"), Run(folder, CONFIG):
        pass
    with pytest.raises(RunError, match="damaged"):
        read(folder)
    assert (folder / "points.jsonl").read_bytes() == points


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seeds": 3}, "seeds = 3"),
        ({"training": {"lr": 0.2, "epochs": 3}}, r"training\.lr = 0\.2"),
        ({"new": 1}, "new = 1"),
        ({"command": None}, "command = null"),
    ],
)
def test_another_configuration_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], named: str
) -> None:
    folder = tmp_path / "run"
    filled(folder)
    before = contents(folder)
    with pytest.raises(RunError, match=named), Run(folder, {**CONFIG, **change}):
        pass
    assert contents(folder) == before
    with Run(folder, CONFIG) as run:  # and the lock is free again
        assert len(run.points) == 3


def test_every_differing_key_is_named(tmp_path: Path) -> None:
    filled(tmp_path / "run")
    other = {**CONFIG, "seeds": 1, "training": {"lr": 0.1, "epochs": 9}}
    with pytest.raises(RunError, match=r"seeds = 1 \(and training\.epochs\)"):
        Run(tmp_path / "run", other).__enter__()


HOLDER = """
import sys
from shrinkage.runs import Run
with Run(sys.argv[1], {"a": 1}) as run:
    run.append({"kind": "fit", "key": "a"})
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of tmp_path/run."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_the_lock_dies_with_the_first(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(RunError, match="in use"), Run(tmp_path / "run", {"a": 1}):
        pass
    assert len(read(tmp_path / "run").points) == 1  # readers need no lock
    holder.send_signal(signal.SIGKILL)
    assert holder.wait(10) == -signal.SIGKILL
    with Run(tmp_path / "run", {"a": 1}) as run:
        assert [p["key"] for p in run.points] == ["a"]


def test_the_same_process_cannot_open_it_twice(tmp_path: Path) -> None:
    with Run(tmp_path / "run", CONFIG), pytest.raises(RunError, match="in use"):
        Run(tmp_path / "run", CONFIG).__enter__()


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match=r"not a run.*thesis\.txt"), Run(tmp_path, CONFIG):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_and_remains_of_a_killed_start_are_taken(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "run.json.part").write_text("{")
    with Run(tmp_path, CONFIG) as run:
        assert run.points == []
    assert read(tmp_path).config == CONFIG


@pytest.mark.parametrize("inside", ["", "sub", "sub/run"])
def test_a_file_in_the_way(tmp_path: Path, inside: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(RunError, match=r"cannot be written.*file"), Run(file / inside, CONFIG):
        pass
    assert file.read_text() == "mine"


def test_a_folder_where_the_points_should_be(tmp_path: Path) -> None:
    with Run(tmp_path, CONFIG):
        (tmp_path / "points.jsonl").mkdir()
    with pytest.raises(RunError, match="points"), Run(tmp_path, CONFIG):
        pass
    with pytest.raises(RunError, match="points"):
        read(tmp_path)


def test_reading_what_is_no_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match="not a run folder"):
            read(folder)


def test_an_append_that_cannot_be_made_durable_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = filled(tmp_path)
    with Run(tmp_path, CONFIG) as run:
        with monkeypatch.context() as broken:
            broken.setattr(runs.os, "fsync", _raise_full)
            with pytest.raises(RunError, match=r"No space left.*Earlier points are intact"):
                run.append(point(9))
            assert (tmp_path / "points.jsonl").read_bytes() == before
            assert len(run.points) == 3
            with pytest.raises(RunError, match="No space left"):
                run.decide(finished=True)
            with pytest.raises(RunError, match="No space left"):
                run.save_weights("a/0/0", {"w": torch.ones(3)})
        assert "finished" not in (tmp_path / "run.json").read_text()
        assert not list(tmp_path.rglob("*.part"))
        assert not list((tmp_path / "weights").iterdir())
        run.append(point(3))  # space again
    assert read(tmp_path).points == tuple(point(n) for n in range(4))


def _raise_full(*_: object) -> None:
    raise FULL


FILLING_DISK = """
import resource, signal, sys
from pathlib import Path
from shrinkage.errors import RunError
from shrinkage.runs import Run
folder = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Run(folder, {"a": 1}) as run:
    done = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the kernel writes half a line
    try:
        while True:
            run.append({"kind": "fit", "key": str(done), "text": "x" * 150})
            done += 1
    except RunError as error:
        assert "cannot be written" in str(error), error
    print(done, len(run.points))
"""


def test_a_line_that_fits_only_in_half_is_taken_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLING_DISK, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    count, kept = map(int, done.stdout.split())
    assert count == kept
    assert 2 <= count <= 6
    content = (tmp_path / "run" / "points.jsonl").read_bytes()
    assert content.endswith(b"\n")
    assert [json.loads(line)["key"] for line in content.splitlines()] == list(
        map(str, range(count))
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device(tmp_path: Path) -> None:
    with Run(tmp_path, CONFIG) as run:
        (tmp_path / "points.jsonl").symlink_to("/dev/full")
        with pytest.raises(RunError, match="cannot be written"):
            run.append(point(0))
    assert run.points == []


@pytest.mark.parametrize("failing", ["mkdir", "open"])
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, failing, refuse)
    with pytest.raises(RunError, match=r"cannot be written.*Permission denied"):
        Run(tmp_path / "run", CONFIG).__enter__()
    monkeypatch.undo()
    assert not (tmp_path / "run").exists()


def test_a_kill_during_a_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever ``write`` is cut off before its last step, the file is the old one."""

    class KilledError(BaseException):
        pass

    def die(*_: object) -> None:
        raise KilledError

    with Run(tmp_path, CONFIG) as run:
        run.write("report.html", "old")
        for owner, name in ((runs.os, "fsync"), (Path, "replace")):
            with monkeypatch.context() as broken:
                broken.setattr(owner, name, die)
                with pytest.raises(KilledError):
                    run.write("report.html", "new and longer")
            assert (tmp_path / "report.html").read_text() == "old"
        run.write("report.html", "new")
    assert (tmp_path / "report.html").read_text() == "new"
    assert not list(tmp_path.glob("*.part"))


def test_bad_input_leaves_no_new_folder_behind(tmp_path: Path) -> None:
    def fail(folder: Path, count: int) -> None:
        with Run(folder, CONFIG) as run:
            for number in range(count):
                run.append(point(number))
            raise FitError("x", got=1, expected="2", remedy="3")

    with pytest.raises(FitError):
        fail(tmp_path / "runs" / "a", 0)
    assert not list(tmp_path.iterdir())
    (tmp_path / "runs").mkdir()
    with pytest.raises(FitError):
        fail(tmp_path / "runs" / "a", 1)  # a finished point is kept
    with pytest.raises(FitError):
        fail(tmp_path / "runs" / "a", 0)  # and so is a folder that was there
    assert read(tmp_path / "runs" / "a").points == (point(0),)
    with pytest.raises(KeyboardInterrupt), Run(tmp_path / "runs" / "b", CONFIG):
        raise KeyboardInterrupt
    assert (tmp_path / "runs" / "b" / "run.json").exists()


def test_weights_come_back_bit_by_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {
        "float": torch.randn(3, 4).t(),  # not contiguous
        "half": torch.randn(5).bfloat16(),
        "double": torch.tensor([float("nan"), -0.0, float("inf"), 5e-324], dtype=torch.float64),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 2),
        "parameter": torch.nn.Parameter(torch.randn(2)),
    }
    with Run(tmp_path, CONFIG) as run:
        run.save_weights("l1/0/1", tensors)
    back = read(tmp_path).weights("l1/0/1")
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        assert (
            back[name].contiguous().numpy(force=True).tobytes()
            if tensor.dtype != torch.bfloat16
            else back[name].view(torch.int16).numpy().tobytes()
        ) == (
            tensor.detach().contiguous().numpy(force=True).tobytes()
            if tensor.dtype != torch.bfloat16
            else tensor.view(torch.int16).numpy().tobytes()
        ), name


def test_tensors_that_share_memory_are_stored_each(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    tied = {"a": whole, "b": whole, "part": whole[2:4], "turned": whole.view(2, 3).t()}
    with Run(tmp_path, CONFIG) as run:
        run.save_weights("tied", tied)
    back = read(tmp_path).weights("tied")
    assert all(torch.equal(back[name], tensor) for name, tensor in tied.items())


def test_missing_and_damaged_weights_are_errors(tmp_path: Path) -> None:
    with Run(tmp_path, CONFIG) as run:
        run.save_weights("a/0/0", {"w": torch.ones(9)})
        view = run.view()
    with pytest.raises(RunError, match="damaged"):
        view.weights("b/0/0")
    (path,) = (tmp_path / "weights").iterdir()
    whole = path.read_bytes()
    for wrong in (b"", b"rubbish", whole[:-1], whole[:20]):
        path.write_bytes(wrong)
        with pytest.raises(RunError, match="damaged"):
            view.weights("a/0/0")


def test_text_and_safetensors_only(tmp_path: Path) -> None:
    with Run(tmp_path, CONFIG) as run:
        run.append(point(0))
        run.save_weights("a/0/0", {"w": torch.ones(2)})
        run.write("report.html", "<p>λ</p>")
    names = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert [n for n in names if n != ".lock"] == [
        "points.jsonl",
        "report.html",
        "run.json",
        "weights/a_0_0.safetensors",
    ]
    for name, content in contents(tmp_path).items():
        assert content[:1] != b"\x80", name  # how a pickle begins
        assert content[:2] != b"PK", name  # and torch.save's archive of pickles
        if not name.endswith(".safetensors"):
            content.decode("utf-8")
