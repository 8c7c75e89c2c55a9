"""Folders without checksums, whose records lack something or have it otherwise: one error each."""

import json
import random
import shutil
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from run_edits import aged, edit_header, edit_line, lines, small_contrast, small_path, write_lines
from shrinkage.errors import RunError, ShrinkageError, ShrinkageWarning
from shrinkage.reports import report_page
from shrinkage.reports.paths import path_page
from shrinkage.runs import read

EDITED = 18
RUNS: dict[str, Any] = {
    "path": (small_path, path_page, {"seeds": 1, "points": 2}),
    "contrast": (small_contrast, report_page, {"seeds": 1, "point_epochs": None}),
}

WORDS = {
    "path": "no point with a finite validation loss",
    "contrast": r"the run folder is damaged: .*a record lacks something.*validation",
}
"""What is said where the fits of an unfinished run have no validation loss."""


@pytest.mark.parametrize("kind", RUNS)
def test_reports_on_edited_folders_end_in_an_error_of_ours(kind: str, tmp_path: Path) -> None:
    make, page, size = RUNS[kind]
    run, whole = tmp_path / kind, tmp_path / "whole"
    make(run, **size)
    aged(run)
    shutil.copytree(run, whole)
    seen: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShrinkageWarning)
        page(read(run))
        for number in range(EDITED):
            for name in ("run.json", "points.jsonl"):
                shutil.copyfile(whole / name, run / name)
            (edit_line if number % 3 else edit_header)(random.Random(f"{kind} {number}"), run)  # noqa: S311
            try:
                page(read(run))
            except RunError:  # nothing else may be raised
                seen["refused"] += 1
        assert seen["refused"] > EDITED // 5
        _without(run, whole, kind)
        with pytest.raises(ShrinkageError, match=WORDS[kind]):
            make(run, **size)


def _without(run: Path, whole: Path, kind: str) -> None:
    """The fits of a finished run lose what the choice is made of; a new choice has to be made."""
    for name in ("run.json", "points.jsonl"):
        shutil.copyfile(whole / name, run / name)
    header = json.loads((run / "run.json").read_text())
    for made in ("finished", "choice", "choices"):
        header["decisions"].pop(made, None)
    (run / "run.json").write_text(json.dumps(header))
    points = [json.loads(line) for line in lines(run)]
    for point in points:
        if point["kind"] == "fit":
            del point["validation"]
    write_lines(run, [json.dumps(point).encode() + b"\n" for point in points])
