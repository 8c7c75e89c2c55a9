"""Edited files of a compact network: one typed error each, or the very same answers."""

import copy
import json
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import shrinkage as sh
from shrinkage.cli import app
from shrinkage.data import load, split
from shrinkage.errors import CompactionError, ShrinkageError, ShrinkageWarning
from shrinkage.runs.checksums import sealed
from shrinkage.runs.questions import Questions

Json = dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that ``shrinkage compact`` wrote, of a table with numbers and levels."""
    home = tmp_path_factory.mktemp("edits")
    rows = "".join(
        f"{k * 7 % 11},{'abc'[k % 3]},{k % 5},{k * 3 % 7 + (k % 3)}\n" for k in range(90)
    )
    (home / "my.csv").write_text("size,kind,other,price\n" + rows, "utf-8")
    data = load(home / "my.csv", target="price")
    parts = split(data, 0)
    torch.manual_seed(0)
    model = sh.models.mlp(data.spec).eval()
    with torch.no_grad():
        for p in model.parameters():
            p[: len(p) // 2] *= len(p) < 4  # half of the units are dead
        model[1].weight[:, 1] = 0.0
    small = sh.compact(model, parts.test.x, drop_inputs=True, batch_sizes=())
    assert small.inputs is not None
    questions = Questions.of(data, parts, shares=False).of_inputs(small.inputs.tolist())
    small.save(
        home / "small", model="mlp", spec=asdict(data.spec), questions=questions.as_json(),
        classes=[], columns=["a", "b"],
    )  # fmt: skip
    return home


def answers(home: Path, folder: Path) -> pl.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return sh.predict(folder, home / "my.csv")


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value: of long lists the first and the last."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for k in {0, len(value) - 1} if value else ():
            yield from places(value[k], (*path, k))


NESTED: list[Any] = []
for _ in range(300):
    NESTED = [NESTED]

VALUES: list[Any] = [
    None, True, -1, 0, 3, 10**400, 2**31, 1e308, "", "x", "nn.py:f", [], {}, [1], {"a": 1}, NESTED,
]  # fmt: skip


def edits(known: Json) -> Iterator[Json]:
    """Each place in turn: away, another type or value, reversed, twice, under another name."""
    for path in places(known):
        *above, last = path
        whole = [copy.deepcopy(known) for _ in range(len(VALUES) + 4)]
        inside = []
        for one in whole:
            here: Any = one
            for key in above:
                here = here[key]
            inside.append(here)
        for here, value in zip(inside, VALUES, strict=False):
            here[last] = copy.deepcopy(value)
        first, second, third, fourth = inside[len(VALUES) :]
        del first[last]
        value = second[last]
        if isinstance(value, int | float) and not isinstance(value, bool):
            second[last] = value + 1
            third[last] = -value
        elif isinstance(value, list):
            second[last] = value[::-1]
            third[last] = value + value[:1]
        elif isinstance(value, str):
            second[last] = value + "x"
            third[last] = value[::-1]
        if isinstance(fourth, dict):
            fourth[f"{last}x"] = fourth.pop(last)
        yield from whole


def verdict(home: Path, folder: Path, right: pl.DataFrame) -> str:
    """``refused`` by a typed error, or ``same``; anything else fails here."""
    try:
        found = answers(home, folder)
    except CompactionError as error:
        return "refused" if error.remedy and "\n" not in str(error) else str(error)
    return "same" if found.equals(right) else "another answer"


def test_every_edit_of_the_json_is_refused(home: Path, tmp_path: Path) -> None:
    """Or says the same, such as the keys in another order."""
    right, folder = answers(home, home / "small"), tmp_path / "small"
    shutil.copytree(home / "small", folder)
    known = json.loads((folder / "compact.json").read_text())
    tried = [one for one in edits(known) if one != known or str(one) != str(known)]
    assert len(tried) > 765
    tried = random.Random(0).sample(tried, 765)  # noqa: S311  (all of them were tried once)
    seen = []
    for one in tried:
        (folder / "compact.json").write_text(json.dumps(one))
        seen.append(verdict(home, folder, right))
    assert set(seen) == {"refused"}
    (folder / "compact.json").write_text(json.dumps(dict(reversed(known.items())), indent=4))
    assert verdict(home, folder, right) == "same"


def test_edits_without_a_checksum_are_refused_by_type_or_told(home: Path, tmp_path: Path) -> None:
    """A folder of before: whoever edits it is not found out, but never ends in a traceback."""
    folder = tmp_path / "small"
    shutil.copytree(home / "small", folder)
    known = json.loads((folder / "compact.json").read_text())
    known["format"] = 1
    del known["sha256"], known["weights_sha256"]
    (folder / "compact.json").write_text(json.dumps(known))
    with pytest.warns(ShrinkageWarning, match="written without checksums.*Compact and save again"):
        found = sh.predict(folder, home / "my.csv")
    assert found.equals(answers(home, home / "small"))
    tried = random.Random(0).sample(list(edits(known)), 250)  # noqa: S311
    for one in tried:
        (folder / "compact.json").write_text(json.dumps(one))
        with warnings.catch_warnings(), suppress(ShrinkageError):
            warnings.simplefilter("ignore", ShrinkageWarning)
            sh.predict(folder, home / "my.csv")


TEXTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda text: text[:-20],
    "nested": lambda _: b"[" * 100_000,
    "nested objects": lambda _: b'{"format":' * 100_000,
    "a list": lambda text: b"[" + text + b"]",
    "NaN": lambda text: text.replace(b'"dtype"', b'"n": NaN, "dtype"'),
    "a key twice": lambda text: text.replace(b'"dtype"', b'"dtype": "float64", "dtype"'),
    "no text": lambda text: text.replace(b"float32", b"\xff\xfe"),
    "zeros": lambda text: bytes(len(text)),
    "older": lambda text: text.replace(b'"format": 2', b'"format": 1'),
    "newer": lambda text: text.replace(b'"format": 2', b'"format": 3'),
}


@pytest.mark.parametrize("how", TEXTS)
def test_a_broken_json_is_one_line_on_the_command_line(
    how: str, home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(home / "small", folder)
    path = folder / "compact.json"
    path.write_bytes(TEXTS[how](path.read_bytes()))
    said = CliRunner().invoke(app, ["predict", str(folder), str(home / "my.csv")])
    assert isinstance(said.exception, CompactionError)
    assert "the compact network is damaged" in str(said.exception)


def test_no_flipped_bit_in_the_weights_goes_unseen(home: Path, tmp_path: Path) -> None:
    right, folder = answers(home, home / "small"), tmp_path / "small"
    shutil.copytree(home / "small", folder)
    path = folder / "weights.safetensors"
    whole, draw = path.read_bytes(), random.Random(0)  # noqa: S311
    for _ in range(300):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        assert verdict(home, folder, right) == "refused"
    for data in (b"", whole[:-1], whole + b"\0", whole[:100], bytes(8), bytes(len(whole))):
        path.write_bytes(data)
        assert verdict(home, folder, right) == "refused"
    path.unlink()
    assert verdict(home, folder, right) == "refused"
    path.mkdir()
    assert verdict(home, folder, right) == "refused"


def test_the_remedy_helps(tmp_path: Path) -> None:
    """Compact and save again, into the same folder."""
    x = torch.randn(5, 6)
    small = sh.compact(net(), x, batch_sizes=())
    small.save(tmp_path)
    (tmp_path / "compact.json").write_text("{}")
    with pytest.raises(CompactionError, match="Compact and save again"):
        sh.load_compact(net, tmp_path)
    small.save(tmp_path)
    assert torch.equal(sh.load_compact(net, tmp_path)(x), small.model(x))


# Without checksums: contents that other programs, or hands, have made


def net() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        model[0].weight[:4] = 0.0
        model[0].bias[:4] = 0.0
    return model


STATES: dict[str, Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]] = {
    "none": lambda _: {},
    "one missing": lambda s: {k: t for k, t in s.items() if k != "2.bias"},
    "another": lambda s: {**s, "more": torch.ones(2)},
    "shape": lambda s: {**s, "0.weight": torch.ones(4, 5)},
    "other outputs": lambda s: {**s, "2.bias": torch.ones(3)},
    "NaN": lambda s: {**s, "2.bias": torch.full((3,), torch.nan)},
}


@pytest.mark.parametrize("how", STATES)
def test_other_weights_in_a_folder_of_before(how: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    sh.compact(net(), torch.randn(5, 6), batch_sizes=()).save(tmp_path)
    known = json.loads((tmp_path / "compact.json").read_text()) | {"format": 1}
    del known["sha256"], known["weights_sha256"]
    (tmp_path / "compact.json").write_text(json.dumps(sealed(known)))
    state = load_file(tmp_path / "weights.safetensors")
    save_file(STATES[how](state), tmp_path / "weights.safetensors")
    with pytest.warns(ShrinkageWarning), pytest.raises(CompactionError, match="does not make"):
        sh.load_compact(net, tmp_path)


# Writing


@pytest.mark.parametrize("name", ["weights.safetensors", "model.pt2", "model.onnx"])
def test_somebody_elses_files_stay(name: str, tmp_path: Path) -> None:
    small = sh.compact(net(), torch.randn(5, 6), batch_sizes=())
    (tmp_path / name).write_text("mine")
    with pytest.raises(CompactionError, match=f"somebody else's files: .*{name}"):
        small.save(tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    small.save(tmp_path / "new")
    small.save(tmp_path / "new")


@pytest.mark.parametrize(
    "about",
    [
        *({"a": torch.ones(2)}, {"a": float("nan")}, {"format": 3}, {"sha256": "x"}, {"a": {1}}),
        *({"dtype": "float16"}, {"inputs": ["age"]}, {"spec": {"lr": 1}}, {"model": 3}),
    ],
)
def test_values_that_are_no_json_are_refused(about: Json, tmp_path: Path) -> None:
    small = sh.compact(net(), torch.randn(5, 6), batch_sizes=())
    with pytest.raises(CompactionError, match=r"values for compact\.json cannot be written"):
        small.save(tmp_path / "new", **about)
    assert not (tmp_path / "new").exists()


def test_exports_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the folder should be, and a folder where the file should be."""
    small = sh.compact(net(), torch.randn(5, 6), batch_sizes=())
    (tmp_path / "file").write_text("mine")
    (tmp_path / "net.pt2").mkdir()
    for path in (tmp_path / "file" / "net.pt2", tmp_path / "net.pt2"):
        with pytest.raises(CompactionError, match="the folder cannot be written"):
            small.export(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "net.pt2"]
