"""Runs that have lost points or weights since they were computed: made whole again, or refused."""

import json
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from killing import assert_equal, decisions, points
from run_edits import aged, lines, small_contrast, small_path, stored_weights, write_lines
from shrinkage.cli import app
from shrinkage.compression._compact_run import compact_run
from shrinkage.errors import RunError, ShrinkageWarning
from shrinkage.progress import Progress
from shrinkage.runs import Run, read

Lose = Callable[[Path], object]
LOST = "were lost or damaged"
UNSEALED = "begun without checksums"


@pytest.fixture(scope="module")
def whole_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    small_path(run)
    return run


@pytest.fixture(scope="module")
def whole_contrast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    small_contrast(run)
    return run


def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def without_kind(kind: str) -> Lose:
    def lose(run: Path) -> None:
        write_lines(run, [line for line in lines(run) if json.loads(line)["kind"] != kind])

    return lose


def every_other(run: Path) -> None:
    write_lines(run, lines(run)[::2])


def one_weight(run: Path) -> None:
    stored_weights(run)[2].unlink()


def swapped(run: Path) -> None:
    one, *_, other = stored_weights(run)
    one.write_bytes(other.read_bytes())


def cut_off(run: Path) -> None:
    path = stored_weights(run)[1]
    path.write_bytes(path.read_bytes()[:-1])


LOSSES: dict[str, Lose] = {
    "the first": lambda run: write_lines(run, lines(run)[1:]),
    "the last": lambda run: write_lines(run, lines(run)[:-1]),
    "every other": every_other,
    "all": lambda run: write_lines(run, []),
    "the file": lambda run: (run / "points.jsonl").unlink(),
    "a weight": one_weight,
    "all weights": lambda run: shutil.rmtree(run / "weights"),
    "two weights swapped": swapped,
    "a byte of a weight": cut_off,
}


@pytest.mark.parametrize("name", [*LOSSES, "fit", "magnitude", "test"])
def test_a_path_computes_what_is_missing_again(whole_path: Path, tmp_path: Path, name: str) -> None:
    run = copied(whole_path, tmp_path)
    LOSSES.get(name, without_kind(name))(run)
    with pytest.warns(ShrinkageWarning, match=LOST):
        small_path(run)
    assert_equal(run, whole_path)
    small_path(run)  # and says nothing any more


@pytest.mark.parametrize("name", [*LOSSES, "fit", "certificate", "test", "trace", "steps"])
def test_a_contrast_computes_what_is_missing_again(
    whole_contrast: Path, tmp_path: Path, name: str
) -> None:
    run = copied(whole_contrast, tmp_path)
    LOSSES.get(name, without_kind(name))(run)
    with pytest.warns(ShrinkageWarning, match=LOST):
        small_contrast(run)
    assert_equal(run, whole_contrast)


@pytest.mark.parametrize("stage", ["path", "magnitude", "test"])
def test_stopped_while_it_is_made_whole_it_goes_on(
    whole_path: Path, tmp_path: Path, stage: str
) -> None:
    class StopError(KeyboardInterrupt):
        pass

    def stop(event: Progress) -> None:
        if event.stage == stage and event.done:
            raise StopError

    run = copied(whole_path, tmp_path)
    every_other(run)
    with pytest.raises(StopError), pytest.warns(ShrinkageWarning, match=LOST):
        small_path(run, progress=stop)
    assert "finished" not in decisions(run)
    assert "choice" not in decisions(run) or stage == "test"
    small_path(run)
    assert_equal(run, whole_path)


def test_readers_refuse_and_their_remedy_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "a run"
    size = "--points 2 --seeds 1 --refine 0 --epochs 2 --point-epochs 1 --rounds 1 --jobs 1"

    def typed(command: str) -> None:
        words = shlex.split(command)
        monkeypatch.setattr(sys, "argv", words)
        made = CliRunner().invoke(app, words[1:])
        assert made.exit_code == 0, made.output

    typed(f"shrinkage path wine --model mlp --no-magnitude {size} --run '{run}'")
    before = points(run)
    write_lines(run, lines(run)[:2])
    for reader in (read, compact_run):
        with pytest.raises(RunError, match="lost points") as refused:
            reader(run)
    found = re.search(r"Repeat (shrinkage .*): what is missing", refused.value.remedy)
    assert found is not None
    with pytest.warns(ShrinkageWarning, match=LOST):
        typed(found[1])
    assert points(run) == before
    read(run)
    compact_run(run)


def test_reports_and_networks_refuse_damaged_weights(whole_path: Path, tmp_path: Path) -> None:
    from shrinkage.reports.paths import path_page

    run = copied(whole_path, tmp_path)
    result = small_path(run)
    stored = stored_weights(run)
    rubbish = stored[-1].read_bytes()[:-1]
    damages: tuple[Callable[[Path], object], ...] = (lambda p: p.write_bytes(rubbish), Path.unlink)
    for damage in damages:
        for path in stored:
            damage(path)
        view = read(run)
        with pytest.raises(RunError, match=r"damaged.*Repeat the call"):
            path_page(view)
        with pytest.raises(RunError, match=r"damaged.*Repeat the call"):
            view.weights("0/0")
    shutil.rmtree(run / "weights")
    with pytest.raises(RunError, match=r"damaged.*missing"):
        _ = result.chosen.model


