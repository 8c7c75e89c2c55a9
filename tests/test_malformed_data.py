"""Files as they come: each loads with the right values, or is refused in one line, exit code 2."""

import datetime as dt
import gzip
import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from shrinkage.cli import main
from shrinkage.data import Data, load
from shrinkage.errors import DataError

Maker = Callable[[Path], Path]
"""Writes into an empty folder; what to load."""
Check = Callable[[Data], bool]

pytestmark = pytest.mark.filterwarnings("ignore::shrinkage.ShrinkageWarning")


# ---------------------------------------------------------------------------------- csv: values


def x0(*values: float) -> Check:
    return lambda d: d.x[:, 0].tolist() == pytest.approx(list(values), rel=1e-12)


def columns(*names: str) -> Check:
    return lambda d: d.columns == names


def labels(*names: str) -> Check:
    return lambda d: [d.classes[k] for k in d.y] == list(names)


def targets(*values: float) -> Check:
    return lambda d: d.y[:, 0].tolist() == pytest.approx(list(values), rel=1e-12)


XY = "1,x\n2,y\n"
LOADS: dict[str, tuple[str | bytes, Check]] = {
    "plain": (f"a,t\n{XY}", x0(1, 2)),
    "crlf": ("a,t\r\n1,x\r\n2,y\r\n", x0(1, 2)),
    "no last newline": ("a,t\n1,x\n2,y", labels("x", "y")),
    "byte order mark": (f"\ufeffa,t\n{XY}", columns("a")),
    "gzip": (gzip.compress(f"a,t\n{XY}".encode(), mtime=0), x0(1, 2)),
    "gzip, semicolons": (gzip.compress(b"a;t\n1,5;x\n2,5;y\n", mtime=0), x0(1.5, 2.5)),
    "semicolons": ("a;t\n1,5;x\n2;y\n", x0(1.5, 2)),
    "tabs": ("a\tt\n1.5\tx\n2\ty\n", x0(1.5, 2)),
    "comma in a quoted name": (f'"a,b",t\n{XY}', columns("a,b")),
    "space before numbers": ("a,t\n 1.5,x\n 2,y\n", x0(1.5, 2)),
    "space after numbers": ("a,t\n1.5 ,x\n2\t,y\n", x0(1.5, 2)),
    "no-break space": ("a,t\n\u00a01.5,x\n2,y\n", x0(1.5, 2)),
    "space before names": ("a, t\n1, x\n2, y\n", labels("x", "y")),
    "space around everything": (" a , t \n 1 , x \n 2 , y \n", columns("a")),
    "space before quotes": ('"a", "t"\n1, "x"\n2, "y"\n', labels("x", "y")),
    "space in semicolons": ("a; t\n 1,5; x\n 2; y\n", x0(1.5, 2)),
    "space in levels": ("a,t\n red,0\nred,1\nblue ,1\n", columns("a=blue", "a=red")),
    "space inside a level": ("a,t\nlight red,0\nred,1\n", columns("a=light red", "a=red")),
    "space in booleans": ("a, t\n true,0\n false,1\n", columns("a=False", "a=True")),
    "plus": ("a,t\n+1,x\n+2,y\n", x0(1, 2)),
    "plus and minus": ("a,t\n+1.5,x\n-2,y\n", x0(1.5, -2)),
    "plus in the exponent": ("a,t\n+1.5E+3,x\n2.5e-1,y\n", x0(1500, 0.25)),
    "plus among text": ("a,t\n+1,x\nmany,y\n", columns("a=+1", "a=many")),
    "signed labels": ("a,t\n1,+1\n2,-1\n", labels("1", "-1")),
    "a minus of typesetters": ("a,t\n−1,x\n2,y\n", x0(-1, 2)),
    "points without digits": ("a,t\n.5,x\n1.,y\n", x0(0.5, 1)),
    "plus before a point": ("a,t\n+.5,x\n1,y\n", x0(0.5, 1)),
    "leading zeros": ("a,t\n0001,x\n2,y\n", x0(1, 2)),
    "quoted numbers": ('a,t\n"1","x"\n"2","y"\n', x0(1, 2)),
    "a quoted newline": ('a,t\n"p\nq",0\n"r",1\n', columns("a=p\nq", "a=r")),
    "a quoted quote": ('a,t\n"p""q",0\nr,1\n', columns('a=p"q', "a=r")),
    "negative zero": ("a,t\n-0,x\n1,y\n", x0(0, 1)),
    "dates as numbers": ("a,t\n20261130,x\n20261129,y\n", x0(20261130, 20261129)),
    "unix times": ("a,t\n1700000001,x\n1700000002,y\n", x0(1700000001, 1700000002)),
    "far from zero": ("a,t\n100000000.25,x\n100000000.5,y\n", x0(1e8 + 0.25, 1e8 + 0.5)),
    "numbers close to 2^53": (
        "a,t\n9007199254740991,x\n9007199254740990,y\n",
        x0(2**53 - 1, 2**53 - 2),
    ),
    "beyond 64 bits": (f"a,t\n{10**20},x\n{10**21},y\n", x0(1e20, 1e21)),
    "uint64": (f"a,t\n{2**64 - 1},x\n1,y\n", x0(2.0**64, 1)),
    "beyond 128 bits": (f"a,t\n{10**38},x\n1,y\n", x0(1e38, 1)),
    "very small": ("a,t\n1e-300,x\n2e-300,y\n", x0(1e-300, 2e-300)),
    "too small for float64": ("a,t\n1e-400,x\n1,y\n", x0(0, 1)),
    "more digits than fit": ("a,t\n1.00000000000000000000001,x\n2,y\n", x0(1, 2)),
    "targets far from zero": ("a,t\n1,100000000.5\n2,100000001.5\n", targets(1e8 + 0.5, 1e8 + 1.5)),
    "whole targets far from zero": (
        "a,t\n" + "".join(f"{k},{10**9 + k}\n" for k in range(25)),
        targets(*(10**9 + k for k in range(25))),
    ),
    "a long level": (f"a,t\n{'p' * 100_000},0\nq,1\n", lambda d: len(d.columns[0]) == 100_002),
    "names with =": ("a=1,t\n1,x\n2,y\n", columns("a=1")),
    "names beyond ASCII": (f"größe µm,t\n{XY}", columns("größe µm")),
    "emoji": ("a,t\n🙂,0\n🙃,1\n", columns("a=🙂", "a=🙃")),
    "hexadecimal is text": ("a,t\n0x10,0\n0x11,1\n", columns("a=0x10", "a=0x11")),
    "underscores are text": ("a,t\n1_000,0\n2_000,1\n", columns("a=1_000", "a=2_000")),
    "a level (missing)": ("a,t\n(missing),0\nq,1\n", columns("a=(missing)", "a=q")),
    "a constant column": ("a,b,t\n1,7,x\n2,7,y\n", columns("a", "b")),
    "a constant text": ("a,b,t\n1,p,x\n2,p,y\n", columns("a", "b=p")),
    "a fraction as a class": ("a,t\n1,0.5\n2,1.5\n", targets(0.5, 1.5)),
    "one row of each class": (f"a,t\n{XY}", labels("x", "y")),
    "500 columns": (
        ",".join(f"c{k}" for k in range(500))
        + ",t\n"
        + ("1," * 500 + "x\n")
        + ("2," * 500 + "y\n"),
        lambda d: d.x.shape == (2, 500),
    ),
}

