"""Sources, from_user, batches and splits: what is read, what is refused, and that nothing leaks."""

import datetime as dt
import importlib.util
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)

from shrinkage.data import Data, Examples, Spec, from_user, load, split
from shrinkage.data._split import share_for_test
from shrinkage.data.tables import from_frame
from shrinkage.errors import DataError, ShrinkageWarning

rng = np.random.default_rng(0)


def fails(*parts: str) -> Any:
    """DataError whose message holds all ``parts``, in this order."""
    pattern = "(?s)" + ".*".join(
        "".join("\\" + c if c in r".[]()+*?{}|^$\\" else c for c in part) for part in parts
    )
    return pytest.raises(DataError, match=pattern)


def table(n: int = 60, k: int = 3, **changes: Any) -> Data:
    """Column 'row' tags each row with its number and is left alone; 'size' is standardised."""
    rows = torch.arange(n, dtype=torch.float32)
    made = Data(
        name="tagged",
        x=torch.stack([rows, 5 + 3 * torch.sin(rows)], dim=1),
        y=torch.arange(n) % k,
        task="classification",
        classes=tuple("abcdefgh"[:k]),
        columns=("row", "size"),
        standardise=(False, True),
    )
    return replace(made, **changes)


def tags(part: Examples) -> list[int]:
    return [int(value) for value in part.x[:, 0]]


# ------------------------------------------------------------------------------------ examples


def test_batches_in_order_keep_the_ragged_last_one() -> None:
    nine = Examples(torch.zeros(9, 1), torch.arange(9))
    assert [len(x) for x, _ in nine.batches(4)] == [4, 4, 1]
    part = Examples(torch.arange(10.0)[:, None], torch.arange(10))
    batches = list(part.batches(4))
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([x for x, _ in batches]), part.x)
    assert torch.equal(torch.cat([y for _, y in batches]), part.y)
    assert len(part) == 10


def test_shuffled_batches_are_a_permutation_by_the_generator() -> None:
    part = Examples(torch.arange(50.0)[:, None], torch.arange(50))

    def order(seed: int) -> list[int]:
        batches = list(part.batches(8, torch.Generator().manual_seed(seed)))
        assert all(torch.equal(x[:, 0].long(), y) for x, y in batches)  # rows stay together
        return [int(label) for _, y in batches for label in y]

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == list(range(50)) != order(1)


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [
        (9, 4, [4, 5]),
        (10, 4, [4, 4, 2]),
        (8, 4, [4, 4]),
        (3, 2, [3]),
        (1, 4, [1]),
        (5, 4, [5]),
        (4, 1, [1, 1, 1, 1]),
        (1, 1, [1]),
        (3, 7, [3]),
    ],
)
def test_a_last_shuffled_row_joins_the_batch_before_it(n: int, size: int, sizes: list[int]) -> None:
    part = Examples(torch.zeros(n, 1), torch.arange(n))
    batches = [y.tolist() for _, y in part.batches(size, torch.Generator())]
    assert [len(y) for y in batches] == sizes
    assert part.n_batches(size) == len(sizes)
    assert sorted(label for y in batches for label in y) == list(range(n))


def test_batches_follow_one_generator_from_epoch_to_epoch() -> None:
    part, generator = Examples(torch.zeros(30, 1), torch.arange(30)), torch.Generator()
    first, second = ([y.tolist() for _, y in part.batches(30, generator)] for _ in range(2))
    assert first != second


def test_examples_refuse_bad_lengths_and_sizes() -> None:
    with fails("differ in length", "3 inputs and 2 targets"):
        Examples(torch.zeros(3, 1), torch.zeros(2))
    with fails("single number"):
        Examples(torch.zeros(()), torch.zeros(2))
    with fails("batch size", "got 0", "≥ 1"):  # at the call, not at the first batch
        Examples(torch.zeros(3, 1), torch.zeros(3)).batches(0)


# ------------------------------------------------------------------------------------ built-in


@pytest.mark.parametrize(
    ("name", "spec", "task", "rows"),
    [
        ("digits", Spec(64, (1, 8, 8), 10), "classification", 1797),
        ("breast_cancer", Spec(30, (30,), 2), "classification", 569),
        ("wine", Spec(13, (13,), 3), "classification", 178),
        ("diabetes", Spec(10, (10,), 1), "regression", 442),
    ],
)
def test_built_in(name: str, spec: Spec, task: str, rows: int) -> None:
    data = load(name)
    assert (data.name, data.spec, data.task, len(data)) == (name, spec, task, rows)
    assert data.x.dtype == torch.float32
    assert data.is_image == (name == "digits")
    assert len(data.columns) == (0 if data.is_image else spec.n_inputs)
    assert data.test is None
    assert data.fingerprint == load(name).fingerprint


def test_built_in_values() -> None:
    digits, wine, diabetes = load("digits"), load("wine"), load("diabetes")
    assert (digits.x.min(), digits.x.max()) == (0, 1)
    assert digits.standardise == ()
    assert wine.columns[0] == "alcohol"
    assert wine.classes == ("class_0", "class_1", "class_2")
    assert all(wine.standardise)
    assert diabetes.columns[0] == "age"
    assert diabetes.x[:, 0].max() > 70  # years, not scaled
    assert diabetes.y.shape == (442, 1)


# ---------------------------------------------------------------------------------------- npz


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "my.npz", **arrays)
    return folder / "my.npz"


def test_npz_round_trip_with_test_part(tmp_path: Path) -> None:
    x = rng.normal(size=(12, 4)).astype(np.float32)
    y, y_test = np.array([7, -1, 30] * 4), np.array([30, 7])
    data = load(npz(tmp_path, x_train=x, y_train=y, x_test=x[:2], y_test=y_test))
    assert torch.equal(data.x, torch.from_numpy(x))
    assert data.classes == ("-1", "7", "30")  # in the order of numbers, not of text
    assert data.y.tolist() == [1, 0, 2] * 4
    assert data.test is not None
    assert data.test.y.tolist() == [2, 1]
    assert data.columns == ("x0", "x1", "x2", "x3")
    assert data.standardise == (True,) * 4
    assert (data.name, data.task) == ("my.npz", "classification")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 6, 7), (1, 6, 7)),
        ((5, 3, 6, 7), (3, 6, 7)),
        ((5, 6, 7, 3), (3, 6, 7)),
        ((5, 6, 7, 1), (1, 6, 7)),
        ((5, 1, 6, 3), (1, 6, 3)),  # the second axis decides
        ((5, 2, 6, 7), (2, 6, 7)),
    ],
)
def test_npz_layout_of_images(tmp_path: Path, shape: Any, expected: Any) -> None:
    data = load(npz(tmp_path, x_train=np.ones(shape), y_train=[0, 1, 0, 1, 0]))
    assert data.spec.input_shape == expected
    assert data.is_image
    assert data.columns == data.standardise == ()


