"""Numbers in the many ways in which files write them: read right, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shrinkage.data import Data, load
from shrinkage.errors import DataError, ShrinkageWarning

ROWS = range(30)


def table(folder: Path, cell: Callable[[int], str], sign: str = ",", **options: Any) -> Data:
    """A csv file of thirty rows, read."""
    lines = [f"c{sign}y", *(f"{cell(i)}{sign}{'uv'[i % 2]}" for i in ROWS)]
    (folder / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load(folder / "t.csv", target="y", **options)


@pytest.mark.parametrize(
    ("cell", "sign", "right"),
    [
        (lambda i: f"−{i},5", ";", lambda i: -i - 0.5),
        (lambda i: f"+{i},5", ";", lambda i: i + 0.5),
        (lambda i: f"{i},5e3", ";", lambda i: 1000 * i + 500),
        (lambda i: f",{i + 1}", ";", lambda i: float(f".{i + 1}")),
        (lambda i: f"{i + 1},", "\t", lambda i: i + 1),
        (lambda i: f"{i}E+05", ",", lambda i: 1e5 * i),
        (lambda i: f"１{i}", ",", lambda i: float(f"1{i}")),
        (lambda i: f"-٣{i}.5", ",", lambda i: -float(f"3{i}.5")),
    ],
)  # fmt: skip
def test_they_are_read(cell: Any, sign: str, right: Any, tmp_path: Path) -> None:
    data = table(tmp_path, cell, sign)
    assert data.columns == ("c",)
    assert data.x[:, 0].tolist() == pytest.approx([right(i) for i in ROWS], rel=1e-6)


@pytest.mark.parametrize(
    "cell",
    [
        lambda i: f"1\u00a0{100 + i},5",
        lambda i: f"1\u202f{100 + i}",
        lambda i: f"{i + 1}_000",
        lambda i: f"{i}.5D+02",
        lambda i: f"0x{i:02x}",
        lambda i: f"-${i}",
        lambda i: f"₹{i}",
        lambda i: f"{i}‰",
        lambda i: f"({i})",
        lambda i: f"{i}-",
        lambda i: f"{i} kg",
        lambda i: f"{i}m/s²",
        lambda i: f"{i} USD",
        lambda i: f"१{i},5",
        lambda i: "." if i == 3 else f"{i % 7}",
        lambda i: "None" if i == 3 else f"{i % 7}",
        lambda i: "#DIV/0!" if i == 3 else f"{i % 7}.5",
    ],
)
def test_they_are_refused(cell: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="most of its values are numbers"):
        table(tmp_path, cell, ";")


@pytest.mark.parametrize(
    "cell",
    [
        lambda i: f"A{i}",  # codes
        lambda i: f"{i % 5} kg",  # few sizes
        lambda i: f"{i % 4}+",
        lambda i: f"{'abcdefghijklmnopqrstuvw'[i % 23]}{i % 3}",
        lambda i: f"{i}{'ABCDE'[i % 5]}",  # seats
    ],
)
def test_levels_stay_levels(cell: Any, tmp_path: Path) -> None:
    data = table(tmp_path, cell)
    assert set(data.columns) == {f"c={cell(i)}" for i in ROWS}


def test_a_level_called_missing_beside_empty_cells(tmp_path: Path) -> None:
    def cell(i: int) -> str:
        return ("(missing)", "", "a")[i % 3]

    with pytest.raises(DataError, match="10 empty cells, 10 of") as caught:
        table(tmp_path, cell, missing="fill")
    assert "rename the level" in str(caught.value)
    with pytest.warns(ShrinkageWarning, match="filled"):
        data = table(tmp_path, lambda i: cell(i).replace("(missing)", "none"), missing="fill")
    assert data.columns == ("c=(missing)", "c=a", "c=none")
    assert data.x.sum(dim=0).tolist() == [10, 10, 10]


def test_two_inputs_have_two_names(tmp_path: Path) -> None:
    """Coefficients by name would else lose one."""
    (tmp_path / "t.csv").write_text("a=u,a,y\n1,u,p\n2,v,q\n3,u,p\n")
    with pytest.raises(DataError, match="two inputs have one name: got 'a=u'"):
        load(tmp_path / "t.csv", target="y")
