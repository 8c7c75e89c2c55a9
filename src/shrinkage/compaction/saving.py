"""A compact network on disk: safetensors, and a JSON of what was removed. No pickles."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from shrinkage.arguments import as_path
from shrinkage.compaction.copying import copied
from shrinkage.compaction.sparse import SparseLinear
from shrinkage.coupling.cutting import Cuts, cut
from shrinkage.coupling.tracing import Inputs
from shrinkage.data import Spec
from shrinkage.errors import CompactionError, ModelError, told
from shrinkage.models import Factory, build, resolve
from shrinkage.runs import write_atomic
from shrinkage.wrappers import unwrapped

_FORMAT = 1
_WORDS = 32
_AGREE = {"float64": 1e-4, "float32": 1e-3}
"""As far apart as other machines may be, relative to the largest number; else 0.05."""
_SHORT = torch.iinfo(torch.int16).max


def encoded(model: nn.Module) -> tuple[bytes, dict[str, list[int]]]:
    """The state in safetensors, and the shapes of the tensors whose zeros are left out.

    A tensor with many zeros is stored as values, columns and row starts (CSR over its first
    axis), with 16-bit indices where they suffice, if that is smaller.
    """
    stored: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        parts = _sparse(tensor) if tensor.is_floating_point() and tensor.ndim > 1 else None
        if parts is None:
            stored[name] = tensor.clone()
            continue
        shapes[name] = list(tensor.shape)
        stored |= {f"{name}:{key}": part for key, part in parts.items()}
    return save(stored), shapes


def save_compact(
    folder: str | Path, model: nn.Module, cuts: Cuts, about: Mapping[str, Any]
) -> Path:
    """Write ``weights.safetensors`` and ``compact.json`` into ``folder``."""
    folder = as_path("folder", folder, error=CompactionError)
    data, shapes = encoded(model)
    layers = {
        name: len(module.values)
        for name, module in model.named_modules()
        if isinstance(module, SparseLinear)
    }
    text = {
        "format": _FORMAT,
        "cuts": cuts.as_json(),
        "sparse_tensors": shapes,
        "sparse_layers": layers,
        **about,
    }
    written = _as_json(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "weights.safetensors", data)
        write_atomic(folder / "compact.json", written)
    except (OSError, ValueError) as error:
        raise CompactionError(
            "the folder cannot be written",
            got=f"{folder}: {getattr(error, 'strerror', None) or error}",
            expected="a writable folder with free space",
            remedy="Choose another folder.",
        ) from None
    return folder


def _as_json(text: dict[str, Any]) -> bytes:
    try:
        return json.dumps(text, indent=1, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CompactionError(
            "what is told about the network cannot be stored",
            got=told(error),
            expected="texts, numbers, lists and mappings of these",
            remedy="Leave it out, or convert it: tensor.tolist(), str(path).",
        ) from None


def answer(model: nn.Module, example: Inputs) -> list[float] | None:
    """What the network says to the inputs sin 0, sin 1, …, by which another one is found out.

    None where it takes anything but float tensors, or gives anything but one, always the same.
    """
    if not all(isinstance(t, Tensor) and t.ndim and t.is_floating_point() for t in example):
        return None
    asked, shapes = copied(model).cpu().eval(), [list(t.shape[1:]) for t in example]
    once = _asked(asked, shapes)
    return once if once == _asked(asked, shapes) else None


def _asked(model: nn.Module, shapes: list[list[int]]) -> list[float] | None:
    at = next(iter(model.parameters()), torch.empty(0))
    inputs = [
        torch.arange(2 * prod(s), dtype=torch.float64).sin().reshape(2, *s).to(at) for s in shapes
    ]
    try:
        with torch.no_grad():
            said = model(*inputs)
    except Exception:  # a network may be made for other batches, or numbers
        return None
    if not isinstance(said, Tensor) or not bool(said.isfinite().all()):
        return None
    return [float(number) for number in said.double().flatten()[:_WORDS]]


def load_compact(make_model: str | Factory | None, folder: str | Path) -> nn.Module:
    """The compact network of a folder, built from the factory of the *original* network.

    ``make_model`` makes the network as it was before: a function that takes nothing or, of a folder
    that ``shrinkage compact`` wrote, a spec; a name, ``FILE.py:FACTORY``, or None for the name in
    the folder. Its units are cut as noted in ``compact.json`` and the stored weights loaded. The
    result is in eval mode. Raises
    :class:`CompactionError` for a folder without a compact network, damaged files, and a factory
    that fails, or makes another network: of other layers, or (with another activation, say) of
    other outputs on an input that was tried when it was saved.
    """
    folder = as_path("folder", folder, error=CompactionError)
    known = read_compact(folder)
    try:
        model = _made(known["model"] if make_model is None else make_model, known.get("spec"))
    except (ModelError, KeyError) as error:
        said = error.briefly if isinstance(error, ModelError) else "no factory, and no name of one"
        raise _other(folder, said) from error
    try:
        model, _ = unwrapped(model)
        model.to(getattr(torch, known["dtype"]))
        cut(model, Cuts.of_json(known["cuts"]))
        for name, count in known["sparse_layers"].items():
            _prepare(model, name, count)
        state = _decoded(load_file(folder / "weights.safetensors"), known["sparse_tensors"])
        model.load_state_dict(state)
    except (OSError, SafetensorError) as error:
        raise damaged(folder, str(error)) from None
    except IndexError as error:
        raise _other(folder, "a network with narrower layers") from error
    except (RuntimeError, AttributeError) as error:
        raise _other(folder, str(error).splitlines()[-1].strip()) from error
    model.eval()
    expected = known.get("answer")  # folders of before have none
    if expected and not _agrees(_asked(model, known["input_shapes"]), expected, known["dtype"]):
        raise _other(folder, "a network of the same shapes with other outputs")
    return model


def _made(make_model: str | Factory, spec: dict[str, Any] | None) -> nn.Module:
    factory = resolve(make_model)
    if spec is not None:
        shape = tuple(spec["input_shape"])
        return build(factory, Spec(spec["n_inputs"], shape, spec["n_outputs"]))

    def alone() -> nn.Module:
        return factory()  # without a spec in the folder its own defaults count

    alone.__name__ = getattr(factory, "__name__", type(factory).__name__)
    return build(alone, Spec(0, (), 0))


def _agrees(found: list[float] | None, expected: list[float], dtype: str) -> bool:
    if found is None or len(found) != len(expected):
        return False
    gap = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    return gap <= _AGREE.get(dtype, 0.05) * max(1e-6, *map(abs, expected))


def _prepare(model: nn.Module, name: str, count: int) -> None:
    """A CSR layer with room for ``count`` values in place of a linear one."""
    path, _, local = name.rpartition(".")
    linear = model.get_submodule(name)
    assert isinstance(linear, nn.Linear)  # noqa: S101  (narrowing)
    sparse = SparseLinear(linear)
    sparse.values = torch.zeros(count, dtype=sparse.values.dtype)
    sparse.columns = torch.zeros(count, dtype=torch.int32)
    setattr(model.get_submodule(path), local, sparse)


def _sparse(tensor: Tensor) -> dict[str, Tensor] | None:
    rows = tensor.flatten(1)
    places = rows.nonzero()
    count, width = len(places), rows.shape[1]
    narrow = torch.int16 if max(width, count) <= _SHORT else torch.int32
    column_type = torch.int16 if width <= _SHORT else torch.int32
    size = count * (tensor.element_size() + column_type.itemsize) + len(rows) * narrow.itemsize
    if size >= tensor.numel() * tensor.element_size():
        return None
    return {
        "values": rows[places[:, 0], places[:, 1]].clone(),
        "columns": places[:, 1].to(column_type),
        "counts": torch.bincount(places[:, 0], minlength=len(rows)).to(narrow),
    }


def _decoded(stored: Mapping[str, Tensor], shapes: Mapping[str, list[int]]) -> dict[str, Tensor]:
    state = {name: tensor for name, tensor in stored.items() if ":" not in name}
    for name, shape in shapes.items():
        values, columns, counts = (stored[f"{name}:{k}"] for k in ("values", "columns", "counts"))
        dense = values.new_zeros(shape[0], torch.Size(shape).numel() // shape[0])
        rows = torch.repeat_interleave(torch.arange(shape[0]), counts.long())
        dense[rows, columns.long()] = values
        state[name] = dense.reshape(shape)
    return state


def read_compact(folder: Path) -> dict[str, Any]:
    """What ``compact.json`` of a folder says."""
    path = folder / "compact.json"
    if not path.is_file():
        raise CompactionError(
            "not a compact network",
            got=str(folder),
            expected="a folder with a compact.json",
            remedy="Give the folder that save() or shrinkage compact wrote.",
        )
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if known["format"] != _FORMAT:
            raise ValueError(f"format {known['format']}, not {_FORMAT}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(folder, str(error)) from None
    return known


def damaged(folder: Path, why: str) -> CompactionError:
    """The error for files that this program has not written so."""
    return CompactionError(
        "the compact network is damaged",
        got=f"{folder}: {why}",
        expected="files as this program wrote them",
        remedy="Compact and save again.",
    )


def _other(folder: Path, why: str) -> CompactionError:
    return CompactionError(
        "the factory does not make the network that was compacted",
        got=why,
        expected=f"the original network behind {folder}",
        remedy="Pass the factory that the trained network was made with.",
    )
