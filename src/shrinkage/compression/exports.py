"""The compact network for other tools: torch.export and ONNX."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shrinkage.arguments import as_path
from shrinkage.compression.copies import copied
from shrinkage.compression.files import writing
from shrinkage.compression.latency import batch_of
from shrinkage.compression.sparse import densified
from shrinkage.errors import RAISED, CompactionError, told
from shrinkage.graph import Inputs
from shrinkage.graph.call import tensors
from shrinkage.runs import write_atomic


def export_program(model: nn.Module, inputs: Inputs, path: str | Path) -> Path:
    """Write a ``.pt2`` for ``torch.export.load``; the batch size is free where the code lets it.

    Raises :class:`CompactionError` where ``torch.export`` cannot follow the network.
    """
    path = _suffixed(path, ".pt2")
    plain, batch = _plain(model), batch_of(inputs, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own tracing
            program = torch.export.export(plain, batch, dynamic_shapes=_free(batch))
            data = io.BytesIO()
            torch.export.save(program, data)
    except RAISED as error:  # torch.export names no base class of its own
        raise _failed("torch.export", error) from error
    return _written(path, data.getvalue())


def export_onnx(model: nn.Module, inputs: Inputs, path: str | Path) -> Path:
    """Write an ONNX file and check with onnxruntime that its outputs are the network's.

    Needs the extra ``shrinkage[onnx]``. Raises :class:`CompactionError` where it is missing, where
    the network has no ONNX form, and where the outputs differ by more than 1e-4 of the largest.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise CompactionError(
            "ONNX needs packages that are not installed",
            got=str(error),
            expected="onnx, onnxruntime and onnxscript",
            remedy="pip install 'shrinkage[onnx]'",
        ) from None
    path = _suffixed(path, ".onnx")
    plain, batch = _plain(model).cpu(), batch_of(inputs, 2)
    batch = tuple(t.cpu() if isinstance(t, Tensor) else t for t in batch)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), _quiet():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            program = torch.onnx.export(
                plain, batch, dynamo=True, verbose=False, dynamic_shapes=_free(batch)
            )
            assert program is not None  # noqa: S101  (narrowing)
            data = program.model_proto.SerializeToString()
            session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except RAISED as error:
        raise _failed("torch.onnx", error) from error
    for size in (2, 5):
        _compare(plain, session, batch_of(batch, size))
    return _written(path, data)


def onnx_outputs(path: str | Path, x: Tensor) -> Tensor:
    """What onnxruntime computes from an ONNX file of one input and one output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (first,) = session.get_inputs()
    return torch.from_numpy(session.run(None, {first.name: x.numpy()})[0])


def _compare(model: nn.Module, session: Any, batch: Inputs) -> None:
    given = list(tensors(batch))
    feed = {i.name: t.numpy() for i, t in zip(session.get_inputs(), given, strict=True)}
    with torch.no_grad():
        expected = list(tensors(model(*batch)))
    for ours, theirs in zip(expected, session.run(None, feed), strict=True):
        gap = float((ours - torch.from_numpy(theirs)).abs().max())
        size = float(ours.abs().max())
        if gap > 1e-4 * max(size, 1e-6):
            raise CompactionError(
                "the ONNX file computes something else",
                got=f"a difference of {gap:.2g} for outputs up to {size:.2g}",
                expected="the network's own outputs",
                remedy="Use save() and load_compact, or export() for torch.",
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's log lines about packages it does not need."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _plain(model: nn.Module) -> nn.Module:
    plain = copied(model).eval()
    densified(plain)
    return plain


def _free(batch: Inputs) -> tuple[Any, ...]:
    """The first axis of every input may have any length."""
    return tuple(
        {0: torch.export.Dim.DYNAMIC} if isinstance(t, Tensor) and t.ndim else None for t in batch
    )


def _suffixed(path: str | Path, suffix: str) -> Path:
    """The path with its suffix."""
    path = as_path("path", path, error=CompactionError)
    return path if path.suffix == suffix else path.parent / f"{path.name}{suffix}"


def _written(path: Path, data: bytes) -> Path:
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    return path


def _failed(what: str, error: BaseException) -> CompactionError:
    return CompactionError(
        f"{what} cannot follow the network",
        got=told(error),
        expected="a network that it can trace",
        remedy="Use save() and load_compact instead.",
    )
