"""The notebooks run from top to bottom, warn of nothing, and show what they say."""

import json
import shutil
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode, read
from nbformat.v4 import new_code_cell

EXAMPLES = Path(__file__).parent.parent / "examples"


def executed(name: str, folder: Path, wanted: str) -> tuple[NotebookNode, object]:
    """The notebook after a run in ``folder``, and the value of an expression at its end."""
    copied = shutil.copy(EXAMPLES / name, folder)
    notebook = read(copied, as_version=4)
    notebook.cells.append(new_code_cell(f"import json\nprint(json.dumps({wanted}))"))
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=240, resources=place).execute()
    return notebook, json.loads(notebook.cells[-1].outputs[0].text)


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]


def figures(notebook: NotebookNode) -> int:
    return sum("application/vnd.plotly.v1+json" in out.get("data", {}) for out in outputs(notebook))


def complaints(notebook: NotebookNode) -> list[str]:
    """Warnings, and whatever else went to the error stream."""
    return [out.text for out in outputs(notebook) if out.get("name") == "stderr"]


def test_the_lesson_holds_on_the_networks_it_trains(tmp_path: Path) -> None:
    notebook, seen = executed("lesson.ipynb", tmp_path, "seen")
    assert complaints(notebook) == []
    assert figures(notebook) >= 18
    assert {statement.split()[0] for statement in seen} == {f"C{k}" for k in range(1, 16)}
    # How evenly filters answer, and what dropout does to 200 digits, differ from seed to seed.
    free = {name for name in seen if "strongest filter" in name or name.startswith("C15")}
    assert len(free) == 2
    assert [name for name, held in seen.items() if not held and name not in free] == []
    assert len(list(tmp_path.glob("runs/*/report.html"))) == 1


def test_two_lines_make_exact_zeros_in_an_ordinary_loop(tmp_path: Path) -> None:
    wanted = "[before, after, size(model), same, [str(w.message) for w in said]]"
    notebook, found = executed("your_network.ipynb", tmp_path, wanted)
    before, after, size, same, said = found
    assert complaints(notebook) == []
    assert before["zeros"] == 0
    assert after["zeros"] > size / 3
    assert after["accuracy"] > before["accuracy"] - 0.02
    assert same is True
    assert len(said) == 1
    assert "normalisation layer" in said[0]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.ipynb")))
def test_notebooks_are_kept_without_outputs(name: str) -> None:
    notebook = read(EXAMPLES / name, as_version=4)
    assert outputs(notebook) == []
    assert all(cell.get("execution_count") is None for cell in notebook.cells)