MANY = range(30)


def column(cell: Callable[[int], str], head: str = "a,t") -> str:
    return head + "\n" + "".join(f"{cell(k)},{k % 2}\n" for k in MANY)


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is empty"),
    "a space": (" ", "t"),
    "blank lines before": (f"\n\na,t\n{XY}", "cannot be read"),
    "newlines": ("\n\n\n", "is empty"),
    "a header alone": ("a,t\n", "nothing to learn from"),
    "a header without newline": ("a,t", "nothing to learn from"),
    "one column": ("t\n1\n2\n", "nothing to learn from"),
    "no header": ("1,x\n2,y\n3,x\n", "unknown target column"),
    "no target": ("a,b\n1,2\n2,3\n", "unknown target column"),
    "target in capitals": (f"a,T\n{XY}", "Did you mean 'T'"),
    "target twice": ("a,t,t\n1,x,x\n2,y,y\n", "columns share a name"),
    "target twice but for a space": ("a,t, t\n1,x,x\n2,y,y\n", "columns share a name"),
    "a column twice": ("a,a,t\n1,2,x\n2,3,y\n", "columns share a name"),
    "constant target": ("a,t\n1,0.5\n2,0.5\n", "target is constant"),
    "target constant but for rounding": (
        "a,t\n1,0.3\n2,0.30000000000000004\n", "target is constant",
    ),
    "one class": ("a,t\n1,x\n2,x\n", "fewer than two classes"),
    "target all missing": ("a,t\n1,\n2,\n", "missing values"),
    "target partly missing": ("a,t\n1,x\n2,\n3,y\n", "missing values"),
    "a missing number": ("a,t\n,x\n2,y\n", "missing values"),
    "a blank cell": ("a,t\n  ,x\n2,y\n", "missing values"),
    "NA with spaces": ("a,t\n NA ,x\n2,y\n", "missing values"),
    "NaN": ("a,t\nNaN,x\n2,y\n", "missing values"),
    "a blank line within": ("a,t\n1,x\n\n2,y\n", "missing values"),
    "a short row": ("a,b,t\n1,2,x\n2\n", "missing values"),
    "a long row": ("a,t\n1,x\n2,y,z\n", "cannot be read"),
    "inf": ("a,t\ninf,x\n2,y\n", "infinite"),
    "-inf": ("a,t\n-inf,x\n2,y\n", "infinite"),
    "Infinity": ("a,t\nInfinity,x\n2,y\n", "infinite"),
    "+inf": ("a,t\n+inf,x\n2,y\n", "infinite"),
    "infinite target": ("a,t\n1,inf\n2,0.5\n", "infinite"),
    "overflow of float64": ("a,t\n1e400,x\n2,y\n", "infinite"),
    "overflow of float32": ("a,t\n1e300,x\n2,y\n", "infinite"),
    "5000 digits": (f"a,t\n{'9' * 5000},x\n2,y\n", "infinite"),
    "ids beyond float64": (f"a,t\n{2**60},x\n{2**60 + 1},y\n", "float64 cannot tell apart"),
    "ids beyond 64 bits": (f"a,t\n{10**25},x\n{10**25 + 1},y\n", "float64 cannot tell apart"),
    "targets beyond float64": (
        "a,t\n" + "".join(f"{k},{2**60 + k}\n" for k in MANY), "float64 cannot tell apart",
    ),
    "percent": (column(lambda k: f"{k} %"), "12 for 12 %"),
    "few percents": ("a,t\n10%,x\n20%,y\n", "12 for 12 %"),
    "dollars": (column(lambda k: f"${k}.50"), "3.50 for $3.50"),
    "few dollars": ("a,t\n$1.50,x\n$2.50,y\n", "3.50 for $3.50"),
    "euros": ("a;t\n" + "".join(f"{k},5 €;{k % 2}\n" for k in MANY), "%"),
    "pounds as target": ("a,t\n1,£3\n2,£4\n", "most of its values are numbers"),
    "thousands": (column(lambda k: f'"1,{k:03}"'), "1200 for 1,200"),
    "thousands with apostrophes": (column(lambda k: f"1'{k:03}"), "1200 for 1,200"),
    "decimal commas in quotes": (column(lambda k: f'"{k},5"'), "decimal points"),
    "one word among numbers": (column(lambda k: "many" if k == 7 else str(k)), "'many'"),
    "points and decimal commas": (
        "a;b;t\n" + "".join(f"1.{k:03};{k},5;{k % 2}\n" for k in MANY), "decimal or not",
    ),
    "an unnamed column": (",a,t\n0,1,x\n1,2,y\n", "has no name"),
    "an unnamed column of spaces": ("  ,a,t\n0,1,x\n1,2,y\n", "has no name"),
    "a last comma": ("a,t,\n1,x,\n2,y,\n", "has no name"),
    "dates": ("a,t\n2020-01-31,x\n2021-01-31,y\n", "neither number nor category"),
    "dates with spaces": ("a, t\n 2020-01-31, x\n 2021-01-31, y\n", "neither number"),
    "times": ("a,t\n12:30:00,x\n13:30:00,y\n", "neither number nor category"),
    "dates and times": ("a,t\n2020-01-31T12:00:00,x\n2021-01-31T12:00:00,y\n", "neither"),
    "dates as target": ("a,t\n1,2020-01-31\n2,2021-01-31\n", "neither number nor category"),
    "too many levels": ("a,t\n" + "".join(f"k{k},{k % 2}\n" for k in range(1001)), "too many"),
    "UTF-16": (f"a,t\n{XY}".encode("utf-16"), "UTF-16"),
    "UTF-16, big end first": (f"a,t\n{XY}".encode("utf-16-be"), "null bytes"),
    "UTF-32": (f"a,t\n{XY}".encode("utf-32"), "UTF-8"),
    "latin-1": ("a,t\né,0\nü,1\n".encode("latin-1"), "UTF-8"),
    "latin-1 in the header": ("größe,t\n1,x\n2,y\n".encode("latin-1"), "UTF-8"),
    "a null byte": ("a,t\n1\0,x\n2,y\n", "null bytes"),
    "a null byte in a name": ("a\0,t\n1,x\n2,y\n", "null bytes"),
    "a null byte in a label": ("a,t\n1,x\0\n2,y\n", "null bytes"),
    "line ends of old": ("a,t\r1,x\r2,y\r", "unknown target column"),
    "an open quote": ('a,t\n"1,x\n2,y\n', "cannot be read"),
    "a quote within": ('a,t\n1"2"3,x\n"2"z,y\n', ""),
    "a comment first": (f"# by me\na,t\n{XY}", "cannot be read"),
    "json": ('{"a": [1, 2], "t": ["x", "y"]}', ""),
    "html": ("<!doctype html><html><body>404</body></html>", ""),
    "a spreadsheet": (b"PK\x03\x04\x14\x00\x06\x00" + bytes(range(256)), ""),
    "a parquet file by name csv": (b"PAR1\x15\x04\x15\x1c" + b"\x00" * 40 + b"PAR1", ""),
    "random bytes": (np.random.default_rng(0).bytes(999), ""),
    "half a gzip": (gzip.compress(("a,t\n" + XY * 99).encode(), mtime=0)[:-9], "cannot be read"),
    "a gzip of nothing": (gzip.compress(b"", mtime=0), "is empty"),
    "a gzip of UTF-16": (gzip.compress(f"a,t\n{XY}".encode("utf-16"), mtime=0), "UTF-16"),
}  # fmt: skip