def test_npz_channels_last_moves_pixels_rightly(tmp_path: Path) -> None:
    x = rng.integers(0, 255, size=(4, 5, 6, 3), dtype=np.uint8)
    data = load(npz(tmp_path, x_train=x, y_train=[0, 1, 0, 1]))
    assert float(data.x[2, 1, 3, 4]) == pytest.approx(x[2, 3, 4, 1] / 255)
    assert data.x.dtype == torch.float32
    assert data.x.is_contiguous()


def test_npz_scales_bytes_of_images_only(tmp_path: Path) -> None:
    y = [0, 1]
    images = load(npz(tmp_path, x_train=np.full((2, 4, 4), 255, np.uint8), y_train=y))
    assert images.x.max() == 1
    floats = load(npz(tmp_path, x_train=np.full((2, 4, 4), 255.0), y_train=y))
    assert floats.x.max() == 255
    rows = load(npz(tmp_path, x_train=np.full((2, 4), 255, np.uint8), y_train=y))
    assert rows.x.max() == 255
    assert rows.standardise == (True,) * 4
    flags = load(npz(tmp_path, x_train=np.eye(2, dtype=bool), y_train=y))
    assert flags.standardise == (False, False)


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (np.array([3, 1, 3]), "classification", ("1", "3")),
        (np.array([[3], [1], [3]]), "classification", ("1", "3")),
        (np.array([True, False, True]), "classification", ("False", "True")),
        (np.array(["b", "a", "b"]), "classification", ("a", "b")),
        (np.array([b"b", b"a", b"b"]), "classification", ("a", "b")),
        (np.array([0.0, 1.0, 0.0]), "regression", ()),  # the dtype decides
        (np.array([[0.5, 1.0], [2.0, 3.0], [4.0, 5.0]]), "regression", ()),
    ],
)
def test_npz_targets(tmp_path: Path, y: Any, task: str, classes: tuple[str, ...]) -> None:
    data = load(npz(tmp_path, x_train=np.ones((3, 2)), y_train=y))
    assert (data.task, data.classes) == (task, classes)
    if task == "regression":
        assert data.y.dtype == torch.float32
        assert data.y.tolist() == y.reshape(3, -1).tolist()
        assert data.spec.n_outputs == data.y.shape[1]
    else:
        expected = y.ravel().astype(str if y.dtype.kind != "S" else y.dtype).tolist()
        named = [data.classes[i] for i in data.y]
        assert named == [v.decode() if isinstance(v, bytes) else v for v in expected]


OK_X, OK_Y = np.ones((4, 2)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"X_train": OK_X, "y_train": OK_Y}, ("'x_train' is missing", "X_train", "Did you mean")),
        ({"x_train": OK_X}, ("'y_train' is missing",)),
        ({"x_train": OK_X, "y_train": OK_Y, "x_test": OK_X}, ("'y_test' is missing",)),
        ({}, ("'x_train' is missing", "no arrays")),
        ({"x_train": OK_X, "y_train": OK_Y[:3]}, ("differ in length", "4 inputs and 3 targets")),
        (
            {"x_train": np.array([[1, np.nan], [1, np.inf]]), "y_train": [0, 1]},
            ("NaN or infinite", "2 of 4", "'x1' (2)"),
        ),
        ({"x_train": np.full((2, 1), 1e300), "y_train": [0, 1]}, ("infinite", "float32")),
        ({"x_train": OK_X, "y_train": np.array([0.5, np.nan, 1, 2])}, ("y holds NaN",)),
        ({"x_train": OK_X, "y_train": np.full(4, 2.0)}, ("target is constant", "2.0")),
        ({"x_train": OK_X, "y_train": np.zeros(4, int)}, ("fewer than two classes", "'0'")),
        ({"x_train": OK_X[:0], "y_train": OK_Y[:0]}, ("nothing to learn from", "(0, 2)")),
        ({"x_train": OK_X[:, :0], "y_train": OK_Y}, ("nothing to learn from", "(4, 0)")),
        ({"x_train": OK_X[:0], "y_train": np.zeros(0)}, ("nothing to learn from",)),
        (
            {"x_train": OK_X, "y_train": np.eye(4, dtype=int)},
            ("labels have a wrong shape", "argmax"),
        ),
        ({"x_train": OK_X, "y_train": np.ones((4, 1, 1))}, ("targets have a wrong shape",)),
        ({"x_train": np.ones(4), "y_train": OK_Y}, ("no table and no image", "1 dimensions")),
        (
            {"x_train": np.ones((4, 2), complex), "y_train": OK_Y},
            ("x is of the wrong type", "complex"),
        ),
        ({"x_train": np.full((4, 2), "a"), "y_train": OK_Y}, ("x is of the wrong type", "<U1")),
        ({"x_train": OK_X, "y_train": np.ones(4, "M8[D]")}, ("y is of the wrong type", "datetime")),
        (
            {"x_train": OK_X, "y_train": OK_Y, "x_test": OK_X, "y_test": OK_Y + 1},
            ("test labels that never occur", "2"),
        ),
        (
            {"x_train": OK_X, "y_train": OK_Y, "x_test": OK_X, "y_test": OK_Y[:3]},
            ("x_test and y_test differ in length", "4 inputs and 3"),
        ),
        (
            {"x_train": OK_X, "y_train": OK_Y, "x_test": OK_X[:, :1], "y_test": OK_Y},
            ("x of the test part has another shape", "(1,)", "(2,)"),
        ),
        (
            {"x_train": OK_X, "y_train": OK_Y, "x_test": OK_X[:0], "y_test": OK_Y[:0]},
            ("the test part is empty",),
        ),
        (
            {"x_train": OK_X, "y_train": OK_Y, "x_test": OK_X * np.inf, "y_test": OK_Y},
            ("NaN or infinite values (test part)", "8 of 8"),
        ),
        (
            {"x_train": OK_X, "y_train": OK_Y, "x_test": OK_X, "y_test": OK_Y * 0.5},
            ("another kind", "float64 after int64"),
        ),
        (
            {
                "x_train": np.ones((4, 2, 2), np.uint8),
                "y_train": OK_Y,
                "x_test": np.ones((4, 2, 2)),
                "y_test": OK_Y,
            },
            ("another range of values", "float64 after uint8"),
        ),
    ],
)
def test_npz_refused(tmp_path: Path, arrays: dict[str, Any], parts: tuple[str, ...]) -> None:
    with fails("my.npz", *parts):
        load(npz(tmp_path, **arrays))


