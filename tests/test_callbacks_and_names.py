"""What callbacks raise, names that are no UTF-8, and folders that cannot be made whole."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import shrinkage as sh
from folders import of_contrast
from run_edits import lines, write_lines
from shrinkage.arguments import callback
from shrinkage.data.encoding import Encoding
from shrinkage.errors import CompactionError, FitError, RunError
from shrinkage.progress import Progress, shown
from shrinkage.runs import Run, read


def test_what_progress_raises_is_one_error() -> None:
    def failing(_: Progress) -> None:
        sys.exit(0)

    with shown(failing) as show, pytest.raises(FitError, match="progress failed: got SystemExit"):
        show(Progress("fits", 0, 1))


def test_ctrl_c_in_a_callback_goes_through() -> None:
    def stop(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        callback("say", stop)("x")


def test_names_that_are_no_utf_8_come_back_as_they_were(tmp_path: Path) -> None:
    with Run(tmp_path, {"data": "caf\udce9.csv"}) as run:
        run.append({"kind": "fit", "key": "\udce9"})
        run.finish(command="shrinkage path caf\udce9.csv")
    view = read(tmp_path)
    assert view.config == {"data": "caf\udce9.csv"}
    assert view.points[0]["key"] == "\udce9"
    assert view.decisions["command"].endswith("caf\udce9.csv")


def test_what_the_page_saved_is_not_promised_to_be_computed_again(tmp_path: Path) -> None:
    with Run(tmp_path, of_contrast() | {"command": "explore"}) as run:
        run.append({"kind": "note", "key": "1"})
        run.finish(command="shrinkage contrast digits")
    write_lines(tmp_path, [])
    with pytest.raises(RunError, match=r"not computed again: .*settings.txt"):
        read(tmp_path)


def test_a_seal_cannot_be_taken_off_alone(tmp_path: Path) -> None:
    """Of a folder that says it is of format 1, what bears the keys of format 2 was edited."""
    with Run(tmp_path, {"a": 1}) as run:
        run.append({"kind": "fit", "key": "1"})
    header = json.loads((tmp_path / "run.json").read_text()) | {"format": 1}
    del header["sha256"]
    (tmp_path / "run.json").write_text(json.dumps(header))
    with pytest.raises(RunError, match="checksum is missing"):
        read(tmp_path)
    assert len(lines(tmp_path)) == 1


@pytest.mark.parametrize("level", [None, "(missing)", "green"])
def test_an_encoding_with_unknown_levels_is_refused(level: str | None) -> None:
    told = {"inputs": [["colour", level]], "levels": {"colour": ["red"]}, "gaps": []}
    with pytest.raises(ValueError, match="has no level"):
        Encoding.of_json(told)


def test_sparse_examples_and_networks_that_exit_are_refused() -> None:
    class Exits(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sys.exit(0)

    x = torch.eye(4)
    with pytest.raises(CompactionError, match=r"cannot be followed.*to_dense"):
        sh.compact(nn.Linear(4, 2).eval(), x.to_sparse())
    with pytest.raises(CompactionError, match="SystemExit: 0"):
        sh.compact(Exits(4, 2).eval(), x)