# -------------------------------------------------------------------------------------- parquet


def parquet(**made: Any) -> Maker:
    def make(folder: Path) -> Path:
        pl.DataFrame(made).write_parquet(folder / "f.parquet")
        return folder / "f.parquet"

    return make


T = ["x", "y", "x", "y"]


def values(dtype: Any, cells: list[Any]) -> pl.Series:
    return pl.Series("a", cells, dtype=dtype, strict=False)


PARQUET_LOADS: dict[str, tuple[Maker, Check]] = {
    str(dtype): (parquet(a=values(dtype, [1, 2, 3, 4]), t=T), x0(1, 2, 3, 4))
    for dtype in (
        pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64,
        pl.Float32, pl.Float64,
    )
} | {
    "int beyond float32": (parquet(a=[2**24, 2**24 + 1, 0, 1], t=T), x0(2**24, 2**24 + 1, 0, 1)),
    "uint64 beyond int64": (
        parquet(a=pl.Series([2**63, 2**63 + 2**20, 0, 1], dtype=pl.UInt64), t=T),
        x0(2.0**63, 2.0**63 + 2.0**20, 0, 1),
    ),
    "decimal": (
        parquet(a=[Decimal("1.25"), Decimal("2.5"), Decimal("0"), Decimal("-1")], t=T),
        x0(1.25, 2.5, 0, -1),
    ),
    "boolean": (parquet(a=[True, False, True, True], t=T), columns("a=False", "a=True")),
    "category": (parquet(a=values(pl.Categorical, ["p", "q"] * 2), t=T), columns("a=p", "a=q")),
    "enum": (parquet(a=values(pl.Enum(["q", "p"]), ["p", "q"] * 2), t=T), columns("a=p", "a=q")),
    "category of percents": (
        parquet(a=values(pl.Categorical, ["1%", "2%", "1%", "2%"]), t=T), columns("a=1%", "a=2%"),
    ),
    "text of codes": (parquet(a=["01", "1", "01", "1"], t=T), columns("a=01", "a=1")),
    "boolean target": (parquet(a=[1, 2], t=[True, False]), labels("True", "False")),
}  # fmt: skip

