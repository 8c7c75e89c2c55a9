"""The typed records of a run folder: what is written, what is read back, what is refused."""

import json
from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any, Literal

import pytest

from folders import of_contrast, of_path, path_fit, trial
from shrinkage.errors import FitError, RunError
from shrinkage.experiments.paths.selection import Wanted, select
from shrinkage.reports import report_page
from shrinkage.runs import (
    CertificateRecord,
    FailedFitRecord,
    FailedPointRecord,
    FitRecord,
    GapRecord,
    HalfSampleRecord,
    LineRecord,
    PathFitRecord,
    Run,
    RunView,
    TestRecord,
    TrialRecord,
    read,
)
from shrinkage.runs.chains import complete
from shrinkage.runs.kinds import OtherRecord, record_of
from shrinkage.runs.typed import checked

FAILED = {
    "kind": "fit", "key": "l1/0/0", "column": "l1", "index": 0, "knob": 0.1, "seed": 0,
    "keep": None, "after": None, "begun": 0, "failed": "training diverged", "applies": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("point", "command", "kind"),
    [
        (trial("l1", 0, 0), "contrast", FitRecord),
        (trial("l1", 0, 0), "explore", FitRecord),
        (FAILED, "contrast", FailedFitRecord),
        (path_fit(0, 0.5), "path", PathFitRecord),
        (path_fit(0, 0.5) | {"shrunk": {"parameters": 0.5, "inputs": 3}}, "path", PathFitRecord),
        (path_fit(0, 0.5) | {"shrunk": {"whole": "cut: no"}}, "path", PathFitRecord),
        ({"kind": "test", "key": "0/0", "loss": None, "score": 0.5, "n": 3}, "path", TestRecord),
        ({"kind": "note", "key": "1", "loss": {"a": [1, None]}}, "contrast", OtherRecord),
        ({"kind": "fit", "key": "1", "loss": 0.5}, "another", OtherRecord),
    ],
)
def test_records_are_written_as_they_were_read(
    point: dict[str, Any], command: str, kind: type[LineRecord]
) -> None:
    record = record_of(point, command)
    assert type(record) is kind
    assert json.dumps(record.to_json()) == json.dumps(point)  # the same keys in the same order


def test_the_line_of_a_record() -> None:
    """By hand: no key is left out but those that are absent, and None is null."""
    record = CertificateRecord(
        key="l1/0/0", objective=0.5, null_objective=None, gap=0.25, kink_gap=None, samples=0,
        radius=0.0, residual=0.125, per_parameter={"w": GapRecord(gap=1.0, residual=2.0,
        nonzeros=3, size=4)}, examples=5, kinks_up_to=6, notes=("a", "b"),
    )  # fmt: skip
    assert json.dumps(record.to_json()) == (
        '{"kind": "certificate", "key": "l1/0/0", "objective": 0.5, "null_objective": null, '
        '"gap": 0.25, "kink_gap": null, "samples": 0, "radius": 0.0, "residual": 0.125, '
        '"per_parameter": {"w": {"gap": 1.0, "residual": 2.0, "nonzeros": 3, "size": 4}}, '
        '"examples": 5, "kinks_up_to": 6, "notes": ["a", "b"]}'
    )


def test_what_is_no_finite_number_comes_back_as_none(tmp_path: Path) -> None:
    with Run(tmp_path, of_path()) as run:
        run.append(TestRecord(key="0/0", loss=nan, score=-inf, n=3))
        assert run.view().records(TestRecord)["0/0"].loss is None
        run.finish()
    view = read(tmp_path)
    assert view.records(TestRecord) == {"0/0": TestRecord(key="0/0", loss=None, score=None, n=3)}
    assert view.records(HalfSampleRecord) == {}
    assert view.decided.finished


def test_failed_fits_are_fits_of_another_type(tmp_path: Path) -> None:
    with Run(tmp_path, of_contrast()) as run:
        run.append(record_of(trial("none", 0, 0), "contrast"))
        run.append(record_of(FAILED, "contrast"))
    view = read(tmp_path)
    assert list(view.records(TrialRecord)) == ["none/0/0", "l1/0/0"]
    assert list(view.records(FitRecord)) == ["none/0/0"]
    assert view.records(FailedFitRecord)["l1/0/0"].failed == "training diverged"
    assert view.records(FailedPointRecord) == {}