def test_npz_that_cannot_be_read(tmp_path: Path) -> None:
    path = npz(tmp_path, x_train=OK_X, y_train=OK_Y)
    whole = path.read_bytes()
    for broken in (b"", b"no archive at all", whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with fails("my.npz cannot be read") as caught:
            load(path)
        assert "pickle" not in str(caught.value)
    path.write_bytes(whole.replace(OK_X.tobytes()[:24], b"\1" * 24))  # the checksum tells
    with fails("my.npz cannot be read", "CRC"):
        load(path)
    np.savez_compressed(path, x_train=rng.normal(size=(99, 9)), y_train=np.arange(99) % 2)
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[0].header_offset + 200
    squeezed = bytearray(path.read_bytes())
    squeezed[start : start + 50] = b"\xff" * 50
    path.write_bytes(squeezed)
    with fails("my.npz cannot be read"):
        load(path)
    np.savez(path, x_train=np.array([[1], ["a"]], dtype=object), y_train=[0, 1])
    with fails("my.npz holds an object array", "Object arrays"):
        load(path)
    with path.open("wb") as file:
        np.save(file, OK_X)
    with fails("single array", ".npz file"):
        load(path)


# -------------------------------------------------------------------------------------- tables

FRAME = pl.DataFrame(
    {
        "age": [20, 30, 40, 50],
        "colour": ["red", "blue", "red", "green"],
        "member": [True, False, True, True],
        "price": [1.5, 2.5, 3.5, 4.5],
        "kind": ["x", "y", "x", "y"],
    }
)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_table_one_hot(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"my.{suffix}"
    getattr(FRAME, f"write_{suffix}")(path)
    data = load(path, target="kind")
    assert data.columns == (
        "age",
        "colour=blue",
        "colour=green",
        "colour=red",
        "member=False",
        "member=True",
        "price",
    )
    assert data.x.tolist() == [
        [20, 0, 0, 1, 0, 1, 1.5],
        [30, 1, 0, 0, 1, 0, 2.5],
        [40, 0, 0, 1, 0, 1, 3.5],
        [50, 0, 1, 0, 0, 1, 4.5],
    ]
    assert data.standardise == (True, False, False, False, False, False, True)
    assert (data.classes, data.y.tolist()) == (("x", "y"), [0, 1, 0, 1])
    assert data.spec == Spec(7, (7,), 2)


def test_csv_and_parquet_are_the_same_data(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "a.csv")
    FRAME.write_parquet(tmp_path / "b.parquet")
    first, second = (
        load(tmp_path / "a.csv", target="age"),
        load(tmp_path / "b.parquet", target="age"),
    )
    assert first.name != second.name
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != load(tmp_path / "a.csv", target="kind").fingerprint


def test_parquet_categories_and_decimals(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "c": pl.Series(["b", "a", "b"], dtype=pl.Categorical),
            "e": pl.Series(["v", "u", "v"], dtype=pl.Enum(["w", "v", "u"])),
            "d": pl.Series(["1.25", "2.5", "3.0"]).cast(pl.Decimal(scale=2)),
            "t": pl.Series(["z", "q", "z"], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(tmp_path / "my.parquet")
    data = load(tmp_path / "my.parquet", target="t")
    assert data.columns == ("c=a", "c=b", "e=u", "e=v", "d")
    assert data.x[:, 4].tolist() == [1.25, 2.5, 3.0]
    assert data.classes == ("q", "z")


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (list(range(20)), "classification", tuple(str(i) for i in range(20))),
        (list(range(21)), "regression", ()),
        ([0.0, 1.0] * 10, "regression", ()),
        ([True, False] * 10, "classification", ("False", "True")),
        ([f"c{i:02}" for i in range(30)], "classification", tuple(f"c{i:02}" for i in range(30))),
        ([10, 9, 9, 10] * 5, "classification", ("9", "10")),
    ],
)
def test_table_target_rule(
    tmp_path: Path, values: list[Any], task: str, classes: tuple[str, ...]
) -> None:
    pl.DataFrame({"x": range(len(values)), "t": values}).write_parquet(tmp_path / "my.parquet")
    data = load(tmp_path / "my.parquet", target="t")
    assert (data.task, data.classes) == (task, classes)
    assert data.y.shape == ((len(values),) if classes else (len(values), 1))
    if classes:
        assert [data.classes[i] for i in data.y] == [str(v) for v in values]
    else:
        assert data.y[:, 0].tolist() == values


def test_csv_missing_values_are_named_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("age,colour,t,u\n1,red,a,1\nNA,,b,1\n?,blue,a,1\n4,red,,1\n", "utf-8")
    with fails("my.csv: missing values", "'age' (2), 'colour' (1), 't' (1) of 4 rows"):
        load(path, target="t")


def test_parquet_missing_values_are_null_or_nan(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1.0, float("nan"), None], "n": [None] * 3, "t": ["p", "q", "p"]})
    frame.write_parquet(tmp_path / "my.parquet")
    with fails("missing values", "'a' (2), 'n' (3) of 3 rows"):
        load(tmp_path / "my.parquet", target="t")


HOLES = (
    "age,town,constant,t\n"
    + "".join(f"{k},{'ab'[k % 2]},7.3,{k % 2}\n" for k in range(40))
    + ",a,7.3,1\n41,,,0\n42,b,7.3,\n"
)


def test_rows_with_missing_values_are_left_out_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text(HOLES, "utf-8")
    with pytest.warns(ShrinkageWarning, match=r"'town' \(1\).*; 3 of 43 rows were left out$"):
        data = load(path, target="t", missing="drop")
    assert len(data) == 40
    assert data.columns == ("age", "town=a", "town=b", "constant")
    assert data.x.isfinite().all()


def test_missing_values_are_filled_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text(HOLES, "utf-8")
    said = r"1 of 43 rows were left out and 'age', 'town', 'constant' were filled$"
    with pytest.warns(ShrinkageWarning, match=said):
        data = load(path, target="t", missing="fill")
    assert len(data) == 42
    marks = ("age", "age=(missing)")
    assert data.columns == (
        *marks, "town=(missing)", "town=a", "town=b", "constant", "constant=(missing)"
    )  # fmt: skip
    assert data.features == ("age", "age", "town", "town", "town", "constant", "constant")
    assert data.x[40, :2].isnan().tolist() == [True, False]
    assert data.x[41, 2:5].tolist() == [1, 0, 0]
    assert data.first(42).isfinite().all()
    for seed in range(4):
        parts = split(data, seed)
        for part in (parts.train, parts.validation, parts.test):
            assert part.x.isfinite().all()
            hole = part.x[:, 1] == 1
            assert (part.x[hole, 0] == 0).all(), "a hole is the mean"
            assert (part.x[:, 5] == 0).all(), "a constant is centred exactly"
            assert set(part.x[:, 1].tolist()) <= {0, 1}, "marks are left as they are"
        known = parts.train.x[parts.train.x[:, 1] == 0, 0].double()
        torch.testing.assert_close(known.mean(), torch.tensor(0.0).double(), atol=1e-6, rtol=0)
        torch.testing.assert_close(known.std(correction=0), torch.tensor(1.0).double())