WHEN = dt.datetime(2020, 1, 1, 12)
PARQUET_REFUSED: dict[str, tuple[Maker, str]] = {
    name: (parquet(a=[value] * 4, t=T), "neither number nor category")
    for name, value in {
        "date": WHEN.date(),
        "datetime": WHEN,
        "time": WHEN.time(),
        "duration": dt.timedelta(1),
        "list": [1, 2],
        "empty list": [],
        "struct": {"p": 1},
        "nested": [{"p": [1]}],
        "binary": b"\x00\xff",
    }.items()
} | {
    "array": (parquet(a=pl.Series([[1, 2]] * 4, dtype=pl.Array(pl.Int64, 2)), t=T), "neither"),
    "date as target": (parquet(a=[1, 2], t=[WHEN, WHEN]), "neither number nor category"),
    "nulls": (parquet(a=[None] * 4, t=T), "missing values"),
    "NaN": (parquet(a=[float("nan"), 1.0, 2.0, 3.0], t=T), "missing values"),
    "inf": (parquet(a=[float("inf"), 1.0, 2.0, 3.0], t=T), "infinite"),
    "no rows": (parquet(a=[], t=[]), "nothing to learn from"),
    "no columns": (parquet(), "unknown target column"),
    "no name": (parquet(**{"": [1, 2, 3, 4], "t": T}), "has no name"),
    "int128": (
        parquet(a=pl.Series([2**100, 2**100 + 1, 0, 1], dtype=pl.Int128), t=T), "float64",
    ),
    "ids": (parquet(a=[2**62, 2**62 + 1, 2**62 + 2, 2**62 + 3], t=T), "float64 cannot tell apart"),
    "percents": (parquet(a=["1 %", "2 %", "3 %", "4 %"], t=T), "12 for 12 %"),
}  # fmt: skip


