"""What ``compact.json`` says, by type."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from shrinkage.data import Spec
from shrinkage.errors import CompactionError, warn
from shrinkage.graph.cut import Cuts
from shrinkage.runs.checksums import is_intact, is_sealed, parse_record
from shrinkage.runs.questions import Questions
from shrinkage.runs.typed import checked, field

FORMAT = 2
"""Folders of format 1 have no checksums."""


@dataclass(frozen=True)
class CompactRecord:
    """How a compact network is built from the whole one, and what it must say then.

    ``weights``: the checksum of its file; None in folders of before. ``answer``: outputs for known
    inputs of ``input_shapes``.
    """

    dtype: torch.dtype
    cuts: Cuts
    sparse_tensors: Mapping[str, list[int]]
    sparse_layers: Mapping[str, int]
    input_shapes: list[list[int]]
    answer: list[float] | None
    model: str | None
    spec: Spec | None
    questions: Questions | None
    weights: str | None

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """From what is written; :class:`ValueError` for values of another type."""
        dtype = getattr(torch, field(told, "dtype", str), None)
        if not isinstance(dtype, torch.dtype):
            raise ValueError(f"dtype is {told['dtype']!r:.40}, not the name of one")
        cuts = field(told, "cuts", dict[str, Any])
        for key, hint in _CUTS.items():
            field(cuts, key, hint, "cuts.")
        for name, part in cuts["weights"].items():
            for key, hint in _WEIGHT_CUT.items():
                field(part, key, hint, f"cuts.weights[{name!r}].")
        shapes = told.get("input_shapes", [])
        questions = field(told, "questions", dict[str, Any] | None)
        return cls(
            dtype=dtype,
            cuts=Cuts.of_json(cuts),
            sparse_tensors=field(told, "sparse_tensors", dict[str, list[int]]),
            sparse_layers=field(told, "sparse_layers", dict[str, int]),
            input_shapes=checked(shapes, list[list[int]], "input_shapes"),
            answer=field(told, "answer", list[float] | None),
            model=field(told, "model", str | None),
            spec=_spec(field(told, "spec", dict[str, Any] | None)),
            questions=None if questions is None else Questions.of_json(questions),
            weights=field(told, "weights_sha256", str if told["format"] == FORMAT else None),
        )


_CUTS: Mapping[str, Any] = {
    "weights": dict[str, dict[str, Any]],
    "vectors": dict[str, tuple[int, list[int]]],
    "new_biases": list[str],
}
_WEIGHT_CUT: Mapping[str, Any] = {
    "inputs": list[int],
    "outputs": list[int],
    "groups": int,
    "transposed": bool,
}


def _spec(told: Mapping[str, Any] | None) -> Spec | None:
    if told is None:
        return None
    shape = tuple(field(told, "input_shape", list[int], "spec."))
    return Spec(
        field(told, "n_inputs", int, "spec."), shape, field(told, "n_outputs", int, "spec.")
    )


def read_record(folder: Path) -> CompactRecord:
    """What ``compact.json`` of a folder says.

    Raises :class:`CompactionError` for a folder without it, one that was edited, and other types.
    """
    path = folder / "compact.json"
    if not path.is_file():
        raise CompactionError(
            "not a compact network",
            got=str(folder),
            expected="a folder with a compact.json",
            remedy="Give the folder that save() or shrinkage compact wrote.",
        )
    try:
        told = parse_record(path.read_bytes())
        form = field(told, "format", int)
        if form not in (1, FORMAT):
            raise ValueError(f"format {form}, not {FORMAT}")
        record = CompactRecord.from_json(told)
        if (form == FORMAT or is_sealed(told)) and not is_intact(told):
            raise ValueError("compact.json is not as it was written: its checksum differs")
    except (OSError, ValueError) as error:
        raise damaged(folder, str(error)) from None
    if form == 1:
        warn(
            f"{folder} was written without checksums: whether its files were changed since cannot "
            "be told. Compact and save again.",
        )
    return record


def damaged(folder: Path, why: str) -> CompactionError:
    """The error for files that this program has not written so."""
    return CompactionError(
        "the compact network is damaged",
        got=f"{folder}: {why}",
        expected="files as this program wrote them",
        remedy="Compact and save again.",
    )