def test_the_mean_that_fills_is_of_the_training_part_alone() -> None:
    def with_a_hole(far: float) -> Data:
        x = torch.arange(40, dtype=torch.float32)[:, None]
        y = torch.arange(40) % 2
        x[3] = torch.nan
        x[held] = far
        return Data("a", x, y, "classification", ("p", "q"), ("x",), (True,), holes=True)

    plain = Data(
        "a", torch.arange(40.0)[:, None], torch.arange(40) % 2, "classification", ("p", "q"), ("x",)
    )
    held = [int(v) for v in split(plain, 0).test.x[:, 0]]
    near, away = (split(with_a_hole(far), 0) for far in (0.0, 1e6))
    assert torch.equal(near.train.x, away.train.x)
    assert near.x_mean is not None
    assert away.x_mean is not None
    assert torch.equal(near.x_mean, away.x_mean)


def test_holes_are_only_where_columns_are_standardised() -> None:
    x, y = torch.tensor([[torch.nan, 1.0], [2.0, 3.0]]), torch.tensor([0, 1])
    with fails("x holds NaN", "'a' (1)"):
        Data("d", x, y, "classification", ("p", "q"), ("a", "b"), (False, True), holes=True)
    with fails("x holds NaN", "'a' (1)"):
        Data("d", x, y, "classification", ("p", "q"), ("a", "b"), (True, True))
    x[1, 1] = torch.inf
    with fails("x holds NaN or infinite", "'b' (1)"):
        Data("d", x, y, "classification", ("p", "q"), ("a", "b"), (True, True), holes=True)


