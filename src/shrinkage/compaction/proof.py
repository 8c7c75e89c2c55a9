"""Proof by trial: the same outputs and the same gradients, before and after."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shrinkage.coupling import Record
from shrinkage.coupling.cutting import Cuts, cut_weight
from shrinkage.coupling.shadows import replaced, tensors
from shrinkage.coupling.tracing import Inputs
from shrinkage.errors import CompactionError

TOLERANCES: Mapping[torch.dtype, float] = {
    torch.float64: 1e-9,
    torch.float32: 1e-5,
    torch.bfloat16: 3e-2,
    torch.float16: 4e-3,
}


@dataclass(frozen=True)
class Proof:
    """The largest differences found, relative to the largest value: of outputs and gradients."""

    outputs: float
    gradients: float
    tolerance: float


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
    record: Record,
    removed: Tensor,
) -> Proof:
    """Compare the two networks on all batches; :class:`CompactionError` where they differ.

    Gradients are those of a random weighted sum of the outputs, for all parameters that are
    left; they must agree in float64, and are measured in other dtypes, where they jump at kinks of
    the activations with the rounding. The error names the first layer whose outputs differ.
    """
    dtype = next((t.dtype for t in before.parameters() if t.is_floating_point()), torch.float32)
    tolerance = TOLERANCES.get(dtype, 1e-5)
    worst = [0.0, 0.0]
    for inputs in batches:
        one, first = _outputs_and_gradients(before, inputs)
        two, second = _outputs_and_gradients(after, select(inputs))
        worst[0] = max([worst[0], *(_difference(a, b) for a, b in zip(one, two, strict=True))])
        for name, gradient in second.items():
            if name in first:
                expected = _cut_gradient(name, first[name], cuts)
                worst[1] = max(worst[1], _difference(expected, gradient))
        # In float32 the sign of a ReLU's input may turn with the rounding, and its gradient jumps.
        bounded = worst if dtype == torch.float64 else worst[:1]
        if max(bounded) > tolerance:
            what, size = ("outputs", worst[0]) if worst[0] > tolerance else ("gradients", worst[1])
            raise CompactionError(
                f"the compact network has other {what}",
                got=f"a relative difference of {size:.2g} in {dtype}, "
                f"first at {_at_fault(before, after, inputs, select, record, removed)}",
                expected=f"at most {tolerance:g}",
                remedy="Name that layer, or where none is named the layers whose width the "
                "network computes with (h.shape[-1], out_features), in ignored=; '*' keeps all. "
                "Please report it.",
            )
    return Proof(worst[0], worst[1], tolerance)


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


def _outputs_and_gradients(
    model: nn.Module, inputs: Inputs
) -> tuple[list[Tensor], dict[str, Tensor]]:
    parameters = {k: p for k, p in model.named_parameters() if p.is_floating_point()}
    frozen = [p for p in parameters.values() if not p.requires_grad]
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # functions that drop at random drop the same in both networks
        try:
            for p in frozen:
                p.requires_grad_(True)
            outputs = [t for t in tensors(model(*inputs)) if t.is_floating_point()]
            ends = [t for t in outputs if t.requires_grad]
            grads: tuple[Any, ...] = (None,) * len(parameters)
            if ends:
                total = torch.stack([(t * _weights(t)).sum() for t in ends]).sum()
                grads = torch.autograd.grad(
                    total, list(parameters.values()), materialize_grads=True
                )
        finally:
            for p in frozen:
                p.requires_grad_(False)
    named = zip(parameters, grads, strict=True)
    return [t.detach() for t in outputs], {k: g for k, g in named if g is not None}


def _weights(t: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t)


def _cut_gradient(name: str, gradient: Tensor, cuts: Cuts) -> Tensor:
    if name in cuts.weights:
        return cut_weight(gradient, cuts.weights[name])[0]
    if name in cuts.vectors:
        dim, kept = cuts.vectors[name]
        return gradient.index_select(dim, torch.tensor(kept, device=gradient.device))
    return gradient


def _difference(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    if not a.numel():
        return 0.0
    a, b = a.double(), b.double()
    size = float(a.abs().max())
    gap = float((a - b).abs().max())
    return gap / size if size > 1e-30 else gap


def _at_fault(
    before: nn.Module,
    after: nn.Module,
    inputs: Inputs,
    select: Callable[[Inputs], Inputs],
    record: Record,
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
        if _difference(old.index_select(axis, stays.nonzero().flatten()), new) > 1e-6:
            return where
    return "none of its layers alone"


def _calls(model: nn.Module, inputs: Inputs, record: Record) -> dict[str, Tensor]:
    """The outputs of the layers in the order of their first calls."""
    found: dict[str, Tensor] = {}
    names = {layer.where for layer in record.layers if layer.where}
    modules = dict(model.named_modules())

    def hook(name: str) -> Callable[..., None]:
        def keep(_: nn.Module, __: object, output: Any) -> None:
            for tensor in tensors(output):
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
        pairs = zip(tensors(before(*inputs)), tensors(after(*inputs)), strict=True)
        gap = max(_difference(a, b) for a, b in pairs)
    tolerance = TOLERANCES.get(next(before.parameters()).dtype, 1e-5)
    if gap > tolerance:
        raise CompactionError(
            "the network with sparse layers has other outputs",
            got=f"a relative difference of {gap:.2g}",
            expected=f"at most {tolerance:g}",
            remedy="Leave sparse out.",
        )
