"""sh.compact: cut, prove, measure; and what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from shrinkage.arguments import as_flag, as_int, as_names
from shrinkage.compression.checks import as_inputs
from shrinkage.compression.copies import copied
from shrinkage.compression.decision import narrowed
from shrinkage.compression.exports import export_onnx, export_program
from shrinkage.compression.files import answer, encoded, save_compact
from shrinkage.compression.latency import Latency, latencies, macs
from shrinkage.compression.proof import check_equal
from shrinkage.compression.report import LayerChange, Report
from shrinkage.compression.smaller import Compacted, compacted
from shrinkage.compression.sparse import SparseChoice, sparsified
from shrinkage.errors import RAISED, CompactionError, told
from shrinkage.graph import Inputs
from shrinkage.graph.cut import Cuts
from shrinkage.graph.untouched import home, untouched
from shrinkage.graph.wrappers import check_network, running_eagerly


@dataclass(frozen=True, eq=False)
class Compact:
    """A compact network; made by :func:`compact`.

    ``model``: a network of the same class, smaller, in eval mode. ``report``: what changed;
    ``print(report)`` is a table. ``inputs``: with ``drop_inputs=True`` the places of the inputs
    that are left, in the flattened example; the model then takes ``x.flatten(1)[:, inputs]``.
    """

    model: nn.Module
    report: Report
    inputs: Tensor | None
    _example: Inputs = field(repr=False)
    _cuts: Cuts = field(repr=False)

    def save(self, folder: str | Path, **about: Any) -> Path:
        """Write ``weights.safetensors`` and ``compact.json``; see :func:`load_compact`.

        ``about``: more values for the JSON, such as where the network came from.
        """
        known = {
            "dtype": str(home(self.model)[1]).removeprefix("torch."),
            "input_shapes": [list(t.shape[1:]) for t in self._example if isinstance(t, Tensor)],
            "answer": answer(self.model, self._example),
            "inputs": None if self.inputs is None else self.inputs.tolist(),
        }
        return save_compact(folder, self.model, self._cuts, known, about)

    def export(self, path: str | Path) -> Path:
        """Write a program for ``torch.export.load`` (``.pt2``)."""
        return export_program(self.model, self._example, path)

    def onnx(self, path: str | Path) -> Path:
        """Write an ONNX file, checked with onnxruntime; needs ``shrinkage[onnx]``."""
        return export_onnx(self.model, self._example, path)


def compact(
    model: nn.Module,
    example_inputs: Tensor | tuple[Any, ...] | Mapping[str, Any] | None = None,
    *,
    ignored: Sequence[str] = (),
    drop_inputs: bool = False,
    sparse: int | None = None,
    batch_sizes: Sequence[int] = (1, 128),
) -> Compact:
    """A smaller network with the same function: units that are dead, or that nobody reads, go.

    A unit (filter, neuron) goes with everything that must vanish with it: rows, columns, biases,
    norm scales and statistics, along residual branches, concatenations and groups. A dead unit
    that still puts out a constant is folded into the biases of what reads it, where that is
    exact: linear layers, convolutions without zero padding, a constant 0. Else it stays, and the
    report says why; so does whatever is not understood (attention, layer norms, custom autograd
    functions, parametrizations, tied weights), and a network whose way depends on its input stays
    whole. Outputs and gradients are then compared on the example inputs and on random ones in
    float64 (1e-9, relative), outputs also in the network's own dtype (float32: 1e-5).

    ``example_inputs``: one batch of real inputs, a tuple of what the network takes, or a dict by
    the names of its arguments.
    ``ignored``: name patterns of layers to leave alone. ``drop_inputs``: leave out inputs (pixels,
    columns) that nobody reads, see :class:`Compact`. ``sparse``: a batch size at which linear
    layers with zeros left are measured as CSR, and replaced where that is faster. ``batch_sizes``:
    where to measure latency; none: ``()``.

    The network itself is never touched. Of one in ``torch.compile``, ``DataParallel`` or
    ``DistributedDataParallel`` the network inside is compacted, and its factory loads what is
    saved. Raises :class:`CompactionError` for a network in training mode or with NaN, inputs that
    it does not take, and where a proof fails.
    """
    check_network(model, "Call compact(model, x).", error=CompactionError)
    inputs = as_inputs(model, example_inputs)
    ignored = as_names("ignored", ignored, error=CompactionError,
                       remedy='Leave it out, or name layers: ("head*",).')  # fmt: skip
    drop_inputs = as_flag("drop_inputs", drop_inputs, error=CompactionError)
    sparse = None if sparse is None else _rows("sparse", sparse)
    many = isinstance(batch_sizes, list | tuple | range)
    batch_sizes = [_rows("batch_sizes", size) for size in (batch_sizes if many else [batch_sizes])]
    if drop_inputs:
        _check_first(inputs)
    with running_eagerly():
        found = compacted(model, inputs, ignored=ignored, drop_inputs=drop_inputs)
    return _measured(found, inputs, sparse, batch_sizes)


def _check_first(inputs: Inputs) -> None:
    """Refuse inputs of which none can be dropped."""
    if not (inputs and isinstance(inputs[0], Tensor) and inputs[0].ndim > 1):
        raise CompactionError(
            "inputs cannot be dropped",
            got=type(inputs[0]).__name__ if inputs else "nothing",
            expected="a batch of examples as the first input",
            remedy="Leave drop_inputs out.",
        )


def _measured(
    found: Compacted, inputs: Inputs, sparse: int | None, batch_sizes: Sequence[int]
) -> Compact:
    """With sparse layers where they are asked for and faster, and with a report."""
    small_inputs = narrowed(inputs, found.kept_inputs)
    after, choices = found.after, tuple[SparseChoice, ...]()
    if sparse is not None:
        after = copied(after)
        with untouched(after), untouched(found.after):
            choices = sparsified(after, small_inputs, sparse)
            check_equal(found.after, after, small_inputs)
    with untouched(found.after):
        report = _report(found, after, inputs, small_inputs, choices, batch_sizes)
    return Compact(after, report, found.kept_inputs, small_inputs, found.cuts)


def _rows(name: str, size: object) -> int:
    remedy = "It is a number of rows, such as 1."
    return as_int(name, size, least=1, most=2**31 - 1, remedy=remedy, error=CompactionError)


def _report(
    found: Compacted,
    after: nn.Module,
    inputs: Inputs,
    small_inputs: Inputs,
    choices: tuple[SparseChoice, ...],
    batch_sizes: Sequence[int],
) -> Report:
    before, notes = copied(found.before), found.notes
    times: tuple[Latency, ...] = ()
    try:
        times = latencies(before, after, inputs, small_inputs, batch_sizes)
    except RAISED as error:  # a network may be made for one batch size only
        notes = (*notes, f"latency was not measured: {told(error)}")
    state = dict(found.after.named_parameters())
    return Report(
        parameters=(_count(before), _count(found.after)),
        nonzeros=(_nonzeros(before), _nonzeros(found.after)),
        macs=(macs(before, inputs), macs(found.after, small_inputs)),
        bytes=(_dense_bytes(before), len(encoded(after)[0])),
        layers=tuple(
            LayerChange(name.removesuffix(".weight"), tuple(old.shape), tuple(state[name].shape))
            for name, old in before.named_parameters()
            if old.ndim > 1
        ),
        latencies=times,
        sparse=choices,
        proofs=found.proofs,
        notes=notes,
    )


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _nonzeros(model: nn.Module) -> int:
    return sum(int(p.count_nonzero()) for p in model.parameters())


def _dense_bytes(model: nn.Module) -> int:
    state = {k: t.detach().cpu().clone().contiguous() for k, t in model.state_dict().items()}
    return len(save(state))
