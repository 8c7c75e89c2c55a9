"""Numbers far from zero keep their differences; columns that never vary do nothing."""

import datetime as dt
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import shrinkage as sh
from shrinkage.cli import app, main
from shrinkage.data import Data, Examples, from_user, load, split
from shrinkage.data.tables import from_frame
from shrinkage.errors import DataError, FitError, ShrinkageWarning
from shrinkage.runs.questions import Questions

quiet: Any = {"jobs": 1, "seeds": 1, "progress": lambda _: None}


def standardised(values: Any) -> torch.Tensor:
    """All of a column, as a training part sees it."""
    return split(from_user((values, np.arange(len(values)) % 2)), 0).train.x[:, 0]


# --------------------------------------------------------------------------------- far from zero


@pytest.mark.parametrize(
    ("base", "step", "dtype"),
    [
        (1e8, 1.0, "f8"),
        (1.7e9, 60.0, "f8"),
        (1.7e18, 6e10, "i8"),
        (20261130, 1.0, "i8"),
        (2**24, 1.0, "i4"),
        (2**63, 4096.0, "u8"),
        (-1e12, 0.25, "f8"),
        (1e6, 0.001, "f8"),
        (0.0, 1e-200, "f8"),
        (0.0, 1e-42, "f8"),
    ],
)
def test_columns_are_standardised_from_exact_numbers(base: float, step: float, dtype: str) -> None:
    steps = np.round(np.random.default_rng(0).normal(size=(400, 1)) * 20)
    far = (base + steps * step) if dtype == "f8" else int(base) + (steps * step).astype(dtype)
    data = from_user((far.astype(dtype), np.arange(400) % 2))
    assert len(data.x.unique()) == len(np.unique(steps))
    found, right = standardised(far.astype(dtype)), standardised(steps)
    right = right + found[0] - right[0]  # a mean beyond 2^53 is rounded itself
    torch.testing.assert_close(found, right, atol=4e-6, rtol=2e-6)
    assert float(found.mean()) == pytest.approx(0, abs=0.01)


