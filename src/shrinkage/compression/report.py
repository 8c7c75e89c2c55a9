"""What compaction came to: sizes, latency, proofs and what stays, as a table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import starmap

from rich.console import Console
from rich.table import Table

from shrinkage.compression.latency import Latency
from shrinkage.compression.proof import Proof
from shrinkage.compression.sparse import SparseChoice

BeforeAfter = tuple[int, int]


@dataclass(frozen=True)
class LayerChange:
    """The shape of a layer's weight before and after."""

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """Figures before and after.

    ``parameters``; ``nonzeros`` of them; ``macs``: multiply–accumulates per example; ``bytes``:
    of the weights on disk, zeros left out where that is smaller; ``latencies``: medians of
    interleaved runs; ``sparse``: what was measured for CSR; ``proofs``: the largest relative
    differences of outputs and gradients by dtype; ``notes``: what was kept, and why.
    """

    parameters: BeforeAfter
    nonzeros: BeforeAfter
    macs: BeforeAfter
    bytes: BeforeAfter
    layers: tuple[LayerChange, ...]
    latencies: tuple[Latency, ...]
    sparse: tuple[SparseChoice, ...]
    proofs: Mapping[str, Proof]
    notes: tuple[str, ...]

    @property
    def is_faster(self) -> bool:
        """Whether every latency that was measured fell by more than a tenth."""
        return bool(self.latencies) and all(one.speedup > 1.1 for one in self.latencies)

    def __str__(self) -> str:
        console = Console(width=110, force_terminal=False, force_jupyter=False, color_system=None)
        with console.capture() as capture:
            console.print(self._layers())
            console.print()
            console.print(self._figures())
        tables = [line.rstrip() for line in capture.get().splitlines()]
        sparse = map(_sparse_line, self.sparse)
        proofs = starmap(_proof_line, self.proofs.items())
        return "\n".join([*tables, *sparse, *proofs, *self._on_latencies(), *self.notes])

    def _on_latencies(self) -> Iterator[str]:
        """What their table does not say by itself."""
        if self.latencies and not self.is_faster:
            slow = (one for one in self.latencies if one.speedup <= 1.1)
            where = ", ".join(f"{one.device} at batch {one.batch}" for one in slow)
            yield f"Not faster: {where}."
        if any(one.disturbed for one in self.latencies):
            yield (
                "Other work disturbed the timing: its median is over three times its shortest run. "
                "Do not rely on these times: compact again when the machine is idle, on one thread "
                "(OMP_NUM_THREADS=1)."
            )

    def _layers(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("layer", "before", "after"):
            table.add_column(name, overflow="fold")
        for layer in self.layers:
            shapes = ("×".join(map(str, shape)) for shape in (layer.before, layer.after))
            table.add_row(layer.name, *shapes)
        return table

    def _figures(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for k, name in enumerate(("", "before", "after", "times")):
            table.add_column(name, justify="right" if k else "left")
        for name, (before, after) in (
            ("parameters", self.parameters),
            ("nonzero", self.nonzeros),
            ("MACs per example", self.macs),
            ("bytes on disk", self.bytes),
        ):
            table.add_row(name, f"{before:,}", f"{after:,}", _times(before, after))
        for one in self.latencies:
            table.add_row(
                f"{one.device}, batch {one.batch}",
                f"{one.before:.3g} ms",
                f"{one.after:.3g} ms",
                _times(one.before, one.after),
            )
        return table


def _times(before: float, after: float) -> str:
    return f"{before / after:.2f} ×" if after else "—"


def _sparse_line(choice: SparseChoice) -> str:
    return (
        f"{choice.layer}: {choice.density:.1%} nonzero, dense {choice.dense:.3g} ms, "
        f"CSR {choice.csr:.3g} ms: {'CSR' if choice.is_sparse else 'dense'}"
    )


def _proof_line(dtype: str, proof: Proof) -> str:
    text = (
        f"equal in {dtype}: outputs within {proof.outputs:.1g}, gradients within "
        f"{proof.gradients:.1g}, relative"
    )
    if proof.noise:
        text += f"; gradients that are 0 but for rounding: {len(proof.noise)}"
    return text