def file(name: str, content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"a": range(500), "t": ["x", "y"] * 250}).write_parquet(buffer)
    return buffer.getvalue()


WHOLE = parquet_bytes()
PARQUET_REFUSED |= {
    f"{name} parquet": (file("f.parquet", content), "cannot be read" if content else "is empty")
    for name, content in {
        "empty": b"",
        "magic alone": b"PAR1",
        "twice the magic": b"PAR1PAR1",
        "half a": WHOLE[: len(WHOLE) // 2],
        "no footer": WHOLE[:-8],
        "no head, no footer": WHOLE[4:-4],
        "a csv as": b"a,t\n1,x\n2,y\n",
        "zeros": bytes(1000),
        "a footer too long": WHOLE[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1",
    }.items()
}


# ------------------------------------------------------------------------------------------ npz


X, Y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])


def npz(**arrays: Any) -> Maker:
    def make(folder: Path) -> Path:
        with (folder / "f.npz").open("wb") as stream:
            np.savez(stream, **arrays)
        return folder / "f.npz"

    return make


def archive(**members: bytes) -> Maker:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "f.npz", "w") as stream:
            for name, content in members.items():
                stream.writestr(name.replace("__", "."), content)
        return folder / "f.npz"

    return make


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(text: str, body: bytes = bytes(64)) -> bytes:
    """A .npy file of this header."""
    packed = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(packed)) + packed + body


def claimed(shape: str, descr: str = "'<f8'") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")


NPZ_LOADS: dict[str, tuple[Maker, Check]] = {
    f"x of {np.dtype(kind)}": (
        npz(x_train=X.astype(kind), y_train=Y),
        lambda d: d.x.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]],
    )
    for kind in ("i1", "u1", ">i2", "i4", "u4", ">i8", "u8", "f2", ">f4", "f8", "g")
} | {
    "ids": (npz(x_train=np.array([[2**40], [2**40 + 1]]), y_train=[0, 1]), x0(2**40, 2**40 + 1)),
    "columns first": (npz(x_train=np.asfortranarray(X), y_train=Y), x0(0, 2, 4, 6)),
    "booleans": (npz(x_train=X > 3, y_train=Y), x0(0, 0, 1, 1)),
    "text labels": (npz(x_train=X, y_train=["b", "a", "b", "a"]), labels("b", "a", "b", "a")),
    "labels of uint64": (npz(x_train=X, y_train=np.array([2**64 - 1, 0] * 2, "u8")),
                         lambda d: d.classes == ("0", str(2**64 - 1))),
    "other arrays too": (npz(x_train=X, y_train=Y, more=np.array([None])), x0(0, 2, 4, 6)),
    "targets far from zero": (
        npz(x_train=X, y_train=1e9 + np.arange(4.0)), targets(*(1e9 + np.arange(4))),
    ),
    "test far from zero": (
        npz(x_train=X, y_train=Y, x_test=1e9 + X, y_test=Y),
        lambda d: d.test is not None and (d.test.x[:, 0] - 1e9).tolist() == [0, 2, 4, 6],
    ),
}  # fmt: skip