def test_ordinary_numbers_stay_float32(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(10, 3, size=(60, 3))
    for kind in ("f2", "f4", "f8", "i4", "u1", "?"):
        assert from_user((x.astype(kind), np.arange(60) % 2)).x.dtype == torch.float32
    x[:, 1] = 7.3  # constant: nothing to be lost
    assert from_user((x, x[:, 0])).x.dtype == torch.float32
    pl.DataFrame({"a": x[:, 0], "t": ["p", "q"] * 30}).write_csv(tmp_path / "f.csv")
    assert load(tmp_path / "f.csv", target="t").x.dtype == torch.float32
    parts = split(from_user((x + 1e9, np.arange(60) % 2)), 0)
    assert {part.x.dtype for part in (parts.train, parts.validation, parts.test)} == {torch.float32}


def test_targets_far_from_zero_are_told_apart_and_predicted_in_their_units(tmp_path: Path) -> None:
    """The path of far data is that of the same data around zero, and so are its predictions."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    y = x @ [2.0, -1.0, 0.0] + 0.1 * rng.normal(size=200)
    answers = []
    for where, (a, b) in {"near": (0.0, 0.0), "far": (1.7e9, 1e8)}.items():
        result = sh.path(
            "linear", (a + 8 * x, b + y), "l1", points=5, run=tmp_path / where, **quiet
        )
        answers.append(result.choose("best").predict(a + 8 * x)["prediction"].to_numpy() - b)
    np.testing.assert_allclose(answers[1], answers[0], atol=2e-5)
    assert np.corrcoef(answers[1], y)[0, 1] > 0.99


def test_whole_numbers_that_float64_makes_one_are_refused() -> None:
    x = np.array([[2**60 + k, k] for k in range(20)])
    with pytest.raises(DataError, match=r"'x0' holds whole numbers that float64 cannot tell apart"):
        from_user((x, np.arange(20) % 2))
    x[:, 0] -= 2**60  # the remedy
    assert len(from_user((x, np.arange(20) % 2)).x[:, 0].unique()) == 20


def test_text_labels_of_frames_are_labels() -> None:
    y = np.array(["b", "a"] * 10, dtype=object)
    assert from_user((np.arange(40.0).reshape(20, 2), y)).classes == ("a", "b")


# ------------------------------------------------------------------------------ constant columns


def with_constants(n: int = 240) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6))
    x[:, 3], x[:, 4], x[:, 5] = 0, 7.25, np.where(rng.random(n) > 0.5, 0.1 + 0.2, 0.3)
    return x, x[:, 0] - 0.5 * x[:, 1] + 0.3 * rng.normal(size=n)


def network(spec: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(spec.n_inputs, 8), nn.ReLU(), nn.Linear(8, spec.n_outputs))


def test_a_path_never_uses_a_constant_column_and_says_so(tmp_path: Path) -> None:
    x, y = with_constants()
    with pytest.warns(ShrinkageWarning, match=r"3 of 6 inputs.*'x3', 'x4', 'x5'.*0") as said:
        result = sh.path(
            network, (x, y), "l1", points=4, epochs=10, magnitude=False, run=tmp_path / "r", **quiet
        )
    assert len(said) == 1
    leaves = dict(result.features().select("feature", "leaves").iter_rows())
    assert [leaves[f"x{k}"] for k in (3, 4, 5)] == [None] * 3
    assert leaves["x0"] is not None
    point = result.choose("best")
    assert not {"x3", "x4", "x5"} & set(point.features or ())
    moved = x + np.array([0, 0, 0, 1e3, -1e3, 1e6])
    assert point.predict(moved).equals(point.predict(x))


def rare(n: int = 100) -> pl.DataFrame:
    """A number and a level that differ in one row, which is in the test part."""
    x, y = torch.arange(n)[:, None].float(), torch.arange(n) % 2
    held = int(split(Data("d", x, y, "classification", ("x", "y")), 0).test.x[0, 0])
    rows = pl.DataFrame({"row": range(n), "b": 5.0, "c": "p", "t": ["x", "y"] * (n // 2)})
    rows[held, "b"], rows[held, "c"] = 500.0, "q"
    return rows


def test_what_is_constant_in_the_training_part_is_zero_everywhere(tmp_path: Path) -> None:
    rows = rare()
    rows.write_csv(tmp_path / "f.csv")
    data = load(tmp_path / "f.csv", target="t")
    assert data.columns == ("row", "b", "c=p", "c=q")
    parts = split(data, 0)
    assert parts.x_constant is not None
    assert parts.x_constant.tolist() == [False, True, True, True]
    for part in (parts.train, parts.validation, parts.test):
        assert not part.x[:, 1:].any()
        assert part.x[:, 0].unique().numel() == len(part)
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    questions = Questions.of(data, parts, shares=True)
    again = Questions.of_json(json.loads(json.dumps(questions.as_json())))
    varied = rows.with_columns(b=pl.col("row"), c=pl.lit("q"))
    for asked in (questions, again):
        assert asked.ask(model, varied).equals(asked.ask(model, rows))
    with pytest.warns(ShrinkageWarning, match=r"3 of 4 inputs.*'b', 2 made of 'c'"):
        sh.contrast(
            "linear", data, columns=["l1"], grid=[1e-2], epochs=1, run=tmp_path / "r", **quiet
        )


def test_rounding_is_not_blown_up_and_small_differences_are_kept() -> None:
    noise = np.where(np.arange(60) % 3 == 0, 0.1 + 0.2, 0.3)[:, None]
    for values in (noise, noise.astype("f4"), noise * 1e9, noise * 1e-30, 1e8 * noise / 3):
        assert not standardised(values).any()
    few = 2.0**40 + np.arange(60)[:, None] % 3  # whole numbers do not come about by rounding
    assert standardised(few).unique().numel() == 3
    fine = 0.3 + 1e-13 * (np.arange(60) % 3)[:, None]
    assert standardised(fine).unique().numel() == 3
    tiny = 1e-300 * (1 + np.arange(60) % 3)[:, None]
    assert standardised(tiny).abs().max() < 3
    assert standardised(tiny).std(correction=0) == pytest.approx(1, abs=1e-5)


def test_tables_without_constants_are_said_nothing_of() -> None:
    parts = split(load("wine"), 0)
    assert parts.x_constant is not None
    assert not parts.x_constant.any()
    digits = split(load("digits"), 0)  # images: pixels that are always dark stay pixels
    assert digits.x_constant is None
    assert isinstance(digits.train, Examples)


# ------------------------------------------------------------------------------------- new rows


def test_new_rows_are_read_by_the_same_rules(tmp_path: Path) -> None:
    """Spaces, plus signs and far numbers, in training and in new rows, from the command line."""
    rng, path = np.random.default_rng(0), tmp_path / "t.csv"
    a, when = np.round(rng.normal(size=80), 3), 1_700_000_000 + rng.integers(0, 5000, size=80)
    lines = [
        f"{v:+}, {w}, {'red' if k % 3 else 'dark red'}, {'yes' if v > 0 else 'no'}"
        for k, (v, w) in enumerate(zip(a, when, strict=True))
    ]
    path.write_text("a, when, hue, t\n" + "\n".join(lines) + "\n", "utf-8")
    result = sh.contrast(
        "linear", load(path, target="t"), columns=["l1"], grid=[1e-2], epochs=20,
        command=f"shrinkage contrast {path} --target t", run=tmp_path / "r", **quiet,
    )  # fmt: skip
    hue = ["red" if k % 3 else "dark red" for k in range(80)]
    clean = pl.DataFrame({"when": when, "a": a, "hue": hue})
    expected = result.predict("l1", clean)
    assert result.predict("l1", path).equals(expected)
    folder = sh.compression.compact_run(tmp_path / "r", drop_inputs=True).folder
    said = CliRunner().invoke(
        app, ["predict", str(folder), str(path), "--out", str(tmp_path / "said.csv")]
    )
    assert said.exit_code == 0, said.output
    written = pl.read_csv(tmp_path / "said.csv")
    assert written["prediction"].to_list() == expected["prediction"].to_list()
    path.write_text("a, when, hue\n12 %, 1700000000, red\n", "utf-8")
    with pytest.raises(DataError, match=r"'a' holds no numbers.*percent sign"):
        result.predict("l1", path)


# --------------------------------------------------------------------------- command-line options


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    where = tmp_path_factory.mktemp("data")
    rows = "".join(f"{k},{k % 3},{'' if k == 4 else 'p'},{'xy'[k % 2]}\n" for k in range(40))
    (where / "f.csv").write_text("a,b,c,t\n" + rows, "utf-8")
    for kind in "ab":
        (where / "images" / kind).mkdir(parents=True)
        for k in range(6):
            Image.new("L", (4, 4), k).save(where / "images" / kind / f"{k}.png")
    return where


@pytest.mark.filterwarnings("ignore:.*were filled:shrinkage.ShrinkageWarning")
@pytest.mark.parametrize("command", ["path", "contrast"])
@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("f.csv", "needs a target column"),
        ("f.csv --target=", "unknown target column"),
        ("f.csv --target=T", "Did you mean 't'"),
        ("f.csv --target=t --missing=", "missing is unknown"),
        ("f.csv --target=t --missing=no", "missing is unknown"),
        ("f.csv --target=t --missing=Fill", "Did you mean 'fill'"),
        ("f.csv --target=t", "missing values"),
        ("f.csv --target=t --missing=fill --task=", "task is unknown"),
        ("f.csv --target=t --missing=fill --task=Regression", "Did you mean 'regression'"),
        ("f.csv --target=t --missing=fill --task=regression", "no quantity"),
        ("f.csv --target=t --image-size=8", "image_size has no meaning"),
        ("wine --missing=drop", "missing has no meaning"),
        ("wine --task=regression", "task has no meaning"),
        ("images --target=a", "target has no meaning"),
        ("images --missing=fill", "missing has no meaning"),
        ("images --image-size=0", "image_size is no size"),
        ("images --image-size=-1", "image_size is no size"),
        ("images --image-size=4097", "1 to 4096 pixels"),
        ("images --image-size=1000000000000000000000", "image_size is no size"),
        ("images --image-size=8.5", "image-size"),
        ("images --image-size=big", "image-size"),
    ],
)
def test_options_of_data_are_refused_in_one_line(
    command: str, typed: str, part: str, folder: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["shrinkage", command, *typed.split()])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert part in said
    assert "Traceback" not in said
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    "size", [True, 8.0, "8", float("nan"), (8,), (8, 8, 8), (8, 0), (8, None), [], {}, 10**30, b"8"]
)
def test_sizes_of_images_are_refused(size: Any, folder: Path) -> None:
    with pytest.raises(DataError, match="image_size is no size"):
        load(folder / "images", image_size=size)


def test_sizes_of_images_that_would_fill_the_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(folder / "images", image_size=np.int64(8)).spec.input_shape == (1, 8, 8)
    monkeypatch.setattr("shrinkage.data.images._MOST_NUMBERS", 12 * 8 * 8 - 1)
    with pytest.raises(DataError, match=r"12 images of 8×8.*smaller image_size"):
        load(folder / "images", image_size=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load(folder / "images", image_size=[7, 8])) == 12


@pytest.mark.filterwarnings("ignore:.*were filled:shrinkage.ShrinkageWarning")
def test_new_rows_of_odd_types_are_answered_or_refused() -> None:
    """Columns of every type of polars, arrays of every dtype, and things that are no rows."""
    n = 40
    frame = pl.DataFrame(
        {
            "a": np.arange(n) * 1.5,
            "gap": [None if k % 7 == 1 else float(k) for k in range(n)],
            "level": ["p", "q"] * (n // 2),
            "flag": [True, False] * (n // 2),
            "t": ["x", "y"] * (n // 2),
        }
    )
    data = from_frame("d", frame, "t", missing="fill")
    questions, model = Questions.of(data, split(data, 0), shares=True), nn.Linear(7, 2)
    rows, when = frame.drop("t").head(3), dt.datetime(2020, 1, 1, 12)
    odd = [
        [[1]] * 3, [{"p": 1}] * 3, [b"\xff"] * 3, [when.date()] * 3, [when] * 3, [when.time()] * 3,
        [dt.timedelta(1)] * 3, [None] * 3, [True] * 3, ["p"] * 3, ["z"] * 3, [1, 2, 3],
        [float("inf")] * 3, [float("nan")] * 3, [1e300] * 3,
        pl.Series([2**100, 1, 2], dtype=pl.Int128), pl.Series([1, 2, 3]).cast(pl.Decimal(10, 2)),
        pl.Series(["p", "q", "p"], dtype=pl.Categorical), pl.Series([{1}] * 3, dtype=pl.Object),
        pl.Series([[1, 2]] * 3, dtype=pl.Array(pl.Int64, 2)),
    ]  # fmt: skip
    answered = 0
    for column in rows.columns:
        for values in odd:
            try:
                found = questions.ask(model, rows.with_columns(pl.Series(column, values)))
            except (DataError, FitError):
                continue
            assert len(found) == 3
            answered += 1
    assert answered == 11  # numbers as numbers, levels as text, a hole where there were holes
    x = np.arange(14).reshape(2, 7) % 2
    answers = questions.ask(model, x)
    for kind in ("?", "u1", ">i2", "u8", "f2", "f4", ">f8", "g"):
        assert questions.ask(model, x.astype(kind)).equals(answers)
    assert questions.ask(model, torch.from_numpy(x).bfloat16()).equals(answers)
    for wrong in (
        None, 3, [1], x.tolist(), {}, rows.lazy(), x[0], x * 1j, x.astype(str), x.astype(object),
        x.astype("M8[s]"), torch.zeros(2, 7) * 1j, torch.from_numpy(x).to_sparse(),
        torch.zeros(2, 7, device="meta"), np.full((2, 7), np.nan), "none.csv", "",
    ):  # fmt: skip
        with pytest.raises(DataError):
            questions.ask(model, wrong)
