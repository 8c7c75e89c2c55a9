"""Proof by trial: the same outputs and the same gradients, before and after."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shrinkage.compression.trials import Noise, difference, distance, trial
from shrinkage.errors import RAISED, CompactionError
from shrinkage.graph import Inputs, Recording
from shrinkage.graph.call import replaced, returned
from shrinkage.graph.cut import Cuts, cut_weight
from shrinkage.graph.untouched import untouched

TOLERANCES: Mapping[torch.dtype, float] = {
    torch.float64: 1e-9,
    torch.float32: 1e-5,
    torch.bfloat16: 3e-2,
    torch.float16: 4e-3,
}


@dataclass(frozen=True)
class Proof:
    """The largest differences found, relative to the largest value: of outputs and gradients.

    ``noise``: the parameters whose gradients are 0 but for rounding, and left out of it.
    """

    outputs: float
    gradients: float
    tolerance: float
    noise: frozenset[str] = frozenset()


@contextmanager
def _without_tf32() -> Iterator[None]:
    """GPUs may round the factors of float32 products to 10 bits, and each width in its own way."""
    backends: Any = torch.backends
    kinds = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee"
        yield
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision


@_without_tf32()
def prove(
    before: nn.Module,
    after: nn.Module,
    batches: list[Inputs],
    select: Callable[[Inputs], Inputs],
    cuts: Cuts,
    record: Recording,
    removed: Tensor,
    noise: frozenset[str] = frozenset(),
) -> Proof:
    """Compare the two networks on all batches; :class:`CompactionError` where they differ.

    Gradients are those of a random weighted sum of the outputs, for all parameters that are
    left; they must agree in float64, and are measured in other dtypes, where they jump at kinks of
    the activations with the rounding. What is 0 but for rounding is told from what differs by
    :class:`Noise`; ``noise`` names what is known to be 0 in float64. The error names the first
    layer whose outputs differ.
    """
    dtype = next((t.dtype for t in before.parameters() if t.is_floating_point()), torch.float32)
    tolerance = TOLERANCES.get(dtype, 1e-5)
    with torch.no_grad():  # what a network keeps for its next call is kept without gradients
        before(*batches[0])
        after(*select(batches[0]))
    proofs = [
        _proof((before, inputs), (after, select(inputs)), cuts, tolerance, noise)
        for inputs in batches
    ]
    found = _worst(proofs)
    tolerance = found.tolerance
    # In float32 the sign of a ReLU's input may turn with the rounding, and its gradient jumps.
    bounds_gradients = dtype == torch.float64
    if found.outputs > tolerance or (bounds_gradients and found.gradients > tolerance):
        inputs = next(
            batch
            for batch, p in zip(batches, proofs, strict=True)
            if max(p.outputs, p.gradients) > tolerance
        )
        layer = _at_fault(before, after, inputs, select, record, removed)
        raise _refuted(found, dtype, layer)
    return found


def _worst(proofs: list[Proof]) -> Proof:
    return Proof(
        max(p.outputs for p in proofs),
        max(p.gradients for p in proofs),
        max(p.tolerance for p in proofs),
        frozenset().union(*(p.noise for p in proofs)),
    )


def _refuted(found: Proof, dtype: torch.dtype, layer: str) -> CompactionError:
    what, size = "outputs", found.outputs
    if size <= found.tolerance:
        what, size = "gradients", found.gradients
    return CompactionError(
        f"the compact network has other {what}",
        got=f"a relative difference of {size:.2g} in {dtype}, first at {layer}",
        expected=f"at most {found.tolerance:g}",
        remedy="Name that layer, or where none is named the layers whose width the "
        "network computes with (h.shape[-1], out_features), in ignored=; '*' keeps all. "
        "Please report it.",
    )


def _proof(
    one: tuple[nn.Module, Inputs],
    two: tuple[nn.Module, Inputs],
    cuts: Cuts,
    tolerance: float,
    known: frozenset[str],
) -> Proof:
    """How far the networks are apart on one batch, but for differences of rounding."""
    first, second = trial(*one), trial(*two)
    if tolerance > TOLERANCES[torch.float64]:
        tolerance = max(tolerance, TOLERANCES.get(first.coarsest, 1e-5))
    if len(first.outputs) != len(second.outputs):
        return Proof(torch.inf, torch.inf, tolerance)
    noise = Noise((one, two), (first, second))
    outputs = 0.0
    for at, (a, b) in enumerate(zip(first.outputs, second.outputs, strict=True)):
        size = difference(a, b)
        if size <= tolerance or not noise.explains_output(at, distance(a, b)):
            outputs = max(outputs, size)
    gradients, zero = 0.0, set(known)
    for name in (second.gradients.keys() & first.gradients.keys()) - known:
        a, b = _cut_gradient(name, first.gradients[name], cuts), second.gradients[name]
        size, is_exact = difference(a, b), b.dtype == torch.float64
        if size > tolerance and is_exact and noise.explains_gradient(name, distance(a, b)):
            zero.add(name)
        else:
            gradients = max(gradients, size)
    return Proof(outputs, gradients, tolerance, frozenset(zero))


def other_inputs(model: nn.Module, inputs: Inputs, seed: int) -> Inputs:
    """Random inputs; where the network does not take them, these in another order, or as they are.

    Numbers may have a meaning: a mark at the end of each text, a mask that leaves something.
    """
    with untouched(model), torch.no_grad():
        for drawn in (random_like(inputs, seed), tuple(replaced(v, _rolled) for v in inputs)):
            try:
                outputs = list(returned(model(*drawn)))
            except RAISED:
                continue
            if not any(bool(t.isnan().any()) for t in outputs):
                return drawn
    return inputs


def _rolled(t: Tensor) -> Tensor:
    return t.roll(1, 0) if t.ndim else t


def random_like(inputs: Inputs, seed: int) -> Inputs:
    """Inputs of the same shapes: normal numbers of the same scale, integers in another order."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(t: Tensor) -> Tensor:
        if not t.is_floating_point():
            order = torch.randperm(t.numel(), generator=generator)
            return t.flatten()[order.to(t.device)].reshape(t.shape)
        noise = torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t)
        return noise * (t.std() if t.numel() > 1 and bool(t.std()) else 1.0) + t.mean()

    return tuple(replaced(value, drawn) for value in inputs)