@pytest.mark.parametrize(
    ("value", "hint", "said"),
    [
        ({"loss": True, "score": None, "n": 1}, TestRecord, "x.key is None, not str"),
        ([], TestRecord, r"x is \[\], not dict"),
        ([1.0, "a"], tuple[float, ...], "x\\[1\\] is 'a', not float"),
        ([1], tuple[int, int], r"x is \[1\], not 2 values"),
        ("c", Literal["a", "b"] | None, "x is 'c', not 'a' or 'b' or null"),
        (1, Literal["a"], "x is 1, not 'a'"),
        ([0.5, inf], list[float], "x\\[1\\] is inf, not float"),
        ([None, True], list[float | None], "x\\[1\\] is True, not float or null"),
        ([-1], list[int], "x\\[0\\] is -1, not int"),
        ([2**31], list[int], "x\\[0\\] is 2147483648, not int"),
        (["a", 1], list[str], "x\\[1\\] is 1, not str"),
    ],
)
def test_values_of_another_type_are_named(value: object, hint: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        checked(value, hint, "x")


def test_lists_of_a_file_become_tuples_where_they_are_that() -> None:
    assert checked([[1, 2.5], [3, 4.0]], list[tuple[int, float]], "x") == [(1, 2.5), (3, 4.0)]
    assert checked([1, 2], tuple[int, ...], "x") == (1, 2)


def test_a_fit_whose_refit_diverged_has_failed() -> None:
    """It has no weights, so that no rule may choose it; earlier runs measured it all the same."""
    measured = path_fit(0, 0.2) | {"failed": "training diverged"}
    assert type(record_of(measured, "path")) is FailedPointRecord
    view = RunView(Path(), of_path(), {}, (path_fit(0, 0.0), path_fit(0, 0.01), measured))
    assert list(complete(view)) == [0.0, 0.01]
    with pytest.raises(FitError, match=r"the points are at 0, 0\.01;"):
        select(view, Wanted(scale=0.2))


def _weights(point: dict[str, Any]) -> None:
    point["weights"]["size"] = "many"


def _history(point: dict[str, Any]) -> None:
    point["history"]["train_loss"].append(0.1)


def _layers(point: dict[str, Any]) -> None:
    point["layers"] = [{}]


def _column(point: dict[str, Any]) -> None:
    point["column"] = "l3"


def _try(point: dict[str, Any]) -> None:
    point |= {"index": 7, "key": "l1/7/0"}


def _nothing(point: dict[str, Any]) -> None:
    point["weights"]["size"] = 0


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_weights, "line 2: weights.size is 'many', not int"),
        (_history, r"line 2: history has 2 epoch, 3 train_loss, .* not equally many"),
        (_layers, r"line 2: layers\[0\].name is None, not str"),
        (_column, "the fit l1/0/0 says that it is of another column, try or seed"),
        (_try, "the fit l1/7/0 is of no column, try or seed of the run"),
        (_nothing, "line 2: it has no penalised weights"),
    ],
)
def test_a_folder_of_format_1_that_was_edited_is_damaged(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], said: str
) -> None:
    lines = [trial("none", 0, 0), trial("l1", 0, 0)]
    edit(lines[1])
    _format_1(tmp_path, of_contrast(), {"finished": True}, lines)
    with (
        pytest.warns(UserWarning, match="without checksums"),
        pytest.raises(RunError, match=f"damaged: .*{said}"),
    ):
        read(tmp_path)


def test_a_folder_of_format_1_makes_a_page(tmp_path: Path) -> None:
    """Also one that was written before fits told which one they went on from."""
    old = {k: v for k, v in trial("l1", 0, 0).items() if k not in ("after", "begun")}
    _format_1(tmp_path, of_contrast(), {"finished": True}, [trial("none", 0, 0), old])
    with pytest.warns(UserWarning, match="without checksums"):
        view = read(tmp_path)
    fit = view.records(FitRecord)["l1/0/0"]
    assert (fit.after, fit.begun, fit.weights.nonzeros) == (None, 0, 1)
    assert "75.0 % of 4" in report_page(view)


@pytest.mark.parametrize(
    ("config", "decisions", "said"),
    [
        (of_path(seeds="two"), {}, "config.seeds is 'two', not int"),
        (of_path(cut={"validation": None}), {}, "config.cut.validation is None, not float"),
        (of_path(), {"scales": [0.1, "b"]}, r"decisions.scales\[1\] is 'b', not float"),
        (of_path(), {"choice": {"scale": 1.0, "family": "none", "why": ""}},
         "decisions.choice.family is 'none', not 'fit' or 'refit' or 'stable'"),
        (of_contrast(columns=[]), {"choices": {"l1": {"index": 0, "knob": 0.1}}},
         "the choice of l1 is none of its tries"),
    ],
)  # fmt: skip
def test_a_header_of_format_1_that_was_edited_is_damaged(
    tmp_path: Path, config: dict[str, Any], decisions: dict[str, Any], said: str
) -> None:
    _format_1(tmp_path, config, decisions, [])
    with (
        pytest.warns(UserWarning, match="without checksums"),
        pytest.raises(RunError, match=f"damaged: .*{said}"),
    ):
        read(tmp_path)


def test_another_configuration_is_told_whatever_was_edited(tmp_path: Path) -> None:
    """A list of columns is told by their names, where they are columns."""
    config = of_contrast()
    _format_1(tmp_path, config | {"columns": [0.5, None]}, {}, [])
    with (
        pytest.warns(UserWarning, match="without checksums"),
        pytest.raises(RunError, match=r"got columns\[0\] = .*none.*expected columns\[0\] = 0.5"),
        Run(tmp_path, config),
    ):
        pass
    _format_1(tmp_path, config | {"columns": [0.5]}, {}, [])
    with (
        pytest.warns(UserWarning, match="without checksums"),
        pytest.raises(RunError, match=r"got columns = none, l1; expected columns = \[0.5\]"),
        Run(tmp_path, config),
    ):
        pass


def _format_1(
    folder: Path, config: dict[str, Any], decisions: dict[str, Any], points: list[dict[str, Any]]
) -> None:
    header = {"format": 1, "config": config, "decisions": decisions, "versions": {}}
    (folder / "run.json").write_text(json.dumps(header))
    lines = [json.dumps(point) + "\n" for point in points]
    (folder / "points.jsonl").write_text("".join(lines))
