"""The house stays a house: a room imports only from rooms above it, and nothing shadows a room."""

import ast
import subprocess
import sys
from pathlib import Path

import shrinkage

SOURCE = Path(shrinkage.__file__).parent
ROOMS = (
    "errors",
    "arguments",
    "progress",
    "penalties",
    "graph",
    "plans",
    "optim",
    "data",
    "runs",
    "analysis",
    "compression",
    "lesson",
    "reports",
    "experiments",
    "explorer",
    "cli",
)


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [node.module]
                if node.module != "shrinkage"
                else [f"shrinkage.{alias.name}" for alias in node.names]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("shrinkage.")}
    return found


def violations(path: Path) -> set[str]:
    own = ROOMS.index(room_of(path))
    return {room for room in imported_rooms(path) if ROOMS.index(room) > own}


DOORS = [SOURCE / "__init__.py", SOURCE / "__main__.py"]
FILES = [path for path in SOURCE.rglob("*.py") if path not in DOORS]


def test_every_file_is_in_a_known_room() -> None:
    assert {room_of(path) for path in FILES} == set(ROOMS)


def test_rooms_import_only_from_above() -> None:
    assert {str(path): bad for path in FILES if (bad := violations(path))} == {}


def test_few_rooms_and_few_arrows_between_them() -> None:
    arrows = {(room_of(path), room) for path in FILES for room in imported_rooms(path)}
    assert len([room for room in ROOMS if (SOURCE / room).is_dir()]) <= 14
    assert len({(a, b) for a, b in arrows if a != b}) <= 70


def test_a_wrong_import_would_be_seen(tmp_path: Path, monkeypatch) -> None:
    room = tmp_path / "penalties"
    room.mkdir()
    (room / "bad.py").write_text("from shrinkage.plans import Plan\nimport shrinkage.cli\n")
    monkeypatch.setattr("test_rooms.SOURCE", tmp_path)
    assert violations(room / "bad.py") == {"plans", "cli"}


def test_no_room_bears_the_name_of_a_public_function() -> None:
    modules = {path.stem for path in SOURCE.glob("*.py")} | {
        path.name for path in SOURCE.iterdir() if path.is_dir()
    }
    assert not modules & set(shrinkage.__all__)


def test_architecture_names_every_room() -> None:
    page = (SOURCE.parents[1] / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [room for room in ROOMS if room not in page] == []


def test_public_names_are_documented() -> None:
    assert [n for n in shrinkage.__all__ if not (getattr(shrinkage, n).__doc__ or "").strip()] == []


def test_neither_help_nor_import_waits_for_pytorch() -> None:
    """Who asks for --help, or mistypes an option, is answered at once."""
    asked = "from shrinkage.cli import app\napp(['path', '--help'], standalone_mode=False)\n"
    for code in ("import shrinkage\n", asked):
        check = "import sys; assert 'torch' not in sys.modules, 'torch was imported'"
        subprocess.run([sys.executable, "-c", code + check], check=True, capture_output=True)


def test_rooms_are_there_without_an_import_of_their_own() -> None:
    code = "import shrinkage as sh; assert sh.models.mlp and sh.data.Spec; sh.no_such"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "AttributeError" in done.stderr
    assert "no_such" in done.stderr


def test_names_may_be_asked_for_by_many_threads_at_once() -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
import shrinkage as sh
assert not hasattr(sh, "no.room")
names = ["explore", "path", "contrast", "compact", "attach", "polish", "L1", "Plan"] * 5
with ThreadPoolExecutor(len(names)) as pool:
    assert all(pool.map(lambda name: getattr(sh, name), names))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
