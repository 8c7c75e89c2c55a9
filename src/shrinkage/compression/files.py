"""A compact network on disk: safetensors, and a JSON of what was removed. No pickles."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from shrinkage.arguments import as_path
from shrinkage.compression.copies import copied
from shrinkage.compression.records import FORMAT, CompactRecord, damaged, read_record
from shrinkage.compression.sparse import SparseLinear, put
from shrinkage.data import Spec
from shrinkage.data.models import Factory, build, resolve
from shrinkage.errors import RAISED, CompactionError, ModelError, told
from shrinkage.graph import Inputs
from shrinkage.graph.cut import Cuts, cut
from shrinkage.graph.wrappers import unwrapped
from shrinkage.runs import write_atomic
from shrinkage.runs.checksums import bytes_checksum, sealed

_WORDS = 32
_AGREE = {torch.float64: 1e-4, torch.float32: 1e-3}
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
    folder: str | Path,
    model: nn.Module,
    cuts: Cuts,
    known: Mapping[str, Any],
    about: Mapping[str, Any],
) -> Path:
    """Write ``weights.safetensors`` and ``compact.json`` into ``folder``.

    ``known`` of the network, and what the user says ``about`` it, under other names.
    The JSON has the checksum of the weights, and one of itself.
    """
    folder = as_path("folder", folder, error=CompactionError)
    data, shapes = encoded(model)
    layers = {
        name: len(module.values)
        for name, module in model.named_modules()
        if isinstance(module, SparseLinear)
    }
    own = {
        "format": FORMAT,
        "cuts": cuts.as_json(),
        "sparse_tensors": shapes,
        "sparse_layers": layers,
        "weights_sha256": bytes_checksum(data),
        **known,
    }
    text = _text(own, about)
    with writing(folder):
        _refuse_strangers(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "weights.safetensors", data)
        write_atomic(folder / "compact.json", text)
    return folder


def _text(own: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
    taken = [key for key in about if key in {*own, "sha256"}]
    try:
        if taken:
            raise ValueError(f"{taken[0]!r}, which compact.json has already")
        text = json.dumps(sealed({**own, **about}), indent=1, allow_nan=False)
        CompactRecord.from_json(json.loads(text))  # it has a meaning for some of them
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CompactionError(
            "values for compact.json cannot be written",
            got=told(error),
            expected="names of their own; numbers that are finite, texts, lists, dictionaries",
            remedy="Rename them, or turn them into such values.",
        ) from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's errors (read-only, full disk, a file in the way) into one line."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise CompactionError(
            "the folder cannot be written",
            got=f"{path}: {getattr(error, 'strerror', None) or error}",
            expected="a writable folder with free space",
            remedy="Choose another folder.",
        ) from None


def _refuse_strangers(folder: Path) -> None:
    names = ("weights.safetensors", "model.pt2", "model.onnx")
    strangers = [name for name in names if (folder / name).exists()]
    if strangers and not (folder / "compact.json").exists():
        raise CompactionError(
            "the folder holds somebody else's files",
            got=f"{folder} with {strangers[0]!r} in it and no compact.json",
            expected="a new folder, or one of a compact network",
            remedy="Choose another folder.",
        )


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
    except RAISED:  # a network may be made for other batches, or numbers
        return None
    if not isinstance(said, Tensor) or not bool(said.isfinite().all()):
        return None
    return [float(number) for number in said.double().flatten()[:_WORDS]]


def load_compact(make_model: str | Factory | None, folder: str | Path) -> nn.Module:
    """The compact network of a folder, built from the factory of the *original* network.

    ``make_model`` makes the network as it was before: a function that takes nothing or, of a folder
    that ``shrinkage compact`` wrote, a spec; a name, ``FILE.py:FACTORY``, or None for the name in
    the folder. Its units are cut as noted in ``compact.json`` and the stored weights loaded. The
    result is in eval mode. Raises :class:`CompactionError` for a folder without a compact network,
    files that are not as they were written (by their checksums; a folder of before, without them,
    is read with a warning), and a factory that fails, or makes another network: of other layers,
    or (with another activation, say) of
    other outputs on an input that was tried when it was saved.
    """
    remedy = "The order is load_compact(make_model, folder)."
    folder = as_path("folder", folder, remedy=remedy, error=CompactionError)
    known = read_record(folder)
    state = _state(folder, known)
    try:
        model = _made(known.model if make_model is None else make_model, known.spec)
    except ModelError as error:
        raise _other(folder, error.briefly) from error
    model, _ = unwrapped(model)
    _fill(folder, model, known, state)
    model.eval()
    expected = known.answer
    if expected and not _agrees(_asked(model, known.input_shapes), expected, known.dtype):
        raise _other(folder, "a network of the same shapes with other outputs")
    return model


def _state(folder: Path, known: CompactRecord) -> dict[str, Tensor]:
    try:
        data = (folder / "weights.safetensors").read_bytes()
        if known.weights is not None and bytes_checksum(data) != known.weights:
            raise ValueError("weights.safetensors is not as it was written: its checksum differs")
        return _decoded(load(data), known.sparse_tensors)
    except KeyError as error:
        raise damaged(folder, f"no {error} in weights.safetensors") from None
    except (OSError, ValueError, RuntimeError, IndexError, SafetensorError) as error:
        raise damaged(folder, str(error)) from None


def _fill(
    folder: Path, model: nn.Module, known: CompactRecord, state: Mapping[str, Tensor]
) -> None:
    """Cut a new network as the record says, and load the weights into it."""
    try:
        model.to(known.dtype)
        cut(model, known.cuts)
        for name, count in known.sparse_layers.items():
            _prepare(model, name, count)
        model.load_state_dict(state)
        for module in model.modules():
            if isinstance(module, SparseLinear):
                module.check()
    except IndexError as error:
        raise _other(folder, "a network with narrower layers") from error
    except (RuntimeError, AttributeError, LookupError, TypeError, ArithmeticError) as error:
        raise _other(folder, str(error).splitlines()[-1].strip()) from error


def _made(make_model: str | Factory | None, spec: Spec | None) -> nn.Module:
    if make_model is None:
        raise ModelError(
            "no factory",
            got="no factory, and no name of one",
            expected="one of them",
            remedy="Pass the factory.",
        )
    factory = resolve(make_model)
    if spec is not None:
        return build(factory, spec)

    def alone() -> nn.Module:
        return factory()  # without a spec in the folder its own defaults count

    alone.__name__ = getattr(factory, "__name__", type(factory).__name__)
    return build(alone, Spec(0, (), 0))


def _agrees(found: list[float] | None, expected: list[float], dtype: torch.dtype) -> bool:
    if found is None or len(found) != len(expected):
        return False
    gap = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    return gap <= _AGREE.get(dtype, 0.05) * max(1e-6, *map(abs, expected))


def _prepare(model: nn.Module, name: str, count: int) -> None:
    """A CSR layer with room for ``count`` values in place of a linear one."""
    linear = model.get_submodule(name)
    if not isinstance(linear, nn.Linear):
        raise TypeError(f"{name} is a {type(linear).__name__}, not a Linear")
    sparse = SparseLinear(linear)
    sparse.values = torch.zeros(count, dtype=sparse.values.dtype)
    sparse.columns = torch.zeros(count, dtype=torch.int32)
    put(model, name, sparse)


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


def _other(folder: Path, why: str) -> CompactionError:
    return CompactionError(
        "the factory does not make the network that was compacted",
        got=why,
        expected=f"the original network behind {folder}",
        remedy="Pass the factory that the trained network was made with.",
    )
