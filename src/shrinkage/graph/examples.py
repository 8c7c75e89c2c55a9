"""What example inputs must have so that a network can be followed on them."""

from dataclasses import dataclass
from typing import Any

import torch

from shrinkage.graph.call import tensors


@dataclass(frozen=True)
class Fault:
    """Why a network cannot be followed on some inputs, in the parts of an error."""

    what: str
    got: str
    expected: str
    remedy: str


def fault_of(inputs: Any) -> Fault | None:
    """The first fault among the tensors in ``inputs``; None where they show what a network does."""
    for tensor in tensors(inputs):
        if tensor.layout != torch.strided or tensor.is_quantized:
            return Fault(
                "the example inputs cannot be followed",
                got=f"a tensor in the layout {tensor.layout}, of {tensor.dtype}",
                expected="dense tensors of numbers",
                remedy="Make them dense: example_inputs.to_dense(), or dequantize().",
            )
        if tensor.is_meta or not tensor.numel() or bool(tensor.isnan().any()):
            shape = f"shape {tuple(tensor.shape)}"
            return Fault(
                "the example inputs show nothing",
                got=f"{shape} without values" if tensor.is_meta else
                "NaN among them" if tensor.numel() else shape,
                expected="one batch of real inputs, at least one example",
                remedy="Take a few rows that the network has been trained or tested on.",
            )  # fmt: skip
    return None