NPZ_REFUSED: dict[str, tuple[Maker, str]] = {
    "objects": (npz(x_train=np.array([[1], ["a"]], object), y_train=[0, 1]), "object array"),
    "objects in y": (npz(x_train=X, y_train=np.array([0, "a", None, 1], object)), "object array"),
    "complex": (npz(x_train=X * 1j, y_train=Y), "wrong type"),
    "text": (npz(x_train=X.astype(str), y_train=Y), "wrong type"),
    "bytes": (npz(x_train=X.astype("S"), y_train=Y), "wrong type"),
    "datetime": (npz(x_train=Y.astype("M8[D]")[:, None], y_train=Y), "wrong type"),
    "timedelta": (npz(x_train=Y.astype("m8[s]")[:, None], y_train=Y), "wrong type"),
    "records": (npz(x_train=np.zeros((4, 2), "f4,i2"), y_train=Y), "wrong type"),
    "complex y": (npz(x_train=X, y_train=Y * 1j), "wrong type"),
    "datetime y": (npz(x_train=X, y_train=Y.astype("M8[D]")), "wrong type"),
    "records y": (npz(x_train=X, y_train=np.zeros(4, "f4,i2")), "wrong type"),
    "ids": (npz(x_train=np.array([[2**60], [2**60 + 1]]), y_train=[0, 1]), "cannot tell apart"),
    "no arrays": (npz(), "'x_train' is missing"),
    "wrong names": (npz(X=X, y=Y), "'x_train' is missing"),
    "capitals": (npz(X_train=X, y_train=Y), "Did you mean 'X_train'"),
    "no y": (npz(x_train=X), "'y_train' is missing"),
    "no y_test": (npz(x_train=X, y_train=Y, x_test=X), "'y_test' is missing"),
    "no x_test": (npz(x_train=X, y_train=Y, y_test=Y), "'x_test' is missing"),
    "lengths": (npz(x_train=X, y_train=Y[:3]), "differ in length"),
    "lengths of the test part": (npz(x_train=X, y_train=Y, x_test=X, y_test=Y[:3]), "in length"),
    "width of the test part": (npz(x_train=X, y_train=Y, x_test=X[:, :1], y_test=Y), "shape"),
    "a flat test part": (npz(x_train=X, y_train=Y, x_test=X[:, 0], y_test=Y), "1 dimensions"),
    "no rows": (npz(x_train=X[:0], y_train=Y[:0]), "nothing to learn from"),
    "no columns": (npz(x_train=X[:, :0], y_train=Y), "nothing to learn from"),
    "a number as x": (npz(x_train=1.0, y_train=Y), "0 dimensions"),
    "a number as y": (npz(x_train=X, y_train=1), "wrong shape"),
    "a float as y": (npz(x_train=X, y_train=1.0), "wrong shape"),
    "flat x": (npz(x_train=X[:, 0], y_train=Y), "1 dimensions"),
    "five dimensions": (npz(x_train=np.ones((4, 1, 1, 1, 1)), y_train=Y), "5 dimensions"),
    "one-hot y": (npz(x_train=X, y_train=np.eye(4, dtype=int)), "argmax"),
    "three dimensions of y": (npz(x_train=X, y_train=np.ones((4, 1, 1))), "wrong shape"),
    "NaN": (npz(x_train=X * np.nan, y_train=Y), "NaN or infinite"),
    "NaN y": (npz(x_train=X, y_train=Y * np.nan), "NaN or infinite"),
    "infinite y": (npz(x_train=X, y_train=Y + np.inf), "NaN or infinite"),
    "too large": (npz(x_train=X * 1e300, y_train=Y), "NaN or infinite"),
    "one class": (npz(x_train=X, y_train=Y * 0), "fewer than two classes"),
    "constant y": (npz(x_train=X, y_train=Y * 0.0), "target is constant"),
    "y all rounding": (npz(x_train=X, y_train=0.3 + 5e-17 * Y), "target is constant"),
    "new test labels": (npz(x_train=X, y_train=Y, x_test=X, y_test=Y + 1), "never occur"),
    "empty test part": (npz(x_train=X, y_train=Y, x_test=X[:0], y_test=Y[:0]), "empty"),
    "infinite test part": (npz(x_train=X, y_train=Y, x_test=X + np.inf, y_test=Y), "infinite"),
    "a text file in the archive": (archive(x_train=b"1 2 3", y_train__npy=npy(Y)), "x "),
    "a folder in the archive": (archive(**{"x_train/": b"", "y_train__npy": npy(Y)}), "x_train"),
    "a pickle in the archive": (archive(x_train__npy=pickle.dumps(X), y_train__npy=npy(Y)), ""),
    "an empty member": (archive(x_train__npy=b"", y_train__npy=npy(Y)), ""),
    "half a member": (archive(x_train__npy=npy(X)[:100], y_train__npy=npy(Y)), "cannot be read"),
    "a member too short": (archive(x_train__npy=npy(X)[:-8], y_train__npy=npy(Y)), "cannot"),
    "a version to come": (
        archive(x_train__npy=b"\x93NUMPY\x09\x00" + npy(X)[8:], y_train__npy=npy(Y)), "cannot",
    ),
} | {
    f"header: {text[:60]}": (archive(x_train__npy=made, y_train__npy=npy(Y)), "f.npz")
    for text, made in {
        "": header(""),
        "no dict": header("[1, 2]"),
        "no Python": header("{'descr': "),
        "code": header("__import__('os')"),
        "no shape": header("{'descr': '<f8', 'fortran_order': False}"),
        "shape of text": claimed("'a'"),
        "negative shape": claimed("(-4, 2)"),
        "huge shape": claimed("(1000000000000, 2)"),
        "beyond 64 bits": claimed("(100000000000000000000, 2)"),
        "unknown dtype": claimed("(4, 2)", "'<q9'"),
        "dtype of numbers": claimed("(4, 2)", "7"),
        "objects": claimed("(4, 2)", "'|O'"),
    }.items()
}  # fmt: skip


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x_train=np.random.default_rng(0).normal(size=(99, 9)), y_train=Y)
    return buffer.getvalue()


