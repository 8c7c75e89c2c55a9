"""Cutting units out of a network's tensors: what is kept, and how that is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from shrinkage.graph.record import Recording

Kept = tuple[int, ...]


@dataclass(frozen=True)
class WeightCut:
    """The input and output units that a weight keeps; of a grouped convolution also its groups."""

    inputs: Kept
    outputs: Kept
    groups: int = 1
    transposed: bool = False


@dataclass(frozen=True)
class Cuts:
    """What is kept: of weights, of vectors (biases, norms) along one axis; and new biases."""

    weights: Mapping[str, WeightCut]
    vectors: Mapping[str, tuple[int, Kept]]
    new_biases: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, record: Recording, removed: Tensor) -> "Cuts":
        """The cuts that take away every unit whose label is ``removed``; only what changes."""
        weights, vectors = {}, {}
        for layer in record.layers:
            cut = WeightCut(
                _kept(removed, layer.inputs),
                _kept(removed, layer.outputs),
                layer.groups,
                layer.transposed,
            )
            if len(cut.inputs) < len(layer.inputs) or len(cut.outputs) < len(layer.outputs):
                weights[layer.weight] = cut
                if layer.bias is not None and len(cut.outputs) < len(layer.outputs):
                    vectors[layer.bias] = (0, cut.outputs)
        for part in record.channelwise:
            kept = _kept(removed, part.labels)
            if len(kept) < len(part.labels):
                vectors[part.name] = (part.dim, kept)
        return cls(weights, vectors)

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {
            "weights": {
                name: {
                    "inputs": list(cut.inputs),
                    "outputs": list(cut.outputs),
                    "groups": cut.groups,
                    "transposed": cut.transposed,
                }
                for name, cut in self.weights.items()
            },
            "vectors": {name: [dim, list(kept)] for name, (dim, kept) in self.vectors.items()},
            "new_biases": list(self.new_biases),
        }

    @classmethod
    def of_json(cls, known: Mapping[str, Any]) -> "Cuts":
        """The inverse of :meth:`as_json`."""
        return cls(
            {
                name: WeightCut(
                    tuple(cut["inputs"]), tuple(cut["outputs"]), cut["groups"], cut["transposed"]
                )
                for name, cut in known["weights"].items()
            },
            {name: (dim, tuple(kept)) for name, (dim, kept) in known["vectors"].items()},
            tuple(known["new_biases"]),
        )


def cut(model: nn.Module, cuts: Cuts) -> None:
    """Take the units out of ``model``, in place; its classes, dtype and device stay."""
    for name, part in cuts.weights.items():
        owner, local = _owner(model, name)
        weight, groups = cut_weight(tensor_of(model, name), part)
        replace(owner, local, weight)
        _resize(owner, len(part.inputs), len(part.outputs), groups)
    for name, (dim, kept) in cuts.vectors.items():
        owner, local = _owner(model, name)
        old = getattr(owner, local)
        replace(owner, local, old.index_select(dim, _index(kept, old)))
        _resize(owner, len(kept), len(kept), 1, norms_only=True)
    for name in cuts.new_biases:
        owner, local = _owner(model, name)
        weight = owner.get_parameter("weight")
        count = owner.out_channels if isinstance(owner, _ConvNd) else weight.shape[0]
        bias = torch.zeros(count, dtype=weight.dtype, device=weight.device)
        owner.register_parameter(local, nn.Parameter(bias, requires_grad=weight.requires_grad))


def cut_weight(weight: Tensor, part: WeightCut) -> tuple[Tensor, int]:
    """The part of a weight that stays, and its number of groups.

    A grouped convolution keeps whole groups, and equally many units in each of them.
    """
    n_in, n_out = _per_group(weight, part)
    blocks = weight.reshape(part.groups, -1, *weight.shape[1:])
    pieces = []
    for group, block in enumerate(blocks):
        ins = [i - group * n_in for i in part.inputs if i // n_in == group]
        outs = [o - group * n_out for o in part.outputs if o // n_out == group]
        if outs or part.groups == 1:
            rows, columns = (ins, outs) if part.transposed else (outs, ins)
            kept = block.index_select(0, _index(rows, weight))
            pieces.append(kept.index_select(1, _index(columns, weight)))
    return torch.cat(pieces), len(pieces)


def _per_group(weight: Tensor, part: WeightCut) -> tuple[int, int]:
    """How many inputs and outputs a group has."""
    first, second = weight.shape[0] // part.groups, weight.shape[1]
    return (first, second) if part.transposed else (second, first)


def replace(owner: nn.Module, name: str, value: Tensor) -> None:
    """Put ``value`` in the place of a parameter or buffer; it stays what it was."""
    value = value.detach().clone()
    old = owner._parameters.get(name)
    if old is not None:
        owner._parameters[name] = nn.Parameter(value, requires_grad=old.requires_grad)
    else:
        owner._buffers[name] = value


def tensor_of(model: nn.Module, name: str) -> Tensor:
    """The parameter or buffer of this name."""
    owner, local = _owner(model, name)
    tensor: Tensor = getattr(owner, local)
    return tensor


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, local = name.rpartition(".")
    return model.get_submodule(path), local


def _resize(
    owner: nn.Module, inputs: int, outputs: int, groups: int, *, norms_only: bool = False
) -> None:
    """Let a layer's own figures say what its tensors are."""
    if norms_only:
        if isinstance(owner, _NormBase):
            owner.num_features = outputs
        elif isinstance(owner, nn.PReLU):
            owner.num_parameters = outputs
    elif isinstance(owner, nn.Linear):
        owner.in_features, owner.out_features = inputs, outputs
    elif isinstance(owner, _ConvNd):
        owner.in_channels, owner.out_channels, owner.groups = inputs, outputs, groups
    elif hasattr(owner, "nx") and hasattr(owner, "nf"):  # GPT-2's Conv1D
        vars(owner).update(nx=inputs, nf=outputs)


def _kept(removed: Tensor, labels: Tensor) -> Kept:
    return tuple((~removed[labels.long()]).nonzero().flatten().tolist())


def _index(kept: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(kept, dtype=torch.long, device=like.device)
