"""Small runs for tests that damage run folders, and the edits that damage them."""

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import shrinkage as sh

Edit = Callable[[random.Random, Path], object]
_SIZE = {"epochs": 3, "jobs": 1, "progress": lambda _: None}


def small_path(run: Path, **more: Any) -> sh.RegularizationPath:
    size = {"points": 3, "seeds": 2, "refine": 0, "point_epochs": 1, "rounds": 1, **_SIZE}
    return sh.path("mlp", "wine", sh.L1(1.0), run=run, **{**size, **more})


def small_contrast(run: Path, **more: Any) -> sh.Contrast:
    columns = ["none", "l1", "magnitude"]
    size = {"grid": [1e-3, 1e-2], "seeds": 2, "point_epochs": 2, **_SIZE}
    return sh.contrast("mlp", "wine", columns=columns, run=run, **{**size, **more})


def lines(run: Path) -> list[bytes]:
    return (run / "points.jsonl").read_bytes().splitlines(keepends=True)


def write_lines(run: Path, content: list[bytes]) -> None:
    (run / "points.jsonl").write_bytes(b"".join(content))


def stored_weights(run: Path) -> list[Path]:
    return sorted((run / "weights").iterdir())


def aged(run: Path) -> None:
    """Make of a folder one of format 1, as versions before checksums wrote it."""
    header = json.loads((run / "run.json").read_text())
    header = {k: v for k, v in header.items() if k not in ("sha256", "points")} | {"format": 1}
    (run / "run.json").write_text(json.dumps(header, indent=1))
    points = [json.loads(line) for line in lines(run)]
    plain = [{k: v for k, v in p.items() if k not in ("files", "run", "sha256")} for p in points]
    write_lines(run, [json.dumps(point).encode() + b"\n" for point in plain])


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value[:3])
        for key, item in inside:
            yield (*place, key)
            yield from _places(item, (*place, key))


_DEEP, _NAN = "very deep", "not a number"
_VALUES = (None, True, -1, 0, 0.5, 1e308, 10**30, "x", [], {}, [[[]]], {"a": 1}, _DEEP, _NAN)


def _edited(chance: random.Random, text: bytes) -> bytes:
    """A record with another value at one place, or without it."""
    record = copy.deepcopy(json.loads(text))
    *way, last = chance.choice(list(_places(record)))
    at = record
    for key in way:
        at = at[key]
    if chance.random() < 0.25:
        del at[last]
    else:
        at[last] = chance.choice(_VALUES)
    written = json.dumps(record).replace(f'"{_NAN}"', "NaN")
    return written.replace(f'"{_DEEP}"', "[" * 100_000 + "]" * 100_000).encode() + b"\n"


def edit_header(chance: random.Random, run: Path) -> None:
    path = run / "run.json"
    path.write_bytes(_edited(chance, path.read_bytes()))


def edit_line(chance: random.Random, run: Path) -> None:
    found = lines(run)
    number = chance.randrange(len(found))
    found[number] = _edited(chance, found[number])
    write_lines(run, found)


def _any_file(chance: random.Random, run: Path) -> Path:
    return chance.choice([run / "run.json", run / "points.jsonl", *stored_weights(run)])


def flip_a_bit(chance: random.Random, run: Path) -> None:
    path = _any_file(chance, run)
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def edit_bytes(chance: random.Random, run: Path) -> None:
    path = _any_file(chance, run)
    content = path.read_bytes()
    start = chance.randrange(len(content))
    end = min(len(content), start + chance.randrange(1, 20))
    before, part, after = content[:start], content[start:end], content[end:]
    rubbish = chance.randbytes(len(part))
    ways = (before, before + after, before + rubbish + after, before + part + part + after)
    path.write_bytes(chance.choice(ways))


def edit_lines(chance: random.Random, run: Path) -> None:
    found = lines(run)
    k = chance.randrange(len(found))
    alien = b'{"kind": "alien", "key": "1"}\n'
    ways = (
        [*found[:k], *found[k + 1 :]],
        [*found, found[k]],
        found[::-1],
        found[:k],
        [],
        [*found[:k], alien, *found[k:]],
        [line[:-1] + b"\r\n" for line in found],
        [b"\xef\xbb\xbf" + found[0], *found[1:]],
        [*found[:k], b"\n", *found[k:]],
    )
    write_lines(run, chance.choice(ways))


def edit_weights(chance: random.Random, run: Path) -> None:
    one, other = chance.sample(stored_weights(run), 2)
    ways: tuple[Callable[[], object], ...] = (
        one.unlink,
        lambda: one.write_bytes(other.read_bytes()),
        lambda: one.write_bytes(b""),
        lambda: shutil.rmtree(run / "weights"),
    )
    chance.choice(ways)()


EDITS: tuple[Edit, ...] = (
    edit_header,
    edit_line,
    edit_line,
    flip_a_bit,
    edit_bytes,
    edit_lines,
    edit_weights,
)