ZIPPED = npz_bytes()


def flipped(content: bytes, at: int, count: int = 20) -> bytes:
    """``count`` bytes from ``at`` on, inverted."""
    return content[:at] + bytes(255 - b for b in content[at : at + count]) + content[at + count :]


NPZ_REFUSED |= {
    f"{name} npz": (file("f.npz", content), "f.npz")
    for name, content in {
        "empty": b"",
        "text as": b"no archive at all",
        "pickle as": pickle.dumps({"x_train": X}),
        "a single array as": npy(X),
        "an object array as": b"\x93NUMPY\x01\x00v\x00",
        "zip magic": b"PK\x03\x04",
        "an empty zip": b"PK\x05\x06" + bytes(18),
        "gzip as": gzip.compress(npy(X), mtime=0),
        "zlib as": zlib.compress(npy(X)),
        **{f"{k}/8 of an": ZIPPED[: len(ZIPPED) * k // 8] for k in range(1, 8)},
        "no directory in": ZIPPED[:-100],
        **{f"damaged at {at} of an": flipped(ZIPPED, at) for at in (0, 60, 200, 900, 3000)},
        "unknown compression in": ZIPPED.replace(b"PK\x01\x02\x2d\x03\x2d\x00\x00\x00\x08\x00",
                                                 b"PK\x01\x02\x2d\x03\x2d\x00\x00\x00\x63\x00"),
        "encrypted": ZIPPED.replace(b"PK\x01\x02\x2d\x03\x2d\x00\x00\x00",
                                    b"PK\x01\x02\x2d\x03\x2d\x00\x01\x00"),
    }.items()
}  # fmt: skip


# --------------------------------------------------------------------------------------- images


def picture(mode: str = "L", size: tuple[int, int] = (6, 4), **options: Any) -> bytes:
    suffix = options.pop("format", "png")
    buffer = io.BytesIO()
    Image.new(mode, size, options.pop("color", 1)).save(buffer, suffix, **options)
    return buffer.getvalue()


def folder_of(**files: bytes) -> Maker:
    """a/0.png is fine, as is b/0.png; and what is given, ``b__1_png``."""

    def make(folder: Path) -> Path:
        for name, content in {"a__0_png": picture(), "b__0_png": picture(color=9), **files}.items():
            path = folder / "f" / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / "f"

    return make


def moving() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("L", (6, 4), shade) for shade in (255, 0)]
    frames[0].save(buffer, "gif", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def claimed_png(width: int, height: int) -> bytes:
    """A small file that says that it is large."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def n_channels(count: int, rows: int = 3) -> Check:
    return lambda d: d.x.shape == (rows, count, 4, 6)


IMAGES_LOAD: dict[str, tuple[Maker, Check]] = {
    f"{mode}, {kind}": (
        folder_of(**{f"b__1_{kind}": picture(mode, format=kind)}),
        n_channels(1 if mode in ("1", "L", "LA") else 3),
    )
    for mode, kind in (
        ("1", "png"), ("L", "png"), ("LA", "png"), ("P", "png"), ("RGB", "png"), ("RGBA", "png"),
        ("RGB", "bmp"), ("P", "gif"), ("LAB", "tiff"), ("CMYK", "tiff"), ("RGBA", "tiff"),
        ("RGB", "ppm"),
    )
} | {
    "a moving gif": (
        folder_of(b__1_gif=moving()), lambda d: d.x.shape[0] == 3 and float(d.x[2].min()) == 1.0,
    ),
    "jpeg": (
        folder_of(b__1_jpg=picture("CMYK", format="jpeg", color=(0, 0, 0, 0))), n_channels(3),
    ),
    "other files beside": (folder_of(b__notes_txt=b"1", b__Thumbs_db=b"2"), n_channels(1, 2)),
}  # fmt: skip

IMAGES_REFUSED: dict[str, tuple[Maker, str]] = {
    "an empty class": (folder_of(c__note_txt=b""), "no images"),
    "a broken image": (folder_of(b__1_png=b"no image"), "b/1.png cannot be read"),
    "an empty image": (folder_of(b__1_png=b""), "b/1.png cannot be read"),
    "half an image": (folder_of(b__1_png=picture(size=(60, 40))[:60]), "b/1.png cannot be read"),
    "a damaged image": (folder_of(b__1_png=flipped(picture(), 41)), "b/1.png cannot be read"),
    "a header alone": (folder_of(b__1_png=picture()[:33]), "b/1.png cannot be read"),
    "a text as jpeg": (folder_of(b__1_jpg=b"\xff\xd8\xff" + b"text"), "b/1.jpg cannot be read"),
    "half a gif": (folder_of(b__1_gif=moving()[:20]), "b/1.gif cannot be read"),
    "16 bits": (folder_of(b__1_png=picture("I;16")), "more than 8 bits"),
    "32 bits": (folder_of(b__1_tif=picture("I", format="tiff")), "more than 8 bits"),
    "floats": (folder_of(b__1_tif=picture("F", format="tiff", color=1.0)), "more than 8 bits"),
    "another size": (folder_of(b__1_png=picture(size=(5, 4))), "differ in size"),
    "no pixels": (folder_of(b__1_png=claimed_png(0, 4)), "b/1.png cannot be read"),
    "a bomb": (folder_of(b__1_png=claimed_png(2**30, 2**30)), "b/1.png cannot be read"),
    "a large one": (folder_of(a__0_png=claimed_png(65_000, 65_000)), "a/0.png cannot be read"),
}


def one_class(folder: Path) -> Path:
    (folder / "f" / "a").mkdir(parents=True)
    (folder / "f" / "a" / "0.png").write_bytes(picture())
    return folder / "f"


def empty_class(folder: Path) -> Path:
    (one_class(folder) / "b").mkdir()
    return folder / "f"


def no_class(folder: Path) -> Path:
    (folder / "f").mkdir()
    (folder / "f" / "0.png").write_bytes(picture())
    return folder / "f"


def a_folder_as_an_image(folder: Path) -> Path:
    path = one_class(folder)
    (path / "b" / "0.png").mkdir(parents=True)
    return path


IMAGES_REFUSED |= {
    "one class": (one_class, "fewer than two classes"),
    "an empty folder as a class": (empty_class, "no images"),
    "images without a class": (no_class, "no sub-folders"),
    "a folder as an image": (a_folder_as_an_image, "no images"),
    "a csv of no suffix": (file("f", b"a,t\n1,x\n"), "unknown type of file"),
    "a folder named csv": (lambda folder: _made(folder / "f.csv"), ""),
    "a spreadsheet": (file("f.xlsx", b"PK"), "unknown type of file"),
    "nothing there": (lambda folder: folder / "f.csv", "file not found"),
}


def _made(path: Path) -> Path:
    path.mkdir()
    return path


# ---------------------------------------------------------------------------------------- tests


def as_file(content: str | bytes) -> Maker:
    return file("f.csv", content.encode() if isinstance(content, str) else content)


def options(path: Path) -> dict[str, Any]:
    return {"target": "t"} if path.suffix in (".csv", ".parquet") and path.is_file() else {}


GOOD = (
    [pytest.param(as_file(c), check, id=f"csv: {n}") for n, (c, check) in LOADS.items()]
    + [pytest.param(*case, id=f"parquet: {n}") for n, case in PARQUET_LOADS.items()]
    + [pytest.param(*case, id=f"npz: {n}") for n, case in NPZ_LOADS.items()]
    + [pytest.param(*case, id=f"images: {n}") for n, case in IMAGES_LOAD.items()]
)
BAD = (
    [pytest.param(as_file(c), part, id=f"csv: {n}") for n, (c, part) in REFUSED.items()]
    + [pytest.param(*case, id=f"parquet: {n}") for n, case in PARQUET_REFUSED.items()]
    + [pytest.param(*case, id=f"npz: {n}") for n, case in NPZ_REFUSED.items()]
    + [pytest.param(*case, id=f"images: {n}") for n, case in IMAGES_REFUSED.items()]
)


def test_there_are_many() -> None:
    assert len(BAD) >= 178


@pytest.mark.parametrize(("make", "check"), GOOD)
def test_it_loads_with_its_values(make: Maker, check: Check, tmp_path: Path) -> None:
    path = make(tmp_path)
    assert check(load(path, **options(path)))


@pytest.mark.parametrize(("make", "part"), BAD)
def test_it_is_refused_in_one_line(
    make: Maker,
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        load(path, **options(path))
    assert part in str(caught.value)
    assert len(str(caught.value)) < 1500
    typed = ["shrinkage", "path", str(path), "--run", str(tmp_path / "run")]
    monkeypatch.setattr("sys.argv", typed + [f"--target={t}" for t in options(path).values()])
    with pytest.raises(SystemExit) as left:
        main()
    said = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert (left.value.code, len(said)) == (2, 1)
    assert "Traceback" not in said[0]
    assert not (tmp_path / "run").exists()