def test_a_damaged_line_is_named_and_can_be_deleted(whole_path: Path, tmp_path: Path) -> None:
    run = copied(whole_path, tmp_path)
    found = lines(run)
    found[4] = found[4].replace(b'"loss": ', b'"loss": 1', 1)
    write_lines(run, found)
    with pytest.raises(RunError, match=r"line 5: it was edited.*Delete line 5"):
        small_path(run)
    write_lines(run, [*found[:4], *found[5:]])
    with pytest.warns(ShrinkageWarning, match=LOST):
        small_path(run)
    assert_equal(run, whole_path)


def test_lines_of_another_run_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with Run(tmp_path / name, {"name": name}) as run:
            run.append({"kind": "fit", "key": "1", "loss": 0.5})
    write_lines(tmp_path / "a", lines(tmp_path / "b"))
    with pytest.raises(RunError, match="line 1: it belongs to another run"):
        read(tmp_path / "a")
    with pytest.raises(RunError, match="line 1"), Run(tmp_path / "a", {"name": "a"}):
        pass


@pytest.mark.parametrize("later", [3, 10**30])
def test_a_later_format_asks_for_an_update(tmp_path: Path, later: int) -> None:
    with Run(tmp_path, {"a": 1}):
        pass
    header = json.loads((tmp_path / "run.json").read_text()) | {"format": later}
    (tmp_path / "run.json").write_text(json.dumps(header))
    with pytest.raises(RunError, match=r"later version.*Update"):
        read(tmp_path)
    with pytest.raises(RunError, match=r"later version.*Update"), Run(tmp_path, {"a": 1}):
        pass


def test_what_comes_out_otherwise_is_said(tmp_path: Path) -> None:
    """Another machine may round differently: then the run is no longer what it was."""
    for loss in (0.25, 0.5):
        with Run(tmp_path / str(loss), {"a": 1}) as run:
            run.append({"kind": "fit", "key": "1", "loss": loss})
            run.finish()
    write_lines(tmp_path / "0.25", [])
    with pytest.warns(ShrinkageWarning, match=LOST):
        run = Run(tmp_path / "0.25", {"a": 1}).__enter__()
    run.append({"kind": "fit", "key": "1", "loss": 0.5})
    with pytest.warns(ShrinkageWarning, match="differs from what was lost"):
        run.finish()
    run.__exit__()


def test_folders_without_checksums_are_read_and_go_on(whole_path: Path, tmp_path: Path) -> None:
    """Those of earlier versions."""
    run = copied(whole_path, tmp_path)
    aged(run)
    with pytest.warns(ShrinkageWarning, match=UNSEALED):
        old = read(run)
    new = read(whole_path)
    assert (old.points, old.config, old.decisions) == (new.points, new.config, new.decisions)
    assert old.weights("0/0").keys() == new.weights("0/0").keys()
    write_lines(run, lines(run)[::2])
    with pytest.warns(ShrinkageWarning, match=UNSEALED):
        small_path(run)  # it does not know what was lost, and computes it all the same
    with pytest.warns(ShrinkageWarning, match=UNSEALED):
        mended = read(run)
    found = {(point["kind"], point["key"]): point for point in mended.points}
    assert found == {(point["kind"], point["key"]): point for point in new.points}
    assert mended.decisions == new.decisions
    write_lines(run, lines(run)[:-1])  # now it knows
    with pytest.raises(RunError, match="lost points"), pytest.warns(ShrinkageWarning):
        read(run)


def at(stage: str, do: Callable[[], object]) -> Callable[[Progress], None]:
    """Something that another process does once in the middle of a run."""
    done: list[bool] = []

    def act(event: Progress) -> None:
        if event.stage == stage and event.done and not done:
            done.append(True)
            do()

    return act


@pytest.mark.parametrize("stage", ["path", "test"])
@pytest.mark.parametrize("what", ["deleted", "emptied", "cut", "edited", "weights", "folder"])
def test_changed_in_mid_run_is_one_error(
    whole_path: Path, tmp_path: Path, what: str, stage: str
) -> None:
    run = tmp_path / "run"
    file = run / "points.jsonl"
    acts: dict[str, Callable[[], Any]] = {
        "deleted": file.unlink,
        "emptied": lambda: file.write_bytes(b""),
        "cut": lambda: file.write_bytes(file.read_bytes()[:-20]),
        "edited": lambda: file.write_bytes(file.read_bytes().replace(b"fit", b"fat", 1)),
        "weights": lambda: shutil.rmtree(run / "weights"),
        "folder": lambda: shutil.rmtree(run),
    }
    with pytest.raises(RunError, match=r"changed while|has gone|damaged"):
        small_path(run, progress=at(stage, acts[what]))
    if what == "edited":  # and is found again
        with pytest.raises(RunError, match="damaged"):
            small_path(run)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShrinkageWarning)
        small_path(run)
    assert_equal(run, whole_path)


def test_the_working_directory_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with Run("run", {"a": 1}) as run:
        run.save_weights("1", {"w": torch.ones(2)})
        monkeypatch.chdir(tmp_path / "elsewhere")
        run.append({"kind": "fit", "key": "1"})
        run.finish()
        view = run.view()
    assert view.weights("1")["w"].tolist() == [1, 1]
    assert not list((tmp_path / "elsewhere").iterdir())
    assert len(read(tmp_path / "run").points) == 1
