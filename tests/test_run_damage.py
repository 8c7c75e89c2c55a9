"""Many random edits of run folders: refused in one line, or made whole; never another result.

``EDITS=105 pytest tests/test_run_damage.py`` makes as many of each run.
"""

import os
import random
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from killing import weights
from run_edits import EDITS, small_contrast, small_path
from shrinkage.compression._compact_run import compact_run
from shrinkage.errors import RunError, ShrinkageWarning
from shrinkage.reports import report_page
from shrinkage.reports.paths import path_page
from shrinkage.runs import read

Make = Callable[..., Any]
RUNS: dict[str, tuple[Make, Callable[..., str], dict[str, Any]]] = {
    "path": (small_path, path_page, {"seeds": 1, "points": 2}),
    "contrast": (small_contrast, report_page, {"seeds": 1, "point_epochs": None}),
}
EDITED = int(os.environ.get("EDITS", "10"))
"""Edits of each run."""


def state(run: Path) -> tuple[Any, ...]:
    return {(point["kind"], point["key"]): point for point in read(run).points}, weights(run)


def predictions(run: Path) -> Any:
    made = compact_run(run, column=None if "path" in str(run) else "l1", out=run.parent / "small")
    return {name: t.tolist() for name, t in made.compact.model.state_dict().items()}


@pytest.mark.parametrize("kind", RUNS)
def test_edited_folders(tmp_path: Path, kind: str) -> None:
    """Every edit is resumed and reported on; every eighth is compacted, too, which takes longer."""
    make, page, size = RUNS[kind]
    run, whole = tmp_path / kind, tmp_path / "whole"
    made = str(make(run, **size))
    shutil.copytree(run, whole)
    right = {"report": page(read(run)), "compact": predictions(run), "resume": (made, state(run))}
    asked: dict[str, Callable[[], Any]] = {
        "report": lambda: page(read(run)),
        "compact": lambda: predictions(run),
        "resume": lambda: (str(make(run, **size)), state(run)),
    }
    seen: Counter[str] = Counter()
    for number in range(EDITED):
        shutil.rmtree(run)
        shutil.copytree(whole, run)
        chance = random.Random(f"{kind} {number}")  # noqa: S311 (any edit will do)
        edit = EDITS[number % len(EDITS)]
        edit(chance, run)
        for name, ask in asked.items():
            if name == "compact" and number % 8:
                continue
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                try:
                    found = ask()
                except RunError:  # nothing else may be raised
                    seen[f"{name} refused"] += 1
                    continue
            assert found == right[name], (number, edit.__name__, name)
            told = any(issubclass(w.category, ShrinkageWarning) for w in said)
            seen[f"{name} {'made whole' if told else 'the same'}"] += 1
    # each of these happens often: else the edits edit nothing, or nothing is made whole
    often = ("report refused", "resume refused", "resume made whole")
    assert all(seen[name] > EDITED // 9 for name in often), seen