def _cut_gradient(name: str, gradient: Tensor, cuts: Cuts) -> Tensor:
    if name in cuts.weights:
        return cut_weight(gradient, cuts.weights[name])[0]
    if name in cuts.vectors:
        dim, kept = cuts.vectors[name]
        return gradient.index_select(dim, torch.tensor(kept, device=gradient.device))
    return gradient


def _at_fault(
    before: nn.Module,
    after: nn.Module,
    inputs: Inputs,
    select: Callable[[Inputs], Inputs],
    record: Recording,
    removed: Tensor,
) -> str:
    one, two = _calls(before, inputs, record), _calls(after, select(inputs), record)
    kept = {layer.where: ~removed[layer.outputs.long()] for layer in record.layers}
    for where, old in one.items():
        new = two.get(where)
        axis = 1 if old.ndim in (4, 5) else old.ndim - 1
        stays = kept[where].to(old.device)
        if new is None or len(stays) != old.shape[axis]:
            return where
        if difference(old.index_select(axis, stays.nonzero().flatten()), new) > 1e-6:
            return where
    return "none of its layers alone"


def _calls(model: nn.Module, inputs: Inputs, record: Recording) -> dict[str, Tensor]:
    """The outputs of the layers in the order of their first calls."""
    found: dict[str, Tensor] = {}
    names = {layer.where for layer in record.layers if layer.where}
    modules = dict(model.named_modules())

    def hook(name: str) -> Callable[..., None]:
        def keep(_: nn.Module, __: object, output: Any) -> None:
            for tensor in returned(output):
                found.setdefault(name, tensor.detach().clone())

        return keep

    handles = [modules[name].register_forward_hook(hook(name)) for name in names]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


@_without_tf32()
def check_equal(before: nn.Module, after: nn.Module, inputs: Inputs) -> None:
    """Raise :class:`CompactionError` where two networks differ in their outputs on ``inputs``."""
    with torch.no_grad():
        pairs = zip(returned(before(*inputs)), returned(after(*inputs)), strict=True)
        gap = max(difference(a, b) for a, b in pairs)
    tolerance = TOLERANCES.get(next(before.parameters()).dtype, 1e-5)
    if gap > tolerance:
        raise CompactionError(
            "the network with sparse layers has other outputs",
            got=f"a relative difference of {gap:.2g}",
            expected=f"at most {tolerance:g}",
            remedy="Leave sparse out.",
        )