def test_a_column_without_any_value_and_tables_without_any_row(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    rows = "".join(f"{k},,{k % 2}\n" for k in range(30))
    path.write_text("a,empty,t\n" + rows, "utf-8")
    with fails("no row is left", "'empty' (30) of 30 rows", "fill"):
        load(path, target="t", missing="drop")
    with pytest.warns(ShrinkageWarning, match=r"'empty' \(30\); all were filled"):
        assert split(load(path, target="t", missing="fill"), 0).train.x.isfinite().all()
    with fails("missing is unknown", "'fil'", "drop or fill", "Did you mean 'fill'"):
        load(path, target="t", missing="fil")
    with fails("missing has no meaning for digits"):
        load("digits", missing="drop")


def bad_tables() -> list[tuple[str, str | None, tuple[str, ...]]]:
    many = "id,t\n" + "".join(f"k{i},{i % 2}\n" for i in range(1001))
    return [
        ("a,b\n1,2\n3,4\n", None, ("needs a target column", "'a', 'b'", "--target")),
        ("age,kind\n1,2\n3,4\n", "knd", ("unknown target column", "'knd'", "Did you mean 'kind'")),
        ("t\n1\n2\n", "t", ("nothing to learn from", "2 rows, 1 columns")),
        ("a,t\n", "t", ("nothing to learn from", "0 rows")),
        ("a,t\n1,x\n2,x\n", "t", ("fewer than two classes", "'x'")),
        ("a,t\n1,0.5\n2,0.5\n", "t", ("target is constant",)),
        ("a,t\n2020-01-31,x\n2021-01-31,y\n", "t", ("'a' is neither", "Date", "Drop it")),
        ("a,t\n1,2020-01-31\n2,2021-01-31\n", "t", ("'t' is neither number nor category",)),
        ("a,b,a,t\n0,1,2,x\n1,2,3,y\n", "t", ("columns share a name", "'a'", "Rename or drop")),
        (",a,t\n0,1,x\n1,2,y\n", "t", ("a column has no name", "0, 1", "row number")),
        (many, "t", ("'id' has too many levels", "1001 distinct", "Drop it")),
        ("a,t\n1,x\ninf,y\n", "t", ("NaN or infinite", "'a' (1)")),
        ("", "t", ("is empty", "header line")),
        ("a,t\n1,x\n2,y,3,4\n", "t", ("cannot be read",)),
    ]


@pytest.mark.parametrize(("text", "target", "parts"), bad_tables())
def test_csv_refused(tmp_path: Path, text: str, target: str | None, parts: tuple[str, ...]) -> None:
    (tmp_path / "my.csv").write_text(text, "utf-8")
    with fails("my.csv", *parts):
        load(tmp_path / "my.csv", target=target)


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("my.csv", "my.parquet"):
        (tmp_path / name).write_bytes(b"PAR1\xff\xfe\x00nothing\n\xff\n")
        with fails(f"{name} cannot be read"):
            load(tmp_path / name, target="t")


def test_parquet_dates_and_lists_are_refused(tmp_path: Path) -> None:
    for value in (dt.date(2020, 1, 1), dt.timedelta(1), [1, 2], {"p": 1}):
        frame = pl.DataFrame({"when": [value, value], "t": ["x", "y"]})
        frame.write_parquet(tmp_path / "my.parquet")
        with fails("'when' is neither number nor category"):
            load(tmp_path / "my.parquet", target="t")


# -------------------------------------------------------------------------------------- images


def save(path: Path, pixels: Any, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    (image.convert(mode) if mode else image).save(path)


def grey(value: int, size: tuple[int, int] = (4, 6)) -> Any:
    return np.full(size, value)


def test_grey_folder(tmp_path: Path) -> None:
    save(tmp_path / "dog" / "b.png", grey(255))
    save(tmp_path / "cat" / "a.png", grey(51))
    save(tmp_path / "cat" / "c.PNG", np.arange(24).reshape(4, 6))
    (tmp_path / "cat" / "notes.txt").write_text("not an image", "utf-8")
    (tmp_path / "cat" / ".hidden.png").write_bytes(b"no")
    (tmp_path / ".git").mkdir()
    data = load(tmp_path)
    assert data.spec == Spec(24, (1, 4, 6), 2)
    assert (data.classes, data.y.tolist()) == (("cat", "dog"), [0, 0, 1])
    assert data.x[0].unique().tolist() == pytest.approx([0.2])
    assert torch.equal(data.x[1, 0], torch.arange(24.0).reshape(4, 6) / 255)
    assert (data.columns, data.standardise, data.name) == ((), (), tmp_path.name)


def test_one_coloured_image_makes_all_rgb(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png", grey(255))
    pixels = np.zeros((4, 6, 3))
    pixels[1, 2] = (255, 51, 0)
    save(tmp_path / "b" / "2.png", pixels)
    save(tmp_path / "b" / "3.png", pixels, "RGBA")
    save(tmp_path / "b" / "4.png", pixels, "P")
    data = load(str(tmp_path))
    assert data.spec.input_shape == (3, 4, 6)
    for i in (1, 2, 3):
        assert data.x[i, :, 1, 2].tolist() == pytest.approx([1, 0.2, 0])
    assert data.x[0].min() == 1


def test_image_size_resizes(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png", grey(102, (8, 8)))
    save(tmp_path / "b" / "2.png", grey(204, (3, 5)))
    with fails("images differ in size", "8×8 in a/1.png, 3×5 in b/2.png", "image_size"):
        load(tmp_path)
    assert load(tmp_path, image_size=6).spec.input_shape == (1, 6, 6)
    data = load(tmp_path, image_size=(2, 7))
    assert data.spec.input_shape == (1, 2, 7)
    assert data.x[1].unique().tolist() == pytest.approx([0.8])
    for wrong in (0, (4, -1), (1, 2, 3)):
        with fails("image_size is no size"):
            load(tmp_path, image_size=wrong)  # type: ignore[arg-type]


def test_image_folder_refused(tmp_path: Path) -> None:
    with fails("no sub-folders"):
        load(tmp_path)
    save(tmp_path / "train" / "a" / "1.png", grey(1))
    with fails("/train: no images", "got a;", "Give the folder that holds"):
        load(tmp_path)
    with fails("fewer than two classes", "'a'"):
        load(tmp_path / "train")
    save(tmp_path / "train" / "b" / "2.png", grey(1))
    assert len(load(tmp_path / "train")) == 2
    with fails("target has no meaning", "'a'", "Leave target out"):
        load(tmp_path / "train", target="a")
    save(tmp_path / "noise.png", rng.integers(0, 255, size=(64, 64)))
    whole = (tmp_path / "noise.png").read_bytes()
    for broken in (b"", b"no image", whole[: len(whole) // 2]):
        (tmp_path / "train" / "b" / "3.png").write_bytes(broken)
        with fails("image b/3.png cannot be read"):
            load(tmp_path / "train")
    Image.fromarray(np.ones((4, 6), np.uint16)).save(tmp_path / "train" / "b" / "3.png")
    with fails("b/3.png has more than 8 bits", "I;16"):
        load(tmp_path / "train")


# -------------------------------------------------------------------------------------- openml


class Column:
    """The little of a pandas column that is asked for."""

    def __init__(self, values: list[Any], dtype: Any) -> None:
        self.values, self.dtype = values, np.dtype(dtype) if dtype in ("f8", "i8", "?") else dtype

    def to_numpy(self) -> Any:
        return np.array(self.values, self.dtype)

    def tolist(self) -> list[Any]:
        return self.values

    def isna(self) -> Any:
        return np.array([value is None for value in self.values])


COLUMNS: dict[str, tuple[list[Any], str]] = {
    "age": ([1.5, 2.0, 3.0], "f8"),
    "count": ([4, 5, 6], "i8"),
    "flag": ([True, False, True], "?"),
    "job": (["b", "a", "b"], "category"),
    "class": (["1", "2", "1"], "category"),
}


def frame_of(columns: dict[str, tuple[list[Any], str]], real: bool) -> Any:
    if not real:
        return {name: Column(*column) for name, column in columns.items()}
    import pandas as pd

    return pd.DataFrame({name: pd.Series(v, dtype=dtype) for name, (v, dtype) in columns.items()})


@pytest.fixture(params=["stand-in", "pandas"])
def openml(request: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Let fetch_openml answer with a frame, and note how it was asked."""
    real = request.param == "pandas"
    if real and importlib.util.find_spec("pandas") is None:
        pytest.skip("pandas is not installed")

    def answer(columns: Any, target_names: Any) -> list[Any]:
        asked: list[Any] = []

        def fetch(name: str, *, as_frame: bool, target_column: str | None) -> Any:
            asked.append((name, as_frame, target_column))
            return SimpleNamespace(frame=frame_of(columns, real), target_names=target_names)

        monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
        return asked

    return answer


def test_openml_goes_through_the_table_code(openml: Callable[..., list[Any]]) -> None:
    asked = openml(COLUMNS, ["class"])
    data = load("openml:jobs")
    assert asked == [("jobs", True, "default-target")]
    assert data.name == "openml:jobs"
    assert data.columns == ("age", "count", "flag=False", "flag=True", "job=a", "job=b")
    assert data.x.tolist() == [[1.5, 4, 0, 1, 0, 1], [2, 5, 1, 0, 1, 0], [3, 6, 0, 1, 0, 1]]
    assert (data.classes, data.y.tolist()) == (("1", "2"), [0, 1, 0])


def test_openml_with_a_target_of_ones_own(openml: Callable[..., list[Any]]) -> None:
    asked = openml(COLUMNS, ["class"])
    data = from_user("openml:jobs", target="age")
    assert asked == [("jobs", True, None)]
    assert data.task == "regression"
    assert data.columns[-2:] == ("class=1", "class=2")
    with fails("openml:jobs: unknown target column", "Did you mean 'age'"):
        load("openml:jobs", target="agee")


def test_openml_missing_values_and_targets(openml: Callable[..., list[Any]]) -> None:
    openml(COLUMNS | {"job": (["b", None, "b"], "category")}, ["class"])
    with fails("openml:jobs: missing values", "'job' (1) of 3 rows"):
        load("openml:jobs")
    openml(COLUMNS | {"age": ([1.0, float("nan"), 2.0], "f8")}, ["class"])
    with fails("missing values", "'age' (1)"):
        load("openml:jobs")
    for names in (None, [], ["age", "class"]):
        openml(COLUMNS, names)
        with fails("no single target", "target=", "age, count"):
            load("openml:jobs")


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (ImportError("needs pandas"), ("needs pandas", "shrinkage[openml]")),
        (URLError("no route"), ("cannot be fetched", "no route", "network")),
        (TimeoutError("slow"), ("cannot be fetched", "slow")),
        (ValueError("No active dataset xy found."), ("not to be had", "No active dataset")),
    ],
)
def test_openml_errors(
    monkeypatch: pytest.MonkeyPatch, error: Exception, parts: tuple[str, ...]
) -> None:
    def fetch(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    with fails("openml:xy", *parts):
        load("openml:xy")


# ------------------------------------------------------------------------------ load, from_user


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    with fails("unknown data set", "'digit'", "Did you mean 'digits'"):
        load("digit")
    (tmp_path / "house.csv").write_text("a", "utf-8")
    with fails("file not found", "Did you mean 'house.csv'"):
        load(tmp_path / "hose.csv")
    with fails("file not found"):
        load("nowhere/at/all")
    with fails("file not found"):
        load(Path("digits"))
    with fails("file not found"):
        load("hose.csv")
    (tmp_path / "house.xlsx").write_text("a", "utf-8")
    with fails("house.xlsx: unknown type of file", "'.xlsx'", ".parquet"):
        load(tmp_path / "house.xlsx")


def test_options_without_meaning_are_refused(tmp_path: Path) -> None:
    with fails("target has no meaning for digits", "'y'"):
        load("digits", target="y")
    with fails("image_size has no meaning for wine"):
        load("wine", image_size=8)
    with fails("target has no meaning"):
        load(npz(tmp_path, x_train=OK_X, y_train=OK_Y), target="y")
    with fails("target has no meaning"):
        from_user((OK_X, OK_Y), target="y")
    with fails("image_size has no meaning for openml:x"):
        load("openml:x", image_size=8)


X, Y = torch.arange(12.0).reshape(6, 2), torch.tensor([4, 9, 4, 9, 4, 9])


class Pairs(Dataset[Any]):
    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Any:
        return self.rows[i]


class Endless(Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        return X[0], Y[0]


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([(X[0], 1)])


@pytest.mark.parametrize(
    "source",
    [
        (X, Y),
        (X.numpy(), Y.numpy()),
        (X.double().requires_grad_(), Y.tolist()),
        (X.bfloat16(), Y),
        TensorDataset(X, Y),
        Pairs(list(zip(X, Y, strict=True))),
        Pairs([[x.numpy(), int(y)] for x, y in zip(X, Y, strict=True)]),
        Subset(TensorDataset(X.repeat(2, 1), Y.repeat(2)), range(6)),
        DataLoader(TensorDataset(X, Y), batch_size=4, drop_last=True),
        DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True),
        DataLoader(TensorDataset(X, Y), batch_size=None),
    ],
)
def test_from_user_forms(source: Any) -> None:
    data = from_user(source)
    assert torch.equal(data.x, X)
    assert data.x.dtype == torch.float32
    assert not data.x.requires_grad
    assert data.y.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.classes == ("4", "9")


def test_from_user_data_and_names() -> None:
    data = load("wine")
    assert from_user(data) is data
    assert from_user("wine").fingerprint == data.fingerprint


def test_from_user_keeps_shapes_and_copies() -> None:
    x = torch.arange(24.0).reshape(6, 2, 2)
    data = from_user((x, Y))
    assert data.spec.input_shape == (2, 2)  # not turned into an image
    x.zero_()
    assert data.x.max() == 23
    locked = np.ones((6, 2), np.float32)
    locked.flags.writeable = False
    assert from_user((locked, Y)).x.sum() == 12
    floats = from_user(Pairs([(x[0], 0.5), (x[1], 1.5)]))
    assert (floats.task, floats.y.tolist()) == ("regression", [[0.5], [1.5]])
    texts = from_user(Pairs([(x[0], "p"), (x[1], "q")]))
    assert texts.classes == ("p", "q")


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (Stream(), ("iterable dataset", "Stream", "map-style")),
        (DataLoader(Stream()), ("iterable dataset", "Stream")),
        (DataLoader(Endless()), ("iterable dataset", "Endless", "with a length")),
        (
            DataLoader(TensorDataset(X, Y), sampler=SubsetRandomSampler([0, 1])),
            ("a sampler of its own", "SubsetRandomSampler", "Subset"),
        ),
        (
            DataLoader(TensorDataset(X, Y), sampler=RandomSampler(X, replacement=True)),
            ("a sampler of its own", "RandomSampler", "Subset"),
        ),
        (
            DataLoader(TensorDataset(X, Y), sampler=RandomSampler(X, num_samples=4)),
            ("a sampler of its own",),
        ),
        (
            DataLoader(TensorDataset(X, Y), sampler=RandomSampler(X[:3])),
            ("a sampler of its own",),
        ),
        (
            DataLoader(TensorDataset(X, Y), sampler=SequentialSampler(X[:3])),
            ("a sampler of its own",),
        ),
        (DataLoader(TensorDataset(X, Y), batch_sampler=[[0]]), ("a batch_sampler of its own",)),
        (DataLoader(TensorDataset(X, Y), collate_fn=list), ("a collate_fn of its own",)),
        (Pairs([]), ("does not hold pairs", "no rows")),
        (Pairs([(X, Y, Y)]), ("does not hold pairs", "tuple and length 3")),
        (Pairs([X]), ("does not hold pairs", "Tensor")),
        (Pairs([(X[0], 1), (X, 1)]), ("rows cannot be stacked", "one shape")),
        (Pairs([(Image.new("L", (2, 2)), 1)] * 2), ("rows cannot be stacked", "transform")),
        ((X, Y[:3]), ("differ in length", "6 inputs and 3")),
        (([[1, 2], [3]], Y[:2]), ("rows have different shapes",)),
        ((np.array([None] * 6)[:, None], Y), ("an object array",)),
        ((X[:, 0], Y), ("nothing to learn from", "(6,)", "(n, 1)")),
        ((X, Y[0]), ("labels have a wrong shape",)),
        ((X * torch.inf, Y), ("NaN or infinite",)),
        ((X, Y, Y), ("unknown kind", "tuple of 3", "(X, y)")),
        ({"x": X}, ("unknown kind", "dict")),
        (3, ("unknown kind", "got 3")),
    ],
)
def test_from_user_refused(source: Any, parts: tuple[str, ...]) -> None:
    with fails(*parts):
        from_user(source)


# ---------------------------------------------------------------------------------------- Data


def test_data_is_checked_when_made() -> None:
    y = torch.arange(60) % 3
    for changes, parts in (
        ({"task": "clustering"}, ("task is unknown", "'clustering'")),
        ({"x": torch.zeros(60, 2, dtype=torch.long)}, ("x does not fit", "int64")),
        ({"y": y.float()}, ("y does not fit a classification", "int64 labels")),
        ({"task": "regression"}, ("y does not fit a regression", "(n, n_targets)")),
        ({"y": y + 1}, ("labels outside the classes", "1 to 3 with 3 classes")),
        ({"y": y - 1}, ("labels outside the classes", "-1 to 1")),
        ({"columns": ("row",)}, ("columns does not fit x", "1 entries")),
        ({"standardise": (True,) * 3}, ("standardise does not fit x",)),
        ({"x": torch.zeros(60, 1, 2, 1)}, ("columns does not fit x", "images")),
        ({"test": Examples(torch.zeros(1, 2), torch.tensor([3]))}, ("never occur", "3")),
        (
            {"y": y % 2, "test": Examples(torch.zeros(1, 2), torch.tensor([2]))},
            ("never occur", "'c'"),
        ),
        (
            {"test": Examples(torch.zeros(1, 2).double(), torch.tensor([1]))},
            ("x of the test part has another shape", "float64"),
        ),
    ):
        with fails(*parts):
            table(**changes)


def test_fingerprint_is_of_the_content() -> None:
    data = table()
    x = data.x.clone()
    x[3, 1] += 1e-6
    others = [
        table(x=x),
        table(y=data.y.flip(0)),
        table(classes=("a", "b", "d")),
        table(columns=("row", "length")),
        table(standardise=(True, True)),
        table(x=data.x.double()),
        table(test=Examples(data.x[:1], data.y[:1])),
        from_user((data.x.reshape(60, 2, 1), data.y)),
    ]
    prints = [data.fingerprint, *(other.fingerprint for other in others)]
    assert len(set(prints)) == len(prints)
    assert table(name="moved").fingerprint == data.fingerprint
    assert table(x=data.x.t().contiguous().t()).fingerprint == data.fingerprint  # strides
    assert pickle.loads(pickle.dumps(data)).fingerprint == data.fingerprint  # noqa: S301
    assert len(data.fingerprint) == 64


# --------------------------------------------------------------------------------------- split


def test_parts_are_disjoint_and_whole() -> None:
    parts = split(table(), 3)
    rows = [tags(part) for part in (parts.train, parts.validation, parts.test)]
    assert [len(part) for part in rows] == [38, 10, 12]
    assert sorted(tag for part in rows for tag in part) == list(range(60))


def test_seeds_draw_train_and_validation_but_never_test() -> None:
    data = table()
    first, again, other = split(data, 1), split(data, 1), split(data, 2)
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(first, name).x, getattr(again, name).x)
        assert torch.equal(getattr(first, name).y, getattr(again, name).y)
    assert tags(first.test) == tags(other.test)
    assert set(tags(first.validation)) != set(tags(other.validation))
    assert tags(split(data, 1, validation=0.5).test) == tags(first.test)
    assert tags(split(data, 1, train_size=9).test) == tags(first.test)


def test_labels_stay_with_their_rows_and_are_stratified() -> None:
    data = table(n=100, k=4)
    parts = split(data, 0)
    for part in (parts.train, parts.validation, parts.test):
        assert part.y.tolist() == [row % 4 for row in tags(part)]
        assert part.y.bincount().tolist() == [len(part) // 4] * 4


def test_standardisation_sees_the_training_rows_only() -> None:
    data = table()
    parts = split(data, 5, train_size=20)
    chosen = data.x[tags(parts.train), 1].double()
    mean, std = chosen.mean(), chosen.std(correction=0)
    for part in (parts.train, parts.validation, parts.test):
        expected = ((data.x[tags(part), 1].double() - mean) / std).float()
        assert torch.equal(part.x[:, 1], expected)
        assert part.x.dtype == torch.float32
    assert float(parts.train.x[:, 1].mean()) == pytest.approx(0, abs=1e-6)
    assert float(parts.train.x[:, 1].std(correction=0)) == pytest.approx(1, abs=1e-6)

    held_out = sorted(set(range(60)) - set(tags(parts.train)))
    poisoned = data.x.clone()
    poisoned[held_out, 1] = 1e6
    same = split(table(x=poisoned), 5, train_size=20)
    assert torch.equal(same.train.x, parts.train.x)


def test_constant_columns_are_not_divided_by_zero() -> None:
    x = torch.stack([torch.arange(60.0), torch.full((60,), 0.1)], dim=1)
    parts = split(table(x=x), 0)
    assert not parts.train.x[:, 1].any()
    assert not parts.test.x[:, 1].any()


def test_large_offsets_are_standardised_in_float64() -> None:
    rows = torch.arange(60.0)
    parts = split(table(x=torch.stack([rows, 1e6 + rows], dim=1)), 0)
    small = split(table(x=torch.stack([rows, rows], dim=1)), 0)
    torch.testing.assert_close(parts.test.x, small.test.x, rtol=1e-6, atol=1e-6)


def test_regression_target_is_standardised_on_the_training_part() -> None:
    rows = torch.arange(50.0)
    y = torch.stack([100 + rows, 3 * rows], dim=1)
    data = table(n=50, y=y, task="regression", classes=())
    parts = split(data, 4)
    train = y[tags(parts.train)].double()
    assert parts.y_mean == pytest.approx(float(train.mean()))
    assert parts.y_scale == pytest.approx(float(train.std(correction=0)))
    for part in (parts.train, parts.validation, parts.test):
        back = part.y * parts.y_scale + parts.y_mean
        torch.testing.assert_close(back, y[tags(part)])
        assert part.y.dtype == torch.float32
    assert (split(table(), 4).y_mean, split(table(), 4).y_scale) == (0, 1)


def test_a_given_test_part_is_used_and_the_rest_is_all_split() -> None:
    held = Examples(torch.tensor([[1000.0, 5.0], [1001.0, 8.0]]), torch.tensor([0, 2]))
    data = table(test=held)
    parts = split(data, 0)
    assert tags(parts.test) == [1000, 1001]
    assert parts.test.y.tolist() == [0, 2]
    assert sorted(tags(parts.train) + tags(parts.validation)) == list(range(60))
    chosen = data.x[tags(parts.train), 1].double()
    expected = (held.x[:, 1].double() - chosen.mean()) / chosen.std(correction=0)
    assert torch.equal(parts.test.x[:, 1], expected.float())


@pytest.mark.parametrize("share", [0.2, 0.3, 0, 7])
def test_a_share_beside_a_given_test_part_is_refused(share: float) -> None:
    data = table(test=Examples(table().x[:5], table().y[:5]))
    with fails("test has no meaning", f"test={share}", "5 rows", "Leave test out"):
        split(data, 0, test=share)
    assert share_for_test(data, None) is None


def test_a_fifth_is_for_testing_unless_said_otherwise() -> None:
    parts, same = split(table(), 0), split(table(), 0, test=0.2)
    assert len(parts.test) == 12
    assert torch.equal(parts.test.x, same.test.x)
    assert (share_for_test(table(), None), share_for_test(table(), 0.5)) == (0.2, 0.5)


def test_train_size_keeps_some_of_the_same_part() -> None:
    data = table(n=100, k=4)
    whole = split(data, 7)
    for size in (4, 20, 61, 63, 64):  # 61, 63: fewer rows are left over than there are classes
        some = split(data, 7, train_size=size)
        assert len(set(tags(some.train))) == size
        assert set(tags(some.train)) <= set(tags(whole.train))
        assert tags(some.validation) == tags(whole.validation)
    assert split(data, 7, train_size=20).train.y.bincount().tolist() == [5] * 4


def test_split_writes_to_nothing() -> None:
    data = table(test=Examples(table().x[:5], table().y[:5]))
    before = data.fingerprint
    parts = split(data, 0, train_size=30)
    for part in (parts.train, parts.validation):
        part.x.zero_()
        part.y.zero_()
    assert data.fingerprint == before


def test_images_are_not_standardised() -> None:
    digits = load("digits")
    parts = split(digits, 0)
    assert (float(parts.train.x.min()), float(parts.train.x.max())) == (0, 1)
    assert len(parts.train) + len(parts.validation) + len(parts.test) == 1797


def rare(count: int) -> Data:
    """60 rows, of which ``count`` are of class c."""
    y = torch.arange(60) % 2
    y[:count] = 2
    return table(y=y)


@pytest.mark.parametrize(
    ("data", "options", "parts"),
    [
        (table(), {"validation": -0.1}, ("fraction validation", "-0.1")),
        (table(), {"validation": 1.0}, ("fraction validation", "1.0")),
        (table(), {"test": 1.5}, ("fraction test",)),
        (table(), {"test": float("nan")}, ("fraction test", "nan")),
        (table(), {"seed": -1}, ("seed is out of range", "-1")),
        (table(), {"seed": 2**32}, ("seed is out of range",)),
        (table(), {"test": 0}, ("too few rows for a test part", "0 of 60")),
        (table(), {"validation": 0}, ("too few rows for a validation part",)),
        (table(), {"validation": 0.99}, ("too few rows for a validation part", "and 0 for")),
        (table(), {"validation": 0.03}, ("too few rows", "2 of 48", "one per class")),
        (table(n=6), {}, ("too few rows for a test part", "2 of 6", "bring more rows")),
        (table(), {"train_size": 2}, ("train_size does not fit", "between 3 and 38")),
        (table(), {"train_size": 39}, ("train_size does not fit", "39")),
        (table(), {"train_size": 0}, ("train_size does not fit",)),
        (rare(1), {}, ("classes too small", "'c' (1)", "Drop or merge")),
        (rare(2), {"test": 0.5}, ("validation part", "'c' (1)", "more rows")),
        (rare(5), {"train_size": 4}, ("classes without a row for training", "'c'")),
    ],
)
def test_split_refused(data: Data, options: dict[str, Any], parts: tuple[str, ...]) -> None:
    with fails(*parts):
        split(data, **{"seed": 0, **options})


def test_a_regression_needs_no_classes_in_its_parts() -> None:
    data = table(n=3, y=torch.tensor([[1.0], [2.0], [4.0]]), task="regression", classes=())
    parts = split(data, 0)
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [1, 1, 1]
    assert (parts.y_scale, parts.train.y.item()) == (1, 0)


def ratings(tmp_path: Path) -> Path:
    rows = ["stars,size,kind"] + [f"{k % 5 + 1},{k * 1.5},{'ab'[k % 2]}" for k in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    return tmp_path / "t.csv"


def test_a_task_decides_what_integers_are(tmp_path: Path) -> None:
    file = ratings(tmp_path)
    assert load(file, target="stars").task == "classification"
    quantity = load(file, target="stars", task="regression")
    assert (quantity.task, quantity.spec.n_outputs) == ("regression", 1)
    assert quantity.y[:5].flatten().tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    classes = load(file, target="size", task="classification")
    assert (classes.task, len(classes.classes)) == ("classification", 60)
    with fails("the target 'kind' is no quantity", "2 distinct values"):
        load(file, target="kind", task="regression")
    with fails("task is unknown", "'regresion'", "Did you mean 'regression'?"):
        load(file, target="stars", task="regresion")  # type: ignore[arg-type]
    with fails("task has no meaning for digits", "csv"):
        load("digits", task="regression")


def test_the_task_reaches_the_run_and_what_is_compacted(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from shrinkage.cli import app

    run = tmp_path / "run"
    words = f"contrast {ratings(tmp_path)} --target stars --task regression --columns l1 --seeds 1"
    words += f" --strengths 0.01 --epochs 2 --jobs 1 --model linear --run {run}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["shrinkage", *words.split()])
        said = CliRunner().invoke(app, words.split())
    assert said.exit_code == 0, said.output
    assert "R²" in said.output
    again = CliRunner().invoke(app, ["compact", str(run), "--column", "l1"])
    assert again.exit_code == 0, again.output
    assert "test R²" in again.output


def test_text_with_many_values_is_told(tmp_path: Path) -> None:
    rows = ["y,id"] + [f"{k * 0.5},name{k}" for k in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    with pytest.warns(ShrinkageWarning, match="'id' has 80 different values in 80 rows"):
        load(tmp_path / "t.csv", target="y")


@pytest.mark.parametrize("sign", [";", "\t"])
def test_other_signs_between_cells_and_decimal_commas(sign: str, tmp_path: Path) -> None:
    lines = ['\ufeff"size, cm";price;kind'] + [f"{k},5;{k}.0;{'ab'[k % 2]}" for k in range(30)]
    path = tmp_path / "my.csv"
    path.write_text("\n".join(lines).replace(";", sign), "utf-8")
    data = load(path, target="kind")
    assert data.columns[0] == "size, cm"
    assert data.x[:3, 0].tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (
            [*map(str, range(40)), "unknown", "tbd"],
            ("most of its values", "'unknown', 'tbd'", "42"),
        ),
        ([f"{k} €" for k in range(30)], ("most of its values", "'0 €'", "write plain numbers")),
        ([f"1.{k:03},5" for k in range(30)], ("most of its values", "'1.000,5'")),
        ([f"${k},000.50" for k in range(1, 30)], ("most of its values", "'$1,000.50'")),
        ([f"{k},{k % 2}%" for k in range(30)], ("most of its values", "'0,0%'")),
        ([str(k) for k in range(30)] + ["7,5"], ("most of its values", "'7,5' among 31")),
    ],
)
@pytest.mark.parametrize("target", ["x", "t"])
def test_text_that_was_meant_to_be_numbers(
    target: str, values: list[str], parts: tuple[str, ...]
) -> None:
    frame = pl.DataFrame({"x": values, "t": np.arange(len(values)) / 3})
    with fails("my.csv: column 'x'", *parts):
        from_frame("my.csv", frame, target)


def test_whole_numbers_beside_decimal_commas_are_numbers(tmp_path: Path) -> None:
    """As spreadsheets write them."""
    rows = [f"{k // 2}{',5' if k % 2 else ''};{k}.25;{k % 2}" for k in range(40)]
    (tmp_path / "my.csv").write_text("a;b;y\n" + "\n".join(rows), "utf-8")
    data = load(tmp_path / "my.csv", target="y")
    assert data.columns == ("a", "b")
    assert data.x[:3].tolist() == [[0, 0.25], [0.5, 1.25], [1, 2.25]]


def test_points_that_may_part_thousands_are_refused(tmp_path: Path) -> None:
    rows = [f"{'4.268' if k % 2 else '999'};{k},78;{k % 2}" for k in range(40)]
    (tmp_path / "my.csv").write_text("price;weight;y\n" + "\n".join(rows), "utf-8")
    with fails("points in column 'price' decimal or not", "4.268", "commas in 'weight'"):
        load(tmp_path / "my.csv", target="y")


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "t[1].csv").write_text("a,y\n1,0\n2,1\n", "utf-8")
    (tmp_path / "t1.csv").write_text("z,y\n1,0\n2,1\n", "utf-8")
    assert load(tmp_path / "t[1].csv", target="y").columns == ("a",)


def test_text_that_may_well_be_categories() -> None:
    codes = [f"Q{k % 30}" for k in range(90)]
    zips = [f"{10_000 + k % 25}" for k in range(90)]
    children = ["0", "1", "2", "3+"] * 22 + ["0", "1"]
    frame = pl.DataFrame({"children": children, "code": codes, "zip": zips, "t": [0, 1] * 45})
    assert from_frame("a", frame, "t").features.count("children") == 4


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_bytes("name,t\nMüller,1\nMeier,0\n".encode("latin-1"))
    with fails("my.csv cannot be read", "utf-8", "CSV UTF-8"):
        load(tmp_path / "my.csv", target="t")
